"""Remember the attempts that a client announced, and tell which are under way.

Only this module looks at a client's sockets.  It holds weak references to them and
changes nothing about them.
"""

from __future__ import annotations

import socket
import threading
import weakref
from pathlib import Path
from typing import Literal, TypeAlias

from ._connection_scripts import ConnectionScript

__all__ = ["AnnouncedAttempts", "Word", "connection_script_of"]

Word: TypeAlias = Literal[
    "accept", "accept_close", "accept_silent", "hang", "refuse", "reset"
]

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)

# <netinet/tcp.h>: tcpi_state is the first byte of tcp_info.
_TCP_SYN_SENT = 2
_TCP_CLOSE = 7

# tcpi_rcv_mss is 0 until a connect begins, and never again.  Nothing else tells a new
# socket from one whose connect was refused and whose error was read.
_RCV_MSS = slice(20, 24)


class AnnouncedAttempts:
    """The attempts at *port* that were announced since the port last changed state."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._attempts: list[_AnnouncedAttempt] = []

    def announce(self, word: Word, sock: socket.socket | None) -> None:
        """Note that the next connect gets *word*.

        *sock* is the socket that will connect, or None if it is unknown.
        """
        self._attempts = [kept for kept in self._attempts if not kept.is_forgettable()]
        self._attempts.append(_AnnouncedAttempt(word, sock))

    def clear(self) -> None:
        """Forget all attempts, because the port is about to change state."""
        self._attempts.clear()

    def are_under_way(self) -> bool:
        """Tell whether an attempt has not yet got the word that it was promised."""
        if any(attempt.is_under_way() for attempt in self._attempts):
            return True
        is_unknown = any(attempt.sock_ref is None for attempt in self._attempts)
        return is_unknown and _has_half_open_handshake(self._port)

    def take_script(self, client_port: int) -> ConnectionScript | None:
        """Return the script for the connection from *client_port*, and forget it.

        Return None if no client announced this connection.
        """
        accepting = [kept for kept in self._attempts if kept.script is not None]
        own = [kept for kept in accepting if kept.client_port() == client_port]
        # If the client has closed or detached its socket, its port is unknown.
        for attempt in own or [kept for kept in accepting if not kept.is_open()]:
            self._attempts.remove(attempt)
            return attempt.script
        return None


class _AnnouncedAttempt:
    """One connect that a client announced."""

    __slots__ = ("sock_ref", "thread_id", "word")

    def __init__(self, word: Word, sock: socket.socket | None) -> None:
        self.word: Word = word
        self.sock_ref = None if sock is None else weakref.ref(sock)
        self.thread_id = threading.get_ident()

    @property
    def script(self) -> ConnectionScript | None:
        """The script for the connection, or None if it will never be accepted."""
        return connection_script_of(self.word)

    def is_open(self) -> bool:
        """Tell whether the client's socket is still open."""
        return self._socket_if_open() is not None

    def is_forgettable(self) -> bool:
        """Tell whether the attempt can no longer matter to any decision."""
        return self.script is None and self.sock_ref is not None and not self.is_open()

    def client_port(self) -> int | None:
        """Return the port that the client connects from, or None if it is unknown."""
        sock = self._socket_if_open()
        try:
            return None if sock is None else int(sock.getsockname()[1])
        except OSError:
            return None

    def is_under_way(self) -> bool:
        """Tell whether the attempt has not yet got what its word promises."""
        sock = self._socket_if_open()
        if sock is None or self.word == "hang" or _TCP_INFO is None:
            return False
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 24)
        except OSError:
            return False
        if info[0] == _TCP_SYN_SENT:
            return True
        if info[0] == _TCP_CLOSE:
            # The announcing thread itself would be in connect(2), and not here.
            was_tried = any(info[_RCV_MSS])
            return not was_tried and self.thread_id != threading.get_ident()
        # A connected socket is under way until it is accepted.
        return self.script is not None

    def _socket_if_open(self) -> socket.socket | None:
        sock = None if self.sock_ref is None else self.sock_ref()
        return None if sock is None or sock.fileno() < 0 else sock


def connection_script_of(word: Word) -> ConnectionScript | None:
    """Return how *word* treats an accepted connection, or None if it allows none."""
    if word == "hang" or word == "refuse":
        return None
    return word


def _has_half_open_handshake(port: int) -> bool:
    """Tell whether a TCP handshake with *port* still lacks its last segment."""
    for name in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/self/net", name).read_text().splitlines()[1:]
        except OSError:  # pragma: no cover - not Linux
            continue
        for line in lines:
            # sl local_address rem_address st ...; state 03 is SYN_RECV.
            _, local, _, state, *_ = line.split()
            if state == "03" and int(local.rpartition(":")[2], 16) == port:
                return True
    return False
