"""Hostile peers, which cost a client as much as they can: servers and DNS servers.

They run in threads of their own, so the CPU time of the loop's thread shows their cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TypeAlias

from aioconnect.testing._dns_message import Question, parse_question

__all__ = [
    "MOST_SENT",
    "Answer",
    "HostileDNS",
    "HostileServer",
    "Speak",
    "hostile",
    "hostile_dns",
    "message",
]

# Much more than the octets that a peer can send to a client which reads no more than
# necessary.  The buffers are as small as the kernel makes them.  asyncio's streams stop
# at 128 kB, but read 256 kB at once.
MOST_SENT = 1_000_000

# Yields what the server sends to one client.
Speak: TypeAlias = Callable[[], Iterable[bytes]]

# Yields the answers to a question, by TCP or by UDP.
Answer: TypeAlias = Callable[[Question, bool], Iterable[bytes]]


class HostileServer:
    """A server that sends each client what *speak* yields, until it is cut off.

    It counts the *connects*, and the octets *sent*.
    """

    def __init__(self, speak: Speak, listener: socket.socket) -> None:
        self._speak = speak
        self._listener = listener
        self._live: set[socket.socket] = set()
        self.host, self.port = listener.getsockname()
        self.threads: list[threading.Thread] = []
        self.connects = 0
        self.sent = 0

    def serve(self) -> None:
        """Accept until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self._listener.accept()
                self.connects += 1
                self.start(self._talk, conn)

    def start(self, target: Callable[..., None], *arguments: object) -> None:
        """Run *target* in a thread."""
        thread = threading.Thread(target=target, args=arguments)
        self.threads.append(thread)
        thread.start()

    def _talk(self, conn: socket.socket) -> None:
        self._live.add(conn)
        with conn, contextlib.suppress(OSError):
            for data in self._speak():
                left = memoryview(data)
                while left:
                    count = conn.send(left)
                    self.sent += count
                    left = left[count:]
        self._live.discard(conn)

    def close(self) -> None:
        """Cut off every client, and wait for the threads to end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()  # the thread that accepts
        for thread in self.threads:
            while thread.is_alive():
                for conn in list(self._live):
                    with contextlib.suppress(OSError):
                        conn.shutdown(socket.SHUT_RDWR)
                thread.join(0.05)

    async def has_said_all(self) -> None:
        """Wait until nothing more can be sent, or more was sent than is allowed."""
        sent, since = -1, time.monotonic()
        while sent <= MOST_SENT and time.monotonic() - since < 0.1:
            if self.sent != sent:
                sent, since = self.sent, time.monotonic()
            await asyncio.sleep(0.005)


@contextmanager
def hostile(speak: Speak) -> Generator[HostileServer]:
    """Yield a server for *speak* on a port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server = HostileServer(speak, listener)
        server.start(server.serve)
        try:
            yield server
        finally:
            server.close()


class HostileDNS:
    """A DNS server that answers a question as *answer* says, by UDP and TCP.

    It counts the *queries*.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.queries = 0
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.bind(self._tcp.getsockname())
        host, port = self._tcp.getsockname()
        self.nameserver = f"{host}:{port}"
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve_udp),
            threading.Thread(target=self._serve_tcp),
        ]
        for thread in self._threads:
            thread.start()

    def _serve_udp(self) -> None:
        while True:
            message, client = self._udp.recvfrom(4096)
            if self._is_over.is_set():
                return
            for answer in self._answers(message, False):
                self._udp.sendto(answer, client)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self._tcp.accept()
                with conn, contextlib.suppress(OSError):
                    conn.settimeout(5)
                    while size := conn.recv(2, socket.MSG_WAITALL):
                        message = conn.recv(int.from_bytes(size), socket.MSG_WAITALL)
                        for answer in self._answers(message, True):
                            conn.sendall(len(answer).to_bytes(2) + answer)

    def _answers(self, message: bytes, is_tcp: bool) -> Iterable[bytes]:
        self.queries += 1
        return self._answer(parse_question(message), is_tcp)

    def close(self) -> None:
        """End the threads."""
        self._is_over.set()
        self._udp.sendto(b"", self._udp.getsockname())
        self._tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()


@contextmanager
def hostile_dns(answer: Answer) -> Generator[HostileDNS]:
    """Yield a server for *answer*, by UDP and TCP, on the loopback interface."""
    server = HostileDNS(answer)
    try:
        yield server
    finally:
        server.close()


def message(
    question: Question,
    *records: tuple[int, bytes],
    flags: int = 0x8180,
    identifier: int | None = None,
) -> bytes:
    """Return an answer to *question*, with *records* (type and data) for its name."""
    number = question.id if identifier is None else identifier
    head = struct.pack("!6H", number, flags, 1, len(records), 0, 0)
    answers = (
        b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
        for kind, data in records
    )
    return head + question.raw + b"".join(answers)
