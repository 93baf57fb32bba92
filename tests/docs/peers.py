"""Servers that talk: each kind has a script, and each client has a thread."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

__all__ = ["SCRIPTS", "Peer", "Script", "talking"]


class Peer:
    """A connection, as the scripts talk with it; *state* is the server's."""

    def __init__(self, sock: socket.socket, what: str, state: dict[str, Any]) -> None:
        self.sock = sock
        self.what = what
        self.state = state
        self._file = sock.makefile("rb")

    def line(self) -> bytes:
        """Return the next line.

        Raises:
            EOFError: There is none.
        """
        line = self._file.readline()
        if not line:
            raise EOFError
        return line

    def exactly(self, size: int) -> bytes:
        """Return *size* bytes.

        Raises:
            EOFError: There are fewer.
        """
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def block(self, size: int, extra: int = 0) -> bytes:
        """Return what a length of *size* bytes announces, less *extra*."""
        length = int.from_bytes(self.exactly(size), "big")
        return self.exactly(length - extra)

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def rest(self) -> None:
        """Echo, until the client ends."""
        while data := self._file.read1(65536):
            self.say(data)

    def count(self) -> int:
        """Return how often this was called on the server before."""
        self.state["count"] = self.state.get("count", -1) + 1
        return int(self.state["count"])


def _lines(peer: Peer) -> None:
    while True:
        peer.say(b"OK " + peer.line())


def _greeting(peer: Peer) -> None:
    peer.say(peer.what.encode() + b"\n")
    peer.rest()


def _http(peer: Peer) -> None:
    while True:
        size = 0
        while (line := peer.line()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        peer.exactly(size)
        ready = peer.count() >= int(peer.what or 0)
        status = b"200 OK" if ready else b"503 Service Unavailable"
        body = b"hello\n" if ready else b"starting\n"
        peer.say(
            b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )


def _redis(peer: Peer) -> None:
    stored: dict[bytes, bytes] = peer.state.setdefault("stored", {})
    while True:
        first = peer.line()
        words = first.split()
        if first.startswith(b"*"):
            words = []
            for _ in range(int(first[1:])):
                words.append(peer.exactly(int(peer.line()[1:])))
                peer.line()
        match [words[0].upper(), *words[1:]]:
            case [b"PING"]:
                peer.say(b"+PONG\r\n")
            case [b"ECHO", text]:
                peer.say(b"$%d\r\n%b\r\n" % (len(text), text))
            case [b"SET", key, value, *_]:
                stored[key] = value
                peer.say(b"+OK\r\n")
            case [b"GET", key]:
                value = stored.get(key, b"")
                there = b"$%d\r\n%b\r\n" % (len(value), value)
                peer.say(there if key in stored else b"$-1\r\n")
            case [b"CLIENT" | b"SELECT" | b"QUIT", *_]:
                peer.say(b"+OK\r\n")
            case [name, *_]:
                peer.say(b"-ERR unknown command '%b'\r\n" % name)


def _postgres(peer: Peer) -> None:
    while True:
        asked = peer.block(4, 4)
        if struct.unpack("!I", asked[:4])[0] != 80877103:  # SSLRequest
            break
        peer.say(b"N")
    if peer.count() < int(peer.what or 0):
        fields = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
        peer.say(b"E" + struct.pack("!I", len(fields) + 4) + fields)
        return
    peer.say(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")
    peer.rest()


def _amqp(peer: Peer) -> None:
    peer.exactly(8)
    peer.say(b"\x01\0\0\0\0\x02\0\0\x0a\0\x0a\0\x09")
    peer.rest()


def _mysql(peer: Peer) -> None:
    peer.say(b"\x0f\0\0\0\x0a11.4.2-Maria\0\0")
    size = int.from_bytes(peer.exactly(3), "little")
    peer.exactly(1 + size)
    peer.say(b"\x16\0\0\x02\xff\x15\x04#28000Access denied")
    peer.rest()


def _kafka(peer: Peer) -> None:
    while True:
        asked = peer.block(4)
        peer.say(b"\0\0\0\x0a" + asked[4:8] + bytes(6))


Script: TypeAlias = Callable[[Peer], None]

# The scripts, by the kind of the server.
SCRIPTS: dict[str, Script] = {
    "lines": _lines,
    "greeting": _greeting,
    "http": _http,
    "http503": _http,
    "redis": _redis,
    "postgres": _postgres,
    "postgres-starting": _postgres,
    "amqp": _amqp,
    "mysql": _mysql,
    "kafka": _kafka,
}


@contextmanager
def talking(listener: socket.socket, what: str, script: Script) -> Generator[None]:
    """Let *script* talk with each client of *listener*, in a thread."""
    listener.setblocking(True)
    threads: list[threading.Thread] = []
    socks: list[socket.socket] = []
    state: dict[str, Any] = {}

    def talk(sock: socket.socket) -> None:
        with sock, suppress(OSError, EOFError, ValueError):
            script(Peer(sock, what, state))
            sock.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                socks.append(sock)
                start(partial(talk, sock))

    def start(target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target)
        threads.append(thread)
        thread.start()

    start(accept)
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        threads[0].join()
        for sock in socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
