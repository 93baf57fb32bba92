"""Answer DNS questions over UDP and TCP, as slowly and as badly as a zone says.

One worker's thread does it all; a delayed answer delays no other.
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
from ._ports import address_of, bound, host_of, keep, port_of, reset
from ._server_thread import Worker, working

__all__ = ["DNSQuery", "DNSReply", "DNSServer", "Zone", "dns_server"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True


@dataclass(frozen=True, slots=True)
class DNSReply:
    """What a question gets: *records*, *delay* seconds after it came.

    *records* are addresses in numbers, for SRV ``(priority, weight, port,
    target)``; none of them and ``NOERROR`` is an empty answer.  *drop* never
    answers, *truncate* makes the client ask again by TCP.
    """

    records: Sequence[Record] = ()
    delay: float = 0.0
    drop: bool = False
    truncate: bool = False
    rcode: Literal["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"] = "NOERROR"


Zone: TypeAlias = Mapping[tuple[str, str], DNSReply | Sequence[Record]]


@dataclass(frozen=True, slots=True)
class DNSQuery:
    """What was asked: *name* in lower case, *type*, *transport* udp or tcp."""

    name: str
    type: str
    transport: Literal["udp", "tcp"]


class DNSServer:
    """A DNS server; *queries* is what it was asked, in the order it came."""

    def __init__(
        self, zone: Mapping[tuple[str, str], DNSReply], worker: Worker, address: Address
    ) -> None:
        self._zone = zone
        self._worker = worker
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
        """Take one question from *sock*, in the worker's thread."""
        try:
            message, client = sock.recvfrom(4096)
        except OSError:  # pragma: no cover - a checksum was wrong, recv(2) BUGS
            return

        def send(answer: bytes) -> None:
            with suppress(OSError):
                sock.sendto(answer, client)

        self._answer(message, "udp", send)

    def accept(self, listener: socket.socket) -> None:
        """Take one TCP client from *listener*, in the worker's thread."""
        try:
            conn, _ = listener.accept()
        except OSError:  # pragma: no cover - ECONNABORTED, on the BSDs
            return
        keep(conn)
        conn.setblocking(False)
        self._clients[conn] = bytearray()
        self._worker.watch(conn, selectors.EVENT_READ, lambda: self._read(conn))

    def close(self) -> None:
        """Reset the TCP clients that are left, once the worker has stopped."""
        while self._clients:
            conn, _ = self._clients.popitem()
            reset(conn)

    def _read(self, conn: socket.socket) -> None:
        received = self._clients.get(conn)
        if received is None:
            return
        try:
            data = conn.recv(4096)
        except OSError:
            data = b""
        if not data:
            del self._clients[conn]
            self._worker.unwatch(conn)
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
            self._answer(message, "tcp", lambda answer: _send_stream(conn, answer))

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
        reply = self._reply(question)
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
            self._worker.call_at(when, lambda: send(answer))
        else:
            send(answer)

    def _reply(self, question: Question) -> DNSReply:
        reply = self._zone.get((question.name, question.type))
        if reply is not None:
            return reply
        is_known = question.name in self._names
        return DNSReply() if is_known else DNSReply(rcode="NXDOMAIN")


def _send_stream(conn: socket.socket, answer: bytes) -> None:
    # An answer is far smaller than the buffer of a connection that just began.
    with suppress(OSError):
        conn.sendall(len(answer).to_bytes(2, "big") + answer)


@contextmanager
def dns_server(
    zone: Zone, *, host: str = "127.0.0.1", port: int = 0
) -> Generator[DNSServer]:
    """Serve *zone* by UDP and TCP on *port* of *host*; 0 is any free one.

    *zone* maps ``(name, type)`` to a `DNSReply`, or to the list of its records:
    ``{("a.test", "A"): ["192.0.2.1"]}``; types are A, AAAA and SRV.  A name that
    it has with another type is an empty answer, other names are NXDOMAIN.

    Raises:
        ValueError: *zone* has another type, or a record that cannot be one.
        OSError: The port is taken.
    """
    replies = dict(_checked(question, reply) for question, reply in zone.items())
    with ExitStack() as stack:
        tcp, udp = _bound_pair(host, port)
        stack.enter_context(tcp)
        stack.enter_context(udp)
        tcp.listen(128)
        with working("aioconnect-dns") as worker:
            server = DNSServer(replies, worker, address_of(tcp))
            # After the worker's own end: no callback runs any more.
            stack.callback(server.close)
            worker.watch(udp, selectors.EVENT_READ, lambda: server.read_datagram(udp))
            worker.watch(tcp, selectors.EVENT_READ, lambda: server.accept(tcp))
            yield server


def _checked(
    question: object, reply: DNSReply | Sequence[Record]
) -> tuple[tuple[str, str], DNSReply]:
    """Return one entry of a zone, in the form in which it is looked up."""
    match question:
        case (str(name), str(kind)):
            pass
        case _:
            form = '(name, type), such as ("a.test", "A")'
            raise ValueError(f"zone: a key is {form}, not {safe_repr(question)}")
    if kind not in TYPES:
        raise ValueError(f"zone: type {safe_repr(kind)} is none of {', '.join(TYPES)}")
    if not isinstance(reply, DNSReply):
        reply = DNSReply(reply)
    check_duration("delay", reply.delay)
    if isinstance(reply.records, str) or not isinstance(reply.records, Sequence):
        raise TypeError(f"records must be a list, not {safe_repr(reply.records)}")
    for record in reply.records:
        check_record(kind, record)
    return (name.rstrip(".").lower(), kind), reply


def _bound_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return a TCP and a UDP socket with the same port."""
    for _ in range(100):
        tcp = bound(host, port, is_shared=port != 0)
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
