"""Drive one call: round by round, an attempt or a race, and what is made of it.

Only here do they meet.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any, TypeVar

from ._address import Address
from ._adopt import Finish, discard
from ._errors import AttemptError, os_error
from ._events import AttemptStarted
from ._eyeballs import Race
from ._guard import is_allowed
from ._names import Names
from ._options import Options, check_local_addr
from ._pending import settle
from ._racer import Racer, Winner
from ._resolver import resolve_local
from ._rounds import Rounds
from ._sockets import begin, start
from ._watchers import check_loop

__all__ = ["Call", "at_once"]

T = TypeVar("T")

_INET = (socket.AF_INET, socket.AF_INET6)


def at_once(
    options: Options, address: Address | None
) -> tuple[socket.socket, int] | None:
    """Begin the first attempt, if nothing has to be done and nobody told before it.

    A connect that the kernel answers at once then costs nothing else: no `Call`
    is made for it.
    """
    if address is None or options.observer is not None or options.prepare:
        return None
    if options.local_addr is not None or options.allow is not None:
        return None
    if options.timeout == 0:
        return None
    check_loop(asyncio.get_running_loop())
    try:
        return begin(address, (), None)
    except AttemptError:
        return None  # it is made once more, and then it counts


class Call:
    """One call of one of the functions, under way on the running loop."""

    __slots__ = ("_host", "_local", "_loop", "_options", "_port", "_rounds", "_sock")

    def __init__(
        self,
        options: Options,
        host: str | None,
        port: int | None,
        sock: socket.socket | None = None,
        all_errors: bool = False,
    ) -> None:
        """*sock* is the caller's own, to be used instead of new ones, once.

        With *all_errors* a failure is raised as a group of the attempts' errors.
        """
        self._loop = loop = asyncio.get_running_loop()
        check_loop(loop)
        self._options = options
        self._host = host
        self._port = port
        self._sock = sock
        self._local: tuple[Address, ...] | None = None
        self._rounds = Rounds(
            loop, options, host, port, retries=sock is None, all_errors=all_errors
        )

    async def run(
        self,
        address: Address | None,
        finish: Finish[T] | None,
        begun: tuple[socket.socket, int] | None = None,
    ) -> T:
        """Return what *finish* makes of a connected socket; without it, the socket.

        Without an *address* it is the caller's socket as it is, if there is one,
        and else the first that is connected of all that the host has.  *begun* is
        the first attempt, if that is under way.

        Raises:
            ConnectError: None could be connected, or the time is up.
        """
        loop, options, rounds = self._loop, self._options, self._rounds
        owned = self._sock is None
        while True:
            if begun is None:
                await rounds.next()
            else:
                rounds.number = 1
            where, started = address, loop.time()
            limit = rounds.deadline  # a look-up's; an attempt has its own
            try:
                if self._local_is_due(address):
                    await self._find_local()
                    started = loop.time()
                limit = rounds.limit(started)
                if address is None and owned:
                    winner = await self._race()
                    if winner is None:
                        continue
                    sock, where, started, limit = winner
                else:
                    sock, code = begun or self._begin(address)
                    begun = None
                    if code:
                        assert address is not None
                        outcome = options.outcome
                        await settle(loop, sock, address, code, limit, outcome, owned)
                made: Any = sock
                if finish is not None:
                    made = await finish(loop, sock, limit, owned=owned)
            except AttemptError as exc:
                rounds.failed(where, exc, started, limit)
            else:
                self._tell_connected(where, made)
                return made  # type: ignore[no-any-return]  # T, or the socket

    async def _race(self) -> Winner | None:
        """Return the first of the host's addresses that is connected, or None."""
        loop, options, rounds = self._loop, self._options, self._rounds
        names = Names(loop, options, self._host, self._port or 0)
        known = names.known()
        families = names.families if known is None else ()
        race = Race(
            families,
            attempt_delay=options.happy_eyeballs_delay,
            resolution_delay=options.resolution_delay,
            order=names.ordered,
        )
        if known is not None:
            race.answered(options.family, known, loop.time())
        racer = Racer(loop, race, names, rounds, self._begin, options.outcome)
        winner = await racer.run(families)
        if winner is None:
            if not race.is_over:
                rounds.expire()
            if not race.has_addresses:
                for exc, started, ended in names.failures():
                    rounds.failed(None, exc, started, rounds.deadline, ended)
        return winner

    def _begin(self, address: Address | None) -> tuple[socket.socket, int]:
        """Start an attempt at *address*; return its socket and the first answer.

        None stands for the caller's socket as it is.

        Raises:
            AttemptError: It came to nothing.
        """
        options = self._options
        if address is None:
            assert self._sock is not None
            return self._sock, 0
        if options.allow is not None and not is_allowed(options.allow, address):
            error = os_error(errno.EACCES, "not allowed")
            raise AttemptError("guard", error, sent=False)
        if options.observer is not None:
            now = self._loop.time()
            options.observer(AttemptStarted(now, address, self._rounds.number))
        if self._sock is None:
            return begin(address, options.prepare, self._local)
        return self._sock, start(self._sock, address, owned=False)

    def _local_is_due(self, address: Address | None) -> bool:
        """Tell whether there will be a socket to bind whose address is not known."""
        return (
            self._options.local_addr is not None
            and self._local is None
            and self._sock is None
            and (address is None or address.family in _INET)
        )

    async def _find_local(self) -> None:
        """Find out which addresses to bind to.

        Raises:
            AttemptError: They have no address.
        """
        assert self._options.local_addr is not None
        pairs = check_local_addr(self._options.local_addr)
        self._local = await resolve_local(self._loop, pairs, self._rounds.deadline)

    def _tell_connected(self, address: Address | None, made: object) -> None:
        try:
            self._rounds.tell_connected(address)
        except BaseException:
            if self._sock is None:
                discard(made)
            raise
