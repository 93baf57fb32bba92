"""Answer DNS questions over UDP and TCP, as slowly and as badly as a zone says.

One thread serves all clients.  A delayed answer delays no other answer.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .._sansio.addresses import Address
from .._sansio.checks import check_duration
from .._sansio.text import safe_repr
from ._dns_message import (
    TYPES,
    Question,
    Record,
    check_record,
    parse_question,
    response,
)
from ._ports import (
    address_of,
    bound_socket,
    close_with_reset,
    host_of,
    port_of,
    register_server_socket,
)
from ._server_thread import ServerThread, server_thread

__all__ = ["DNSQuery", "DNSReply", "DNSServer", "Zone", "dns_server"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True


@dataclass(frozen=True, slots=True)
class DNSReply:
    """The reply to one question: *records*, *delay* seconds (0) after the question.

    *records* are numeric addresses; for SRV they are ``(priority, weight, port,
    target)``.  No records with the *rcode* ``NOERROR`` (the default) make an empty
    answer.  With *drop*, the question is never answered.  With *truncate*, the client
    has to ask again by TCP.
    """

    records: Sequence[Record] = ()
    delay: float = 0.0
    drop: bool = False
    truncate: bool = False
    rcode: Literal["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"] = "NOERROR"


Zone: TypeAlias = Mapping[tuple[str, str], DNSReply | Sequence[Record]]


@dataclass(frozen=True, slots=True)
class DNSQuery:
    """One question that came: *name* in lower case, *type*, *transport* udp or tcp."""

    name: str
    type: str
    transport: Literal["udp", "tcp"]


class DNSServer:
    """A DNS server, made by `dns_server`.

    *queries* lists the questions in the order in which they came.  *address* is where
    the server listens; *host*, *port* and *sockaddr* are its parts.
    """

    def __init__(
        self,
        zone: Mapping[tuple[str, str], DNSReply],
        thread: ServerThread,
        address: Address,
    ) -> None:
        self._zone = zone
        self._thread = thread
        self._names = {name for name, _ in zone}
        self._clients: dict[socket.socket, bytearray] = {}
        self.queries: list[DNSQuery] = []
        self.address = address
        self.sockaddr = address.sockaddr
        self.host = host_of(address)
        self.port = port_of(address)

    def __repr__(self) -> str:
        return f"<DNSServer {self.address}>"

    def read_datagram(self, sock: socket.socket) -> None:
        """Take one question from *sock*, in the server's thread."""
        try:
            message, client = sock.recvfrom(4096)
        except OSError:  # pragma: no cover - a wrong checksum, see BUGS in recv(2)
            return

        def send(answer: bytes) -> None:
            with suppress(OSError):
                sock.sendto(answer, client)

        self._answer(message, "udp", send)

    def accept(self, listener: socket.socket) -> None:
        """Take one TCP client from *listener*, in the server's thread."""
        try:
            conn, _ = listener.accept()
        except OSError:  # pragma: no cover - ECONNABORTED, on the BSDs
            return
        register_server_socket(conn)
        conn.setblocking(False)
        self._clients[conn] = bytearray()
        self._thread.watch(conn, selectors.EVENT_READ, lambda: self._read_stream(conn))

    def close(self) -> None:
        """Reset the remaining TCP clients, after the server's thread has ended."""
        while self._clients:
            conn, _ = self._clients.popitem()
            close_with_reset(conn)

    def _read_stream(self, conn: socket.socket) -> None:
        received = self._clients.get(conn)
        if received is None:
            return
        try:
            data = conn.recv(4096)
        except OSError:
            data = b""
        if not data:
            del self._clients[conn]
            self._thread.unwatch(conn)
            conn.close()
            return
        received += data
        # RFC 1035 section 4.2.2: "a two byte length field".
        while len(received) >= 2:
            end = 2 + int.from_bytes(received[:2], "big")
            if len(received) < end:
                return
            message = bytes(received[2:end])
            del received[:end]
            self._answer(message, "tcp", lambda answer: _send_over_tcp(conn, answer))

    def _answer(
        self,
        message: bytes,
        transport: Literal["udp", "tcp"],
        send: Callable[[bytes], None],
    ) -> None:
        try:
            question = parse_question(message)
        except ValueError:
            return
        self.queries.append(DNSQuery(question.name, question.type, transport))
        reply = self._reply_to(question)
        if reply.drop:
            return
        answer = response(
            question,
            reply.rcode,
            reply.records,
            is_truncated=reply.truncate and transport == "udp",
        )
        if reply.delay:
            when = time.monotonic() + reply.delay
            self._thread.call_at(when, lambda: send(answer))
        else:
            send(answer)

    def _reply_to(self, question: Question) -> DNSReply:
        reply = self._zone.get((question.name, question.type))
        if reply is not None:
            return reply
        is_known = question.name in self._names
        return DNSReply() if is_known else DNSReply(rcode="NXDOMAIN")


