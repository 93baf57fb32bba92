"""Carry out one call: try, back off and try again, until something is connected.

`RetrySchedule` decides what comes next.  `race` tries the addresses of a host, and
`Dialer.attempt` a single address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from .._io.connecting_socket import ConnectingSocket
from .._io.fd_watchers import check_loop
from .._io.timers import collect_in_slices, sleep_until, wait_until_done
from .._io.transports import Wrap
from .._sansio.addresses import INET, Address
from .._sansio.deadline import Deadline, attempt_deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, lookup_expired, lookup_too_late
from .._sansio.retry_schedule import GiveUp, RetrySchedule, Sleep, Step
from .call_record import CallRecord
from .dialer import Dialer
from .first_addresses import first_addresses, local_addresses
from .host_lookup import HostLookup
from .lookup_queue import AddressProvider
from .multi_target_lookup import MultiTargetLookup
from .observing import CallObserver, observing
from .options import Options
from .race import race
from .service_lookup import ServiceLookup

__all__ = ["ConnectOperation", "FindEndpoint"]

# How many turns may fail in a row before the loop gets to run.
_IN_A_ROW = 16


class ConnectOperation:
    """One call that connects to one of *endpoints*, on the running loop.

    In each round every endpoint has its turn.  If *raced*, they share one turn.
    *wrap* makes a connection of the connected socket.  Without *wrap*, the socket is
    returned.  *sock* is a socket of the caller's to connect instead of a new one, in a
    single round.  The option *ready* gets the connection, or, with
    *ready_gets_socket*, the socket before it is wrapped.  *find_endpoint* is called in
    each turn, and returns the endpoint to dial.  With *all_errors*, a failure is raised
    as a group of the attempts' errors.
    """

    __slots__ = (
        "_all_errors",
        "_dialer",
        "_endpoints",
        "_find_endpoint",
        "_lookup",
        "_loop",
        "_lost",
        "_raced",
        "found_all_addresses",
        "record",
    )

    def __init__(
        self,
        options: Options,
        endpoints: Sequence[Endpoint],
        wrap: Wrap[Any] | None = None,
        *,
        sock: socket.socket | None = None,
        all_errors: bool = False,
        raced: bool = False,
        ready_gets_socket: bool = False,
        find_endpoint: FindEndpoint | None = None,
        first: ConnectingSocket | AttemptError | None = None,
        lookup: HostLookup | None = None,
        started: float | None = None,
    ) -> None:
        """Begin now or, if the fast path has, at the time *started*.

        Then *lookup* is what it began to look up, and *first* the first attempt.
        """
        self._loop = loop = asyncio.get_running_loop()
        check_loop(loop)
        self._endpoints = endpoints
        self._all_errors = all_errors
        self._raced = raced
        self._find_endpoint = find_endpoint
        schedule = RetrySchedule(
            endpoints,
            started=loop.time() if started is None else started,
            timeout=options.timeout,
            delays=options.retry if sock is None else None,
            races=raced,
        )
        self.record = CallRecord(loop, options, endpoints, schedule)
        self._dialer = Dialer(loop, self.record, wrap, sock, ready_gets_socket, first)
        self._lost: tuple[float, str] | None = None
        # Whether the last round has found every address of the server.
        self.found_all_addresses = True
        self._lookup = lookup

    def begin_with(
        self, failure: AttemptError, address: Address, started: float | None = None
    ) -> None:
        """Record the *failure* of the only attempt of the first round, at *address*.

        It was made before, and *started* then (default: when the call started).
        """
        record = self.record
        if started is None:
            started = record.schedule.started
        _, turn = record.schedule.begin()
        deadline = attempt_deadline(turn, started, record.options.attempt_timeout)
        record.failed(failure, address, started, deadline)

    async def run(self) -> Any:
        """Return the connection.  The caller owns it.

        When this raises, cancellation included, everything that it opened is closed.

        Raises:
            ConnectError: Nothing could be connected, or the time is up.
        """
        record = self.record
        observer = record.options.observer
        if not isinstance(observer, CallObserver):
            return await self._run()
        connection: Any = None
        try:
            with observing(self._loop, observer, *record.host_and_port) as observe:
                record.observe = observe
                connection = await self._run()
        except BaseException:
            if connection is not None:
                self._dialer.discard(connection)
            raise
        finally:
            record.observe = observer
        return connection

    async def _run(self) -> Any:
        loop, record = self._loop, self.record
        if self._lost is not None:
            record.lost(*self._lost)
            self._lost = None
        turns = 0
        while True:
            now = loop.time()
            step: Step
            if self._lookup is not None:
                step = record.schedule.begin()  # it has begun; its time may be up
            else:
                step = record.schedule.next(now, record.may_retry)
            if isinstance(step, GiveUp):
                self._drop_first()
                # Perhaps nothing has waited so far.  Without this, a caller that tries
                # again at once, and for ever, would let no other task run.
                await asyncio.sleep(0)
                raise record.error(step.is_timeout, self._all_errors)
            if isinstance(step, Sleep):
                if record.observe is not None and step.delay is not None:
                    record.retry_scheduled(now, step.delay)
                await sleep_until(loop, step.until)
                turns = 0
                self.found_all_addresses = True
                record.schedule.rested()
                continue
            turns += 1
            if turns % _IN_A_ROW == 0:
                await asyncio.sleep(0)
                now = loop.time()
            connection = await self._try(step.endpoint, step.deadline, now)
            if connection is not None:
                return connection

    async def _try(self, endpoint: Endpoint, turn: Deadline, started: float) -> Any:
        """Return a connection to *endpoint*, or None after recording why not."""
        try:
            if endpoint.service is not None and not self._raced:
                endpoint, turn = await self._expand(endpoint.service, turn)
                started = self._loop.time()
            elif self._find_endpoint is not None:
                found = await self._find_endpoint(endpoint, turn, self)
                if found is None:
                    return None
                endpoint = found
                started = self._loop.time()
            if self.record.options.local_addr is not None:
                address = None if self._raced else endpoint.address
                await self._resolve_local(address, turn)
                started = self._loop.time()
            is_known = endpoint.address is not None or self._dialer.sock is not None
            if is_known and not self._raced:
                # Without an address, the caller has connected the socket.
                return await self._dialer.attempt(endpoint.address, turn, started)
            provider = self._provider(endpoint)
            connection = await race(self._dialer, provider, turn)
            if connection is None and not provider.is_complete:
                self.found_all_addresses = False
        except AttemptError as exc:
            address = None if self._raced else endpoint.address
            host = endpoint.service or endpoint.host
            self.record.failed(exc, address, started, turn, host=host)
            return None
        finally:
            self._drop_first()
        return connection

    def _drop_first(self) -> None:
        """End what the fast path has begun, if it was not used."""
        self._dialer.drop_first()
        if self._lookup is not None:
            self._lookup.cancel()
            self._lookup = None

    def _provider(self, endpoint: Endpoint) -> AddressProvider:
        if self._raced:
            return MultiTargetLookup(self._loop, self.record, self._endpoints)
        if self._lookup is not None:
            return self._lookup
        record = self.record
        return HostLookup(self._loop, record.options, record.observe, endpoint)

    async def _expand(self, service: str, turn: Deadline) -> tuple[Endpoint, Deadline]:
        """Replace the turn by one for each endpoint of *service*; return the first.

        Raises:
            AttemptError: The look-up failed, or took too long.
        """
        lookup = ServiceLookup(self._loop, self.record, service)
        if not await wait_until_done(self._loop, lookup.future, turn.at):
            raise lookup_expired("resolve")
        found = await collect_in_slices(lookup.endpoints(lookup.future), turn.at)
        now = self._loop.time()
        if turn.has_passed(now):
            raise lookup_too_late("hosts")
        endpoints = [one for one in found if one is not None]
        return self.record.schedule.expand(endpoints, now)

    async def _resolve_local(self, address: Address | None, turn: Deadline) -> None:
        """Resolve the option *local_addr*, if a new socket will be bound to it.

        Raises:
            AttemptError: The option has no address.
        """
        dialer, local_addr = self._dialer, self.record.options.local_addr
        if (
            local_addr is None
            or dialer.local_addresses is not None
            or dialer.sock is not None
        ):
            return
        if address is not None and address.family not in INET:
            return
        options = self.record.options
        dialer.local_addresses = await local_addresses(self._loop, options, turn.at)

    async def look_up(
        self, endpoint: Endpoint, turn: Deadline, family: int | None = None
    ) -> Sequence[Address]:
        """Return the addresses of *endpoint*, or none after a failure.

        Use this where no race waits for late answers.  *family*, if given, replaces the
        option of that name.  The record keeps the failures.
        """
        record, started = self.record, self._loop.time()
        options = record.options
        if family is not None:
            options = replace(options, family=family)
        lookup = HostLookup(self._loop, options, record.observe, endpoint)
        try:
            found = await first_addresses(self._loop, options, lookup, turn.at)
        except AttemptError as exc:
            record.failed(exc, None, started, turn, host=endpoint.host)
            return ()
        for failure in () if found else lookup.failures():
            record.lookup_failed(turn, failure)
        return found

    def lost(self, since: float, text: str) -> None:
        """Count the connection, open *since* then, as a failed attempt.

        The next `run` continues with the next delay of the policy.
        """
        self._lost = since, text

    def resume(self) -> None:
        """Make the next `run` continue where a cancellation has ended this one."""
        self.record.schedule.resume(self._loop.time())


# Returns the endpoint to dial in the turn of an endpoint, or None after recording why
# the turn has failed.
FindEndpoint: TypeAlias = Callable[
    [Endpoint, Deadline, ConnectOperation], Awaitable[Endpoint | None]
]
