"""Carry out one call: try, back off and try again, until something is connected.

`RetrySchedule` decides what comes next.  `race` tries the addresses of a host, and
`Dialer.attempt` a single address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._io.connecting_socket import ConnectingSocket
from .._io.fd_watchers import check_loop
from .._io.timers import sleep_until
from .._io.transports import Wrap
from .._sansio.addresses import INET, Address
from .._sansio.deadline import Deadline, attempt_deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError
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
from .service_lookup import find_service

if TYPE_CHECKING:
    from .passages import Passages

__all__ = ["ConnectOperation"]

# How many turns may fail in a row before the loop gets to run.
_IN_A_ROW = 16


class ConnectOperation:
    """One call that connects to one of *endpoints*, on the running loop.

    In each round every endpoint has its turn.  If *raced*, they share one turn.
    *wrap* makes a connection of the connected socket.  Without *wrap*, the socket is
    returned.  *sock* is a socket of the caller's to connect instead of a new one, in a
    single round.  The option *ready* gets the connection, or, with
    *ready_gets_socket*, the socket before it is wrapped.  With *all_errors*, a failure
    is raised as a group of the attempts' errors.
    """

    __slots__ = (
        "_all_errors",
        "_dialer",
        "_endpoints",
        "_lookup",
        "_loop",
        "_lost",
        "_passages",
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
        first: ConnectingSocket | AttemptError | None = None,
        lookup: HostLookup | None = None,
        started: float | None = None,
    ) -> None:
        """Begin now or, if the fast path has, at the time *started*.

        Then *lookup* is what it began to look up, and *first* the first attempt.

        Raises:
            ValueError: No proxy of the options can connect to an endpoint.
        """
        self._loop = loop = asyncio.get_running_loop()
        check_loop(loop)
        self._all_errors = all_errors
        self._raced = raced
        self._passages: Passages | None = None
        if options.route is not None:
            from .passages import Passages  # noqa: PLC0415  # who has a route has it

            self._passages = Passages(
                options, endpoints, wrap, raced, ready_gets_socket
            )
            endpoints = self._passages.endpoints
        self._endpoints = endpoints
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
            count = record.endpoint_count
            where = record.host_and_port
            with observing(self._loop, observer, *where, count) as observe:
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
                found = await find_service(
                    self._loop, self.record, endpoint.service, turn
                )
                endpoint, turn = self.record.schedule.expand(found, self._loop.time())
                started = self._loop.time()
            if self._passages is not None:
                way = self._passages.enter(endpoint, turn, self, self._dialer)
                if (first := await way) is None:
                    return None
                endpoint = first
                started = self._loop.time()
            sock = self._dialer.sock
            if sock is not None and not endpoint.address and endpoint.host is not None:
                addresses = await self.look_up(endpoint, turn, sock.family)
                if not addresses:
                    return None
                endpoint = endpoint._replace(address=addresses[0])
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
