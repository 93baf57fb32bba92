"""Look up the hosts and ports of a service: its SRV records, in RFC 2782's order.

The resolver looks up the records, if it has a method ``services(service)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from .._io.resolver import AnswerFuture, start_lookup
from .._io.targets import Target
from .._io.timers import collect_in_slices, wait_until_done
from .._sansio.deadline import Deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, lookup_expired, lookup_too_late, os_error
from .._sansio.srv_records import SRVRecord, srv_order
from .._sansio.text import safe_repr
from .arguments import endpoint_from_host
from .backoff import random_fraction
from .call_record import CallRecord
from .observing import events
from .options import Options

__all__ = ["ServiceLookup", "check_services", "find_service"]


def check_services(options: Options, targets: Iterable[Target]) -> None:
    """Raise if *targets* has a service, and the resolver looks up no services."""
    for target in targets:
        if target.service is not None and _look_up(options) is None:
            raise ValueError(
                f"target {target} needs a resolver that looks up SRV records, such as"
                " resolver=aioconnect.contrib.aiodns.AiodnsResolver()"
            )


def _look_up(options: Options) -> Any:
    look_up = getattr(options.resolver, "services", None)
    return look_up if callable(look_up) else None


async def find_service(
    loop: asyncio.AbstractEventLoop, record: CallRecord, service: str, turn: Deadline
) -> list[Endpoint]:
    """Look up *service* in its *turn*, and return its endpoints.

    Raises:
        AttemptError: The look-up failed, or took too long.
    """
    lookup = ServiceLookup(loop, record, service)
    if not await wait_until_done(loop, lookup.future, turn.at):
        raise lookup_expired("resolve")
    found = await collect_in_slices(lookup.endpoints(lookup.future), turn.at)
    if turn.has_passed(loop.time()):
        raise lookup_too_late("hosts")
    return [one for one in found if one is not None]


class ServiceLookup:
    """A look-up of the records of *service*.  Making the object begins it."""

    __slots__ = ("_loop", "_record", "future", "service", "started")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, record: CallRecord, service: str
    ) -> None:
        self._loop = loop
        self._record = record
        self.service = service
        self.started = loop.time()
        if record.observe is not None:
            event = events.ResolveStarted(self.started, service, 0, socket.AF_UNSPEC)
            record.observe(event)
        look_up = _look_up(record.options)
        self.future: AnswerFuture = start_lookup(loop, look_up, service)

    def endpoints(self, future: AnswerFuture) -> Iterator[Endpoint | None]:
        """Yield the endpoints of the service, in the order in which to try them.

        *future* is done.  It is this look-up's own future, or a stand-in.  There may be
        thousands of endpoints, so they are made one by one.  None stands for a record
        whose host is no valid name: the loop can run after each record.

        Raises:
            AttemptError: The look-up failed, or the service has no endpoint.
            ValueError, TypeError: The resolver returned something else.
            Exception: The resolver raised it, and it is no `OSError`.
        """
        error: OSError
        if future.cancelled():
            error = os_error(errno.ECANCELED, "the resolver gave up")
        elif isinstance(cause := future.exception(), OSError):
            error = cause
        else:
            is_somewhere = False
            for endpoint in _endpoints_of(
                self._record.options, _checked(future.result())
            ):
                if endpoint is not None and not is_somewhere:
                    is_somewhere = True
                    self._tell(None)
                yield endpoint
            if is_somewhere:
                return
            text = "the service is not available at this domain"
            error = socket.gaierror(socket.EAI_NONAME, text)
        self._tell(error)
        raise AttemptError("resolve", error, sent=False)

    def _tell(self, error: OSError | None) -> None:
        observe = self._record.observe
        if observe is None:
            return
        now = self._loop.time()
        what = (now, self.service, 0, socket.AF_UNSPEC)
        elapsed = now - self.started
        if error is None:
            observe(events.Resolved(*what, (), elapsed))
        else:
            observe(events.ResolveFailed(*what, error, elapsed))


def _endpoints_of(
    options: Options, records: Iterable[SRVRecord]
) -> Iterator[Endpoint | None]:
    for record in srv_order(records, random_fraction):
        endpoint: Endpoint | None = None
        # The caller did not give this name.  Skip the record if the name is invalid.
        with contextlib.suppress(ValueError):
            endpoint = endpoint_from_host(options, record.host.rstrip("."), record.port)
        yield endpoint


def _checked(records: object) -> list[SRVRecord]:
    if not isinstance(records, Sequence):
        raise TypeError(f"services() must give a sequence, not {safe_repr(records)}")
    return [_checked_record(one) for one in cast("Sequence[object]", records)]


def _checked_record(record: object) -> SRVRecord:
    """Return *record*, which a resolver returned, or raise if it is invalid."""
    if not isinstance(record, SRVRecord):
        raise TypeError(f"services() must give SRVRecords, not {safe_repr(record)}")
    *numbers, host = cast("tuple[object, ...]", record)
    if not isinstance(host, str):
        raise TypeError(f"services() must give a str as host, not {safe_repr(host)}")
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number <= 65535:
            raise ValueError(f"services(): {safe_repr(number)} is not from 0 to 65535")
    return record
