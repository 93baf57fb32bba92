"""Treat each attempt of a client as a script says.

A server never sees the SYNs that the kernel refuses or drops.  Therefore the client
announces its attempts: the server is a ``prepare`` hook.
"""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import get_args

from .._sansio.addresses import Address
from .._sansio.text import safe_repr
from ._attempts import AnnouncedAttempts, Word, connection_script_of
from ._bpf_filters import drop_everything, filters_are_supported
from ._connection_scripts import (
    ConnectionScript,
    ScriptedConnections,
    scripted_connections,
)
from ._ports import host_of, port_of
from ._refusing import HeldPort
from ._server_thread import ServerThread, server_thread
from ._switchable_port import PortState, SwitchablePort

__all__ = ["FlakyServer", "Word", "flaky"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

_WORDS: tuple[str, ...] = get_args(Word)

_BACKLOG = 1024

_ADVICE = (
    "give it to the connector, prepare=[server], or call server.advance() before each"
    " attempt"
)

# How long, in seconds, an announced attempt may take to be made and answered.
_SETTLE_TIMEOUT = 5.0


class FlakyServer:
    """A port that treats attempt k as word k of a script says.

    Use it as a ``prepare`` hook: ``prepare=[server]``.  The connector then calls the
    server with the socket and the `aioconnect.Address` just before each connect(2).
    The call moves the script on, and the port is in its new state when the call
    returns.  The server ignores attempts at other addresses.

    A client without hooks calls `advance` instead.  With neither, each accepted
    connection moves the script on.  The script then stops at "refuse" and "hang",
    because no server can see those attempts; `flaky` warns about it at its end.

    An announced attempt always gets its own word, whatever comes next.  Before the
    port changes, the server waits for the attempts under way, which takes microseconds
    on loopback.  A thread that announces an attempt also waits for another thread
    that is between its hook and its connect(2).

    *address* is the port as an `aioconnect.Address`; *host*, *port* and *sockaddr* are
    its parts.
    """

    def __init__(
        self,
        script: Sequence[Word],
        held_port: HeldPort,
        connections: ScriptedConnections,
        thread: ServerThread,
    ) -> None:
        self._script = tuple(script)
        self._connections = connections
        self._lock = threading.RLock()
        self._switchable_port = SwitchablePort(held_port, thread, self._on_readable)
        self._attempts = AnnouncedAttempts(held_port.port)
        self._log: list[Word] = []
        self._has_announcements = False
        self._was_called = False  # by the client, about any address
        self._is_closed = False
        self.address = held_port.address
        self.sockaddr = held_port.sockaddr
        self.host = held_port.host
        self.port = held_port.port
        self._prepare_port(0)

    def __repr__(self) -> str:
        return f"<FlakyServer {self.address} {list(self._script)}>"

    @property
    def log(self) -> list[Word]:
        """The words that the attempts so far were given."""
        with self._lock:
            return list(self._log)

    @property
    def connections(self) -> int:
        """The number of connections accepted so far, including those reset."""
        return self._connections.count

    def stands_still(self) -> bool:
        """Tell whether the script has words left that no attempt can get.

        This happens after a word that no server can see, or if nobody has connected.
        It never happens if the client calls the server, as ``prepare=[server]`` does.
        """
        with self._lock:
            if self._was_called or len(self._script) == 1:
                return False
            while self._accept_unannounced():
                pass
            number = len(self._log)
            if _port_state(self._word_for(number)) == "open":
                return number == 0
            return number < len(self._script) - 1

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> None:
        """Wait until *count* connections have been accepted, in all.

        Raises:
            TimeoutError: Fewer were accepted within *timeout* seconds (5).
        """
        self._connections.wait_for(count, timeout)

    def __call__(self, sock: socket.socket, address: Address) -> None:
        """Announce an attempt of *sock* at *address*; this is the ``prepare`` hook."""
        self._was_called = True
        if (host_of(address), port_of(address)) == (self.host, self.port):
            self._announce(sock)

    def advance(self) -> None:
        """Announce an attempt.  Call this just before each connect.

        The previous connect has to be over.  Without a socket, the server cannot tell
        which of two attempts a SYN belongs to.
        """
        self._was_called = True
        self._announce(None)

    def close(self) -> None:
        """Refuse from now on, and ignore announcements."""
        with self._lock:
            self._is_closed = True
            self._switchable_port.close()

    def _announce(self, sock: socket.socket | None) -> None:
        with self._lock:
            if self._is_closed:
                return
            number = len(self._log)
            word = self._word_for(number)
            if self._switchable_port.state != _port_state(word) or sock is None:
                self._wait_for_attempts()
            self._has_announcements = True
            self._prepare_port(number)
            self._log.append(word)
            self._attempts.announce(word, sock)
            if word == "hang" and sock is not None:
                # The kernel sends the SYN again later, when the port may listen.
                drop_everything(sock)

    def _wait_for_attempts(self) -> None:
        """Wait until each announced attempt has got what its word promises."""
        deadline = time.monotonic() + _SETTLE_TIMEOUT
        self._accept_waiting()
        while self._attempts.are_under_way() and time.monotonic() < deadline:
            self._switchable_port.wait_readable(0.001)
            self._accept_waiting()
        self._attempts.clear()

    def _word_for(self, number: int) -> Word:
        return self._script[min(number, len(self._script) - 1)]

    def _prepare_port(self, number: int) -> None:
        """Put the port in the state for attempt *number*."""
        backlog = _BACKLOG
        next_state = _port_state(self._word_for(number + 1))
        if not self._has_announcements and next_state != "open":
            # The next client must not get into the queue of this attempt.
            backlog = 0
        self._switchable_port.switch_to(_port_state(self._word_for(number)), backlog)

    def _on_readable(self) -> None:
        with self._lock:
            if self._is_closed:  # while the thread waited for the lock
                return
            if self._has_announcements:
                self._accept_waiting()
            else:
                self._accept_unannounced()

    def _accept_waiting(self) -> None:
        while (accepted := self._switchable_port.accept()) is not None:
            conn, client_port = accepted
            script = self._attempts.take_script(client_port)
            self._connections.serve(conn, script or self._current_connection_script())

    def _current_connection_script(self) -> ConnectionScript:
        """Return the script for a connection that no client announced."""
        word = self._word_for(max(0, len(self._log) - 1))
        return connection_script_of(word) or "reset"

    def _accept_unannounced(self) -> bool:
        """Accept one unannounced connection, and move the script on.

        Return whether there was one.
        """
        number = len(self._log)
        word = self._word_for(number)
        if (connection_script := connection_script_of(word)) is None:
            return False
        if _port_state(self._word_for(number + 1)) != "open":
            # Accepting makes room in the queue, too early for the next client.
            self._switchable_port.silence()
        if (accepted := self._switchable_port.accept()) is not None:
            self._log.append(word)
            self._connections.serve(accepted[0], connection_script)
        self._prepare_port(len(self._log))
        return accepted is not None


def _port_state(word: Word) -> PortState:
    if word == "refuse":
        return "closed"
    return "silent" if word == "hang" else "open"


@contextmanager
def flaky(script: Sequence[Word], host: str = "127.0.0.1") -> Generator[FlakyServer]:
    """Yield a `FlakyServer` that treats attempt k as word k of *script* says.

    The words are ``refuse`` (ECONNREFUSED), ``hang`` (the SYN is dropped), ``reset``
    (accepted, then reset), ``accept_close`` (accepted, then closed in order),
    ``accept_silent`` (accepted, nothing read, nothing written) and ``accept`` (echoes).
    The last word repeats after the end of the script.  *host* is a numeric address
    (127.0.0.1).

    The script stands still at "refuse" and "hang" if the client never calls the server.
    A `RuntimeWarning` says so at the end of the block, unless the block raised.

    Raises:
        ValueError: *script* is empty or has an unknown word, or *host* is a name.
        TypeError: *script* is a str.
        NotImplementedError: The script has "hang", which needs Linux.
        PermissionError: The system lets only root attach a socket filter (later, when
            the script reaches "hang").
    """
    _check_script(script)
    with ExitStack() as stack:
        held_port = HeldPort(host)
        stack.callback(held_port.close)
        thread = stack.enter_context(server_thread("aioconnect-flaky"))
        connections = stack.enter_context(scripted_connections(thread))
        server = FlakyServer(script, held_port, connections, thread)
        stack.callback(server.close)
        yield server
        if server.stands_still():
            text = f"{server} stood still after {len(server.log)} attempts: {_ADVICE}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)  # at the with statement


def _check_script(script: Sequence[Word]) -> None:
    allowed = ", ".join(_WORDS)
    if isinstance(script, str):
        raise TypeError(f"script must be a list of words, not {safe_repr(script)}")
    if not script:
        raise ValueError(f"script is empty; its words can be {allowed}")
    for index, word in enumerate(script):
        if word not in _WORDS:
            raise ValueError(
                f"script: word {index} is {safe_repr(word)}; it can be one of {allowed}"
            )
    if "hang" in script and not filters_are_supported():  # pragma: no cover - not Linux
        raise NotImplementedError("a script with 'hang' needs Linux")