def _send_over_tcp(conn: socket.socket, answer: bytes) -> None:
    # An answer is far smaller than the send buffer of a new connection.
    with suppress(OSError):
        conn.sendall(len(answer).to_bytes(2, "big") + answer)


@contextmanager
def dns_server(
    zone: Zone, *, host: str = "127.0.0.1", port: int = 0
) -> Generator[DNSServer]:
    """Yield a `DNSServer` that answers for *zone* by UDP and TCP.

    *zone* maps ``(name, type)`` to a `DNSReply`, or to a list of records:
    ``{("a.test", "A"): ["192.0.2.1"]}``.  The types are A, AAAA and SRV.  A name that
    the zone has only with other types gets an empty answer.  Other names get NXDOMAIN.
    *host* is a numeric address (127.0.0.1).  *port* is 0 by default: any free one.

    Raises:
        ValueError: *zone* has an unknown type, or a record that its type cannot have.
        TypeError: The records of a reply are not a list.
        OSError: The port is taken.
    """
    replies = dict(_checked_entry(question, reply) for question, reply in zone.items())
    with ExitStack() as stack:
        tcp, udp = _bound_tcp_and_udp(host, port)
        stack.enter_context(tcp)
        stack.enter_context(udp)
        tcp.listen(128)
        with server_thread("aioconnect-dns") as thread:
            server = DNSServer(replies, thread, address_of(tcp))
            # This runs after the thread has ended, when no callback can run any more.
            stack.callback(server.close)
            thread.watch(udp, selectors.EVENT_READ, lambda: server.read_datagram(udp))
            thread.watch(tcp, selectors.EVENT_READ, lambda: server.accept(tcp))
            yield server


def _checked_entry(
    question: object, reply: DNSReply | Sequence[Record]
) -> tuple[tuple[str, str], DNSReply]:
    """Return one entry of a zone as the server looks it up, or refuse it."""
    match question:
        case (str(name), str(kind)):
            pass
        case _:
            form = '(name, type), such as ("a.test", "A")'
            raise ValueError(f"zone: a key is {form}, not {safe_repr(question)}")
    if kind not in TYPES:
        raise ValueError(
            f"zone: type {safe_repr(kind)} is not one of {', '.join(TYPES)}"
        )
    if not isinstance(reply, DNSReply):
        reply = DNSReply(reply)
    check_duration("delay", reply.delay)
    if isinstance(reply.records, str) or not isinstance(reply.records, Sequence):
        raise TypeError(f"records must be a list, not {safe_repr(reply.records)}")
    for record in reply.records:
        check_record(kind, record)
    return (name.rstrip(".").lower(), kind), reply


def _bound_tcp_and_udp(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return a TCP and a UDP socket that are bound to the same port."""
    for _ in range(100):
        tcp = bound_socket(host, port, is_shared=port != 0)
        udp = socket.socket(tcp.family, socket.SOCK_DGRAM)
        udp.setblocking(False)
        try:
            udp.bind(tcp.getsockname())
        except OSError as exc:
            tcp.close()
            udp.close()
            if port or exc.errno != errno.EADDRINUSE:
                raise
        else:
            return tcp, udp
    raise OSError(errno.EADDRINUSE, "no port is free for both UDP and TCP")
