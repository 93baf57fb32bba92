"""Remember the attempts that were announced, and tell which are under way.

Only this module looks at a client's sockets, through weak references and without
changing anything about them.
"""

from __future__ import annotations

import socket
import threading
import weakref
from pathlib import Path
from typing import Literal, TypeAlias

from ._connection_scripts import Conduct

__all__ = ["Attempts", "Word", "conduct_of"]

Word: TypeAlias = Literal[
    "accept", "accept_close", "accept_silent", "hang", "refuse", "reset"
]

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)

# <netinet/tcp.h>: tcpi_state is the first byte of tcp_info.
_TCP_SYN_SENT = 2
_TCP_CLOSE = 7

# tcpi_rcv_mss is 0 until a connect begins, and never again: nothing else tells a
# socket whose connect was refused, and whose error was read, from a new one.
_RCV_MSS = slice(20, 24)


class Attempts:
    """The attempts at *port* that were announced since the port last changed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._attempts: list[_Attempt] = []

    def announce(self, word: Word, sock: socket.socket | None) -> None:
        """Note that the next connect, of *sock* if it is known, is to get *word*."""
        self._attempts = [kept for kept in self._attempts if not kept.is_over()]
        self._attempts.append(_Attempt(word, sock))

    def clear(self) -> None:
        """Forget them: the port is about to change."""
        self._attempts.clear()

    def are_under_way(self) -> bool:
        """Tell whether one of them is still to get what it was promised."""
        if any(attempt.is_under_way() for attempt in self._attempts):
            return True
        is_unknown = any(attempt.sock is None for attempt in self._attempts)
        return is_unknown and _is_half_open(self._port)

    def take(self, client_port: int) -> Conduct | None:
        """Return how the connection from *client_port* is to be treated.

        None: nobody has announced it.
        """
        accepting = [kept for kept in self._attempts if kept.conduct is not None]
        own = [kept for kept in accepting if kept.client_port() == client_port]
        # A client that has closed or detached its socket cannot be asked.
        for attempt in own or [kept for kept in accepting if not kept.is_open()]:
            self._attempts.remove(attempt)
            return attempt.conduct
        return None


class _Attempt:
    """One connect that was announced."""

    __slots__ = ("sock", "thread", "word")

    def __init__(self, word: Word, sock: socket.socket | None) -> None:
        self.word: Word = word
        self.sock = None if sock is None else weakref.ref(sock)
        self.thread = threading.get_ident()

    @property
    def conduct(self) -> Conduct | None:
        """How it is treated once it is accepted, which it may never be."""
        return conduct_of(self.word)

    def is_open(self) -> bool:
        """Tell whether the client's socket can still be asked."""
        return self._ask() is not None

    def is_over(self) -> bool:
        """Tell whether nothing will ever be known of it that matters."""
        return self.conduct is None and self.sock is not None and not self.is_open()

    def client_port(self) -> int | None:
        """Return the port that the client connects from."""
        sock = self._ask()
        try:
            return None if sock is None else int(sock.getsockname()[1])
        except OSError:
            return None

    def is_under_way(self) -> bool:
        """Tell whether it was announced and has not got its fate yet."""
        sock = self._ask()
        if sock is None or self.word == "hang" or _TCP_INFO is None:
            return False
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 24)
        except OSError:
            return False
        if info[0] == _TCP_SYN_SENT:
            return True
        if info[0] == _TCP_CLOSE:
            # Its own thread would be in connect(2), not here.
            was_tried = any(info[_RCV_MSS])
            return not was_tried and self.thread != threading.get_ident()
        # Connected: it is under way until it is accepted, and then forgotten.
        return self.conduct is not None

    def _ask(self) -> socket.socket | None:
        sock = None if self.sock is None else self.sock()
        return None if sock is None or sock.fileno() < 0 else sock


def conduct_of(word: Word) -> Conduct | None:
    """Return how *word* treats a connection; None: there is to be none."""
    if word == "hang" or word == "refuse":
        return None
    return word


def _is_half_open(port: int) -> bool:
    """Tell whether a handshake with *port* still lacks its last segment."""
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
