"""Give each attempt of a client what a script says.

A server sees neither a SYN that the kernel refuses nor one that it drops, so
the client announces its attempts: the server is a ``prepare`` hook.
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
from ._attempts import Attempts, Word, conduct_of
from ._bpf_filters import drop_everything, filters_exist
from ._connection_scripts import Conduct, Connections, serving
from ._ports import host_of, port_of
from ._refusing import HeldPort
from ._server_thread import Worker, working
from ._switchable_port import Gate, State

__all__ = ["FlakyServer", "Word", "flaky"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

_WORDS: tuple[str, ...] = get_args(Word)

_BACKLOG = 1024

_ADVICE = (
    "give it to the connector, prepare=[server], or call server.advance() before each"
    " attempt"
)

# How long an attempt that was announced may take to be made, and answered.
_PATIENCE = 5.0


class FlakyServer:
    """A port that treats attempt k as word k of a script says.

    Use it as a ``prepare`` hook, ``prepare=[server]``: called with the socket
    and the `aioconnect.Address` just before each connect(2), it moves the script
    on, and the port is in its new state when the call returns.  An attempt at
    another address is none of its business.  A client without hooks calls
    `advance` instead.  With neither, each accepted connection moves the script
    on, and "refuse" and "hang", which no server can see, stay.  `flaky` warns at its
    end if the script stands still for that.

    What was announced keeps its fate, whatever comes next: before the port
    changes, the attempts under way are waited for, which takes microseconds on
    loopback; a thread that announces an attempt while another one is between
    its hook and its connect(2) waits for that one too.
    """

    def __init__(
        self,
        script: Sequence[Word],
        held: HeldPort,
        connections: Connections,
        worker: Worker,
    ) -> None:
        self._script = tuple(script)
        self._connections = connections
        self._lock = threading.RLock()
        self._gate = Gate(held, worker, self._on_readable)
        self._attempts = Attempts(held.port)
        self._log: list[Word] = []
        self._is_announced = False
        self._is_known = False  # to the client
        self._is_closed = False
        self.address = held.address
        self.sockaddr = held.sockaddr
        self.host = held.host
        self.port = held.port
        self._show(0)

    def __repr__(self) -> str:
        return f"<FlakyServer {self.address} {list(self._script)}>"

    @property
    def log(self) -> list[Word]:
        """What each attempt so far was given."""
        with self._lock:
            return list(self._log)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far, those reset included."""
        return self._connections.count

    def stands_still(self) -> bool:
        """Tell whether the script has words that no attempt was given, and can be.

        That is so behind a word that no server can see, and where nobody has connected,
        unless the client has called the server, as ``prepare=[server]`` does.
        """
        with self._lock:
            if self._is_known or len(self._script) == 1:
                return False
            while self._take_next():
                pass
            number = len(self._log)
            if _state(self._word(number)) == "open":
                return number == 0
            return number < len(self._script) - 1

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> None:
        """Wait until *count* connections were accepted, in all.

        Raises:
            TimeoutError: They were not within *timeout* seconds.
        """
        self._connections.wait_for(count, timeout)

    def __call__(self, sock: socket.socket, address: Address) -> None:
        """Announce an attempt of *sock* at *address*: a ``prepare`` hook."""
        self._is_known = True
        if (host_of(address), port_of(address)) == (self.host, self.port):
            self._announce(sock)

    def advance(self) -> None:
        """Announce an attempt: call it just before each connect.

        The connect before it has to be over: without its socket, nobody can
        tell which of two attempts a SYN belongs to.
        """
        self._is_known = True
        self._announce(None)

    def close(self) -> None:
        """Refuse from now on, and give way to whoever owns the port."""
        with self._lock:
            self._is_closed = True
            self._gate.close()

    def _announce(self, sock: socket.socket | None) -> None:
        with self._lock:
            if self._is_closed:
                return
            number = len(self._log)
            word = self._word(number)
            if self._gate.state != _state(word) or sock is None:
                self._settle()
            self._is_announced = True
            self._show(number)
            self._log.append(word)
            self._attempts.announce(word, sock)
            if word == "hang" and sock is not None:
                # It will send its SYN again, when the port may listen.
                drop_everything(sock)

    def _settle(self) -> None:
        """Wait until each attempt that was announced has got what it should."""
        deadline = time.monotonic() + _PATIENCE
        self._take_all()
        while self._attempts.are_under_way() and time.monotonic() < deadline:
            self._gate.wait(0.001)
            self._take_all()
        self._attempts.clear()

    def _word(self, number: int) -> Word:
        return self._script[min(number, len(self._script) - 1)]

    def _show(self, number: int) -> None:
        """Put the port in the state that attempt *number* is to find."""
        backlog = _BACKLOG
        if not self._is_announced and _state(self._word(number + 1)) != "open":
            # Whoever comes next must not wait in the queue of this attempt.
            backlog = 0
        self._gate.show(_state(self._word(number)), backlog)

    def _on_readable(self) -> None:
        with self._lock:
            if self._is_announced:
                self._take_all()
            else:
                self._take_next()

    def _take_all(self) -> None:
        while (accepted := self._gate.accept()) is not None:
            conn, client_port = accepted
            conduct = self._attempts.take(client_port)
            self._connections.serve(conn, conduct or self._current_conduct())

    def _current_conduct(self) -> Conduct:
        """Return how a connection is treated that nobody has announced."""
        return conduct_of(self._word(max(0, len(self._log) - 1))) or "reset"

    def _take_next(self) -> bool:
        """Accept one connection that nobody announced, and move on, if there is one."""
        number = len(self._log)
        word = self._word(number)
        if (conduct := conduct_of(word)) is None:
            return False
        if _state(self._word(number + 1)) != "open":
            # Accepting makes room in the queue: too early for the next client.
            self._gate.silence()
        if (accepted := self._gate.accept()) is not None:
            self._log.append(word)
            self._connections.serve(accepted[0], conduct)
        self._show(len(self._log))
        return accepted is not None


def _state(word: Word) -> State:
    if word == "refuse":
        return "closed"
    return "silent" if word == "hang" else "open"


@contextmanager
def flaky(script: Sequence[Word], host: str = "127.0.0.1") -> Generator[FlakyServer]:
    """Treat attempt k at a port of *host* as word k of *script* says.

    The words: ``refuse`` (ECONNREFUSED), ``hang`` (the SYN is dropped),
    ``reset`` (accepted, then reset), ``accept_close`` (accepted, then ended in
    order), ``accept_silent`` (accepted, nothing read, nothing written) and
    ``accept`` (echoes).  The last word is repeated once the script is over.

    A `RuntimeWarning` says at the end that the script stood still, if the block has
    raised nothing: the client was not told of the server.

    Raises:
        ValueError: *script* is empty or has an unknown word; *host* is a name.
        NotImplementedError: "hang" on a system without socket filters.
    """
    _check(script)
    with ExitStack() as stack:
        held = HeldPort(host)
        stack.callback(held.close)
        worker = stack.enter_context(working("aioconnect-flaky"))
        connections = stack.enter_context(serving(worker))
        server = FlakyServer(script, held, connections, worker)
        stack.callback(server.close)
        yield server
        if server.stands_still():
            text = f"{server} stood still after {len(server.log)} attempts: {_ADVICE}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)  # at the with statement


def _check(script: Sequence[Word]) -> None:
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
    if "hang" in script and not filters_exist():  # pragma: no cover - not Linux
        raise NotImplementedError("a script with 'hang' needs Linux")
