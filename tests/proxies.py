"""Serve as a proxy in threads, correctly or not: SOCKS 4 and 5, HTTP, with TLS."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tls_ending import client_context, end_tls, server_context

__all__ = [
    "CREDENTIALS",
    "KINDS",
    "NAME",
    "PASSWORD",
    "SECRETS",
    "USER",
    "Ending",
    "Kind",
    "ProxyServer",
    "proxying",
]

# The name of the proxy's threads.
NAME = "proxying"

Kind = Literal["socks4", "socks5", "http"]
KINDS: tuple[Kind, ...] = ("socks4", "socks5", "http")

# The credentials as in URLs, and the texts that nothing may show.
USER, PASSWORD = "us@r", "p:a/s%s word"
CREDENTIALS: dict[str, str] = {
    "socks4": "us%40r",
    "socks5": "us%40r:p%3Aa%2Fs%25s%20word",
    "http": "us%40r:p%3Aa%2Fs%25s%20word",
}
SECRETS = (USER, PASSWORD, "us%40r", "p%3Aa%2Fs%25s%20word", "dXNAcj")

Ending = Literal["close", "reset", "wait"]


@dataclass
class ProxyServer:
    """A proxy of *kind*, and its behaviour.

    It resolves the hosts in *names*, and requires *credentials* if there are some.
    Each connection gets one of *answers* instead of a correct one, until they are used
    up, and then the *ending*. *drips* sends octet by octet.  *extra* is sent together
    with a positive answer.  With *tls*, it speaks TLS with its clients.  *asked* lists
    the requested targets.  *connections* counts the clients.
    """

    kind: Kind
    listener: socket.socket
    credentials: tuple[str, str] | None = None
    names: dict[str, str] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)
    ending: Ending = "close"
    drips: bool = False
    extra: bytes = b""
    tls: ssl.SSLContext | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.host, self.port = self.listener.getsockname()[:2]
        self.has_accepted = threading.Event()
        self.has_answered = threading.Event()
        self._live: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def url(self, credentials: str = "", scheme: str | None = None) -> str:
        """Return the URL of the proxy, with *credentials* before the host."""
        at = "@" if credentials else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        kind = self.kind if self.tls is None else "https"
        return f"{scheme or kind}://{credentials}{at}{host}:{self.port}"

    def serve(self) -> None:
        """Accept until the listener is shut down."""
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.has_accepted.set()
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is None:
                self.start(self._meet, conn)
            else:
                self.start(self._meet_with_tls, self.tls, conn)

    @property
    def client_context(self) -> ssl.SSLContext:
        """A context that trusts the certificate of a proxy that speaks TLS."""
        return client_context()

    def start(
        self, target: Callable[..., None], *arguments: object
    ) -> threading.Thread:
        """Run *target* in a thread."""
        thread = threading.Thread(target=target, args=arguments, name=NAME)
        self._threads.append(thread)
        thread.start()
        return thread

    def close(self) -> None:
        """End every thread, and close every socket."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()  # the thread that accepts
        while any(thread.is_alive() for thread in self._threads):
            for sock in list(self._live):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            for thread in list(self._threads):
                thread.join(0.05)

    @contextmanager
    def _alive(self, sock: socket.socket) -> Generator[None]:
        self._live.append(sock)
        with sock:
            yield
        self._live.remove(sock)

    def _meet(self, conn: socket.socket) -> None:
        with self._alive(conn), contextlib.suppress(OSError, EOFError):
            if self.answers:
                self._misbehave(conn)
            else:
                _LANGUAGES[self.kind](self, conn)

    def _meet_with_tls(self, context: ssl.SSLContext, conn: socket.socket) -> None:
        ours, theirs = socket.socketpair()
        with self._alive(conn), self._alive(ours):
            thread = self.start(self._meet, theirs)
            end_tls(context, conn, ours)
            thread.join()

    def _misbehave(self, conn: socket.socket) -> None:
        conn.recv(1 << 16)
        self._say(conn, self.answers.pop(0))
        self.has_answered.set()
        if self.ending == "reset":
            conn.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            return
        if self.ending == "close":
            conn.shutdown(socket.SHUT_WR)
        while conn.recv(1 << 16):
            pass

    def _say(self, conn: socket.socket, data: bytes) -> None:
        step = 1 if self.drips else len(data) or 1
        for start in range(0, len(data), step):
            conn.sendall(data[start : start + step])

    def _go(
        self, conn: socket.socket, host: str, port: int, yes: bytes, no: bytes
    ) -> None:
        """Connect, send *yes* or *no*, and forward both ways."""
        self.asked.append((host, port))
        try:
            peer = socket.create_connection((self.names.get(host, host), port))
        except OSError:
            self._say(conn, no)
            return
        with self._alive(peer), contextlib.suppress(OSError):
            self._say(conn, yes + self.extra)
            back = self.start(_carry, peer, conn)
            _carry(conn, peer)
            back.join()

    def _socks4(self, conn: socket.socket) -> None:
        _, _, port, address = struct.unpack("!BBH4s", _exactly(conn, 8))
        user = _until_nul(conn)
        host = socket.inet_ntoa(address)
        if address[:3] == b"\0\0\0" and address[3]:
            host = _until_nul(conn)
        if self.credentials and user != self.credentials[0]:
            self._say(conn, b"\0\x5d" + bytes(6))
            return
        self._go(conn, host, port, b"\0\x5a" + bytes(6), b"\0\x5b" + bytes(6))

    def _socks5(self, conn: socket.socket) -> None:
        offered = _exactly(conn, _exactly(conn, 2)[1])
        if self.credentials and 2 not in offered:
            self._say(conn, b"\x05\xff")
            return
        self._say(conn, b"\x05\x02" if self.credentials else b"\x05\x00")
        if self.credentials:
            user = _exactly(conn, _exactly(conn, 2)[1]).decode()
            password = _exactly(conn, _exactly(conn, 1)[0]).decode()
            if (user, password) != self.credentials:
                self._say(conn, b"\x01\x01")
                return
            self._say(conn, b"\x01\x00")
        kind = _exactly(conn, 4)[3]
        if kind == 3:
            host = _exactly(conn, _exactly(conn, 1)[0]).decode()
        else:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            host = socket.inet_ntop(family, _exactly(conn, 4 if kind == 1 else 16))
        (port,) = struct.unpack("!H", _exactly(conn, 2))
        tail = b"\0\x01" + bytes(6)
        self._go(conn, host, port, b"\x05\0" + tail, b"\x05\x05" + tail)

    def _http(self, conn: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _exactly(conn, 1)
        asked = _CONNECT.match(head)
        assert asked is not None, head
        if self.credentials:
            secret = base64.b64encode(":".join(self.credentials).encode())
            if b"Basic " + secret + b"\r\n" not in head:
                # This proxy is impolite and repeats the request.
                told = re.sub(rb"\s+", b" ", head)
                self._say(conn, b"HTTP/1.1 407 " + told + b"\r\n\r\n")
                return
        yes = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"
        no = b"HTTP/1.1 502 Bad\r\n\r\n"
        host = (asked["host"] or asked["address"]).decode()
        self._go(conn, host, int(asked["port"]), yes, no)


# Only an IPv6 address is in brackets.
_CONNECT = re.compile(
    rb"CONNECT (?P<at>(?:(?P<host>[^ :\[\]]+)|\[(?P<address>[0-9a-f:.]+:[0-9a-f:.]*)\])"
    rb":(?P<port>\d+)) HTTP/1\.1\r\nHost: (?P=at)\r\n"
)

_LANGUAGES = {
    "socks4": ProxyServer._socks4,
    "socks5": ProxyServer._socks5,
    "http": ProxyServer._http,
}


def _exactly(conn: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = conn.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _until_nul(conn: socket.socket) -> str:
    text = b""
    while not text.endswith(b"\0"):
        text += _exactly(conn, 1)
    return text[:-1].decode()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    """Forward everything from *source* to *sink*, until it ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def proxying(
    kind: Kind = "socks5",
    *,
    credentials: tuple[str, str] | None = None,
    names: dict[str, str] | None = None,
    answers: tuple[bytes, ...] = (),
    ending: Ending = "close",
    drips: bool = False,
    extra: bytes = b"",
    host: str = "127.0.0.1",
    port: int = 0,
    certified: str = "",
) -> Generator[ProxyServer]:
    """Yield a proxy of *kind* on a *port* of *host*, as `ProxyServer` describes.

    If *certified*, it speaks TLS with its clients, and has a certificate for that name.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        server = ProxyServer(
            kind,
            listener,
            credentials,
            names or {},
            list(answers),
            ending,
            drips,
            extra,
            server_context(certified) if certified else None,
        )
        server.start(server.serve)
        try:
            yield server
        finally:
            server.close()
