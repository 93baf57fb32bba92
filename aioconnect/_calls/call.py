"""Drive one call: round by round, an attempt or a race, and what is made of it.

Only here do they meet.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from .._io.connect_outcome import has_peer
from .._io.connecting_socket import ConnectingSocket
from .._io.fd_watchers import check_loop
from .._io.resolver import resolve_local
from .._io.sockets import open_and_connect, start_connect
from .._io.source_addresses import sort_and_interleave
from .._io.timers import collect_in_slices, wait_until_done
from .._io.transports import OnPhase, Wrap, discard_connection
from .._sansio.addresses import Address
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, lookup_expired, lookup_too_late, os_error
from .._sansio.happy_eyeballs import HappyEyeballs
from .host_lookup import AddressSource, HostLookup
from .multi_host_lookup import MultiHostLookup
from .observing import CallObserver, Observer, events, observing
from .options import Options, check_local_addr
from .racer import Racer, Winner
from .ready import pass_ready
from .rounds import Rounds
from .service_lookup import ServiceLookup

__all__ = ["Before", "Call"]

T = TypeVar("T")

# Gives where to go in the turn of a place, or None: the turn has failed, and the
# rounds know why.
Before: TypeAlias = Callable[[Endpoint, Rounds], Awaitable[Endpoint | None]]

_INET = (socket.AF_INET, socket.AF_INET6)


class Call:
    """One call of one of the functions, under way on the running loop."""

    __slots__ = (
        "_before",
        "_begun",
        "_local",
        "_loop",
        "_lost",
        "_options",
        "_places",
        "_proves_socket",
        "_races",
        "_rounds",
        "_sock",
        "_turns",
        "address",
        "knows_all",
    )

    def __init__(
        self,
        options: Options,
        places: Sequence[Endpoint],
        *,
        sock: socket.socket | None = None,
        all_errors: bool = False,
        races: bool = False,
        proves_socket: bool = False,
        begun: ConnectingSocket | AttemptError | None = None,
        before: Before | None = None,
        started: float | None = None,
    ) -> None:
        """*sock* is the caller's own, to be used instead of new ones, once.

        Of several *places* each has its turn, or, if it *races*, all of them at once.
        With *all_errors* a failure is raised as a group of the attempts' errors.
        The option *ready* is given what is made of a socket, or, with *proves_socket*,
        the socket, before anything is.  *begun* is the first attempt, if that is under
        way, or why that failed; nobody has to be asked for an address then.
        *before* each turn it is asked where to go, if that has to be found out.  The
        call begins now, or has *started*.
        """
        self._loop = loop = asyncio.get_running_loop()
        check_loop(loop)
        self._options = options
        self._places = places
        self._turns: deque[Endpoint] = deque()  # those that the round has not come to
        self._races = races
        self._before = before
        self._sock = sock
        self._begun = begun
        self._proves_socket = proves_socket
        self.address: Address | None = None  # what was connected
        self.knows_all = True  # no address may be missing among those that were tried
        self._lost: tuple[Address | None, float, str] | None = None
        self._local: tuple[Address, ...] | None = None
        self._rounds = Rounds(
            loop,
            options,
            places,
            turns=1 if races else len(places),
            retries=sock is None,
            all_errors=all_errors,
            started=started,
        )

    def lost(self, since: float, text: str) -> None:
        """Have what it connected, *since* then, count as an attempt that failed.

        It can be `run` again then, and begins by telling so.
        """
        self._lost = (self.address, since, text)

    def expect(self, seconds: float) -> None:
        """Have the last round before the deadline have time for this much, and more."""
        self._rounds.expect(seconds)

    def resume(self) -> None:
        """Have it `run` again after it was cancelled, from where it was."""
        self._rounds.resume()

    async def run(self, finish: Wrap[T] | None) -> T:
        """Return what *finish* makes of a connected socket; without it, the socket.

        It is the caller's socket as it is, if there is one and no address for it, and
        else the first that is connected.

        Raises:
            ConnectError: None could be connected, or the time is up.
        """
        if isinstance(self._options.observer, CallObserver):
            return await self._observed(self._options.observer, finish)
        loop, options, rounds = self._loop, self._options, self._rounds
        owned = self._sock is None
        made: Any = None
        while made is None:
            if self._begun is None:
                place = await self._next()
                started = loop.time()
            else:
                self._turns.extend(self._places)
                place, started = self._turns.popleft(), rounds.started
                rounds.begin()
            address = None if self._races else place.address
            limit = rounds.until  # a look-up's; an attempt has its own
            try:
                if self._local_is_due(address):
                    await self._find_local()
                    started = loop.time()
                limit = rounds.limit(started)
                if address is None and owned:
                    made = await self._race(place, finish)
                    continue
                sock, code = self._begin(address)
                if code:
                    assert address is not None
                    pending = ConnectingSocket(
                        sock, address, code, options.outcome, started
                    )
                    await pending.settled(loop, limit, owned)
                made = sock
                if finish is not None or options.ready is not None:
                    made = await self._finish(sock, address, finish, limit)
            except AttemptError as exc:
                made = None
                rounds.failed(address, exc, started, limit, host=place.host)
            else:
                self._tell_connected(address, made)
        return made  # type: ignore[no-any-return]  # T, or the socket

    async def _observed(self, observer: CallObserver, finish: Wrap[T] | None) -> T:
        """Do what `run` does, with what *observer* gives to observe this call."""
        made: Any = None
        try:
            with observing(self._loop, observer, *self._rounds.end) as observe:
                self._observe(observe)
                made = await self.run(finish)
        except BaseException:
            if made is not None and made is not self._sock:
                discard_connection(made)
            raise
        finally:
            self._observe(observer)
        return made  # type: ignore[no-any-return]  # T, or the socket

    def _observe(self, observer: Observer) -> None:
        self._options = replace(self._options, observer=observer)
        self._rounds.options = self._options

    async def _next(self) -> Endpoint:
        """Wait for the next turn, and return whose it is.

        The hosts and ports of a service, looked up in each round, have one each.
        """
        rounds = self._rounds
        if self._lost is not None:
            rounds.lost(*self._lost)
            self._lost = None
        while True:
            await rounds.next()
            if rounds.turn == 0:
                self._turns = deque(self._places)
            place = self._turns.popleft()
            found: Endpoint | None = place
            if place.service is not None and not self._races:
                found = await self._expanded(place.service)
            elif self._before is not None:
                found = await self._before(place, rounds)
            if found is not None:
                return found

    async def _expanded(self, service: str) -> Endpoint | None:
        """Put the hosts and ports of *service* in its place, and return the first.

        None is returned when the turn has failed.
        """
        rounds = self._rounds
        started = self._loop.time()
        try:
            asked = ServiceLookup(self._loop, self._options, service)
            if not await wait_until_done(self._loop, asked.future, rounds.until):
                raise lookup_expired("resolve")
            found = await collect_in_slices(asked.places(asked.future), rounds.until)
            if rounds.until is not None and self._loop.time() >= rounds.until:
                raise lookup_too_late("hosts")
        except AttemptError as exc:
            rounds.failed(None, exc, started, rounds.until, host=service)
            return None
        places = [place for place in found if place is not None]
        self._turns.extendleft(reversed(places))
        rounds.turns += len(places) - 1
        rounds.share()
        return self._turns.popleft()

    async def _finish(
        self,
        sock: socket.socket,
        address: Address | None,
        finish: Wrap[Any] | None,
        limit: float | None,
    ) -> Any:
        """Return what *finish* makes of *sock*, once it has proved to be ready.

        Raises:
            AttemptError: It is not, or nothing could be made of it.
        """
        is_told = self._options.observer is not None
        tell = partial(self._tell_phase, address) if is_told else None
        is_asked = self._options.ready is not None
        if is_asked and self._proves_socket:
            await self._prove(sock, sock, limit, tell)
        made: Any = sock
        if finish is not None:
            owned = self._sock is None
            made = await finish(self._loop, sock, limit, owned=owned, tell=tell)
        if is_asked and not self._proves_socket:
            await self._prove(sock, made, limit, tell)
        return made

    def _tell_phase(self, address: Address | None, phase: str) -> None:
        observe = self._options.observer
        if observe is not None and address is not None:
            now = self._loop.time()
            observe(events.PhaseStarted(now, address, self._rounds.number, phase))

    async def _prove(
        self, sock: socket.socket, made: Any, limit: float | None, tell: OnPhase | None
    ) -> None:
        """Wait until what was *made* of *sock* is ready.

        Raises:
            AttemptError: It is not, and is closed if it is ours.
        """
        assert self._options.ready is not None
        try:
            if tell is not None:
                tell("ready")
            await pass_ready(self._options.ready, made, limit)
        except BaseException:
            if self._sock is None or made is not sock:
                discard_connection(made)
            raise

    async def _race(self, place: Endpoint, finish: Wrap[Any] | None) -> Any:
        """Return what is made of the first address that wins, or None: none did."""
        loop, options, rounds = self._loop, self._options, self._rounds
        names = self._names(place)
        race = HappyEyeballs(
            attempt_delay=options.happy_eyeballs_delay,
            resolution_delay=options.resolution_delay,
            order=partial(sort_and_interleave, count=options.interleave or 0),
        )
        racer = Racer(loop, race, names, rounds, self._begin, options.outcome)
        try:
            await racer.ask()
            while (winner := await racer.run()) is not None:
                made = await self._won(racer, winner, finish)
                if made is not None or racer.is_closed:
                    return made
            late = not (racer.is_over or race.has_begun)
            if not racer.is_over:
                rounds.expire()
        finally:
            racer.close()
            if isinstance(
                self._begun, ConnectingSocket
            ):  # the time was up before its turn
                self._begun.sock.close()
            self._begun = None
        self.knows_all = names.knows_all
        await collect_in_slices(map(rounds.not_found, names.failures(late)))
        return None

    def _names(self, place: Endpoint) -> AddressSource:
        if self._races:
            return MultiHostLookup(self._loop, self._options, self._places)
        return HostLookup(self._loop, self._options, place.host, place.port or 0)

    async def _won(self, racer: Racer, winner: Winner, finish: Wrap[Any] | None) -> Any:
        """Return what is made of *winner*, or None: it came to nothing."""
        is_asked = self._options.ready is not None
        if is_asked:
            racer.rest()  # the next may be ready if this one is not
            now = self._loop.time()
            limit = self._rounds.patience(now, winner.limit, racer.others)
            winner = winner._replace(limit=limit)
        else:
            racer.close()
        sock, limit = winner.sock, winner.limit
        try:
            made = await self._finish(sock, winner.address, finish, limit)
        except AttemptError as exc:
            racer.failed(winner, exc)
            if exc.phase != "ready":
                racer.close()  # a handshake that fails ends the round
            return None
        self._tell_connected(winner.address, made)
        return made

    def _begin(self, address: Address | None) -> tuple[socket.socket, int]:
        """Start an attempt at *address*; return its socket and the first answer.

        None stands for the caller's socket as it is.

        Raises:
            AttemptError: It came to nothing.
        """
        options, begun = self._options, self._begun
        if begun is not None:
            self._begun = None
            if isinstance(begun, AttemptError):
                # Another one: this one is held by frames, which it would hold.
                raise type(begun)(begun.phase, begun.error, sent=begun.sent)
            return begun.sock, begun.code
        if address is None:
            assert self._sock is not None
            if code := has_peer(self._sock):
                text = "sock is not connected: connect it first"
                raise AttemptError("adopt", os_error(code, text))
            return self._sock, 0
        if options.allow is not None:
            from .._sansio.ip_filter import is_allowed  # noqa: PLC0415  # it came with the option

            if not is_allowed(options.allow, address):
                error = os_error(errno.EACCES, "not allowed")
                raise AttemptError("guard", error, sent=False)
        if options.observer is not None:
            now = self._loop.time()
            options.observer(events.AttemptStarted(now, address, self._rounds.number))
        if self._sock is None:
            return open_and_connect(address, options.prepare, self._local)
        return self._sock, start_connect(self._sock, address, owned=False)

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
        self._local = await resolve_local(self._loop, pairs, self._rounds.until)

    def _tell_connected(self, address: Address | None, made: object) -> None:
        self.address = address
        try:
            self._rounds.tell_connected(address)
        except BaseException:
            if self._sock is None:
                discard_connection(made)
            raise
