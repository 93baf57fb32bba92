"""Turn a service into hosts and ports: its SRV records, in the order of RFC 2782.

The records are the resolver's to look up, if it can: with ``services(service)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from .._io.targets import Target
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, os_error
from .._sansio.text import safe_repr
from .backoff import random_fraction
from .host_lookup import AnswerFuture, start_lookup
from .observing import events
from .options import Options

if TYPE_CHECKING:
    from .._sansio.srv_records import SRVRecord

__all__ = ["ServiceLookup", "check_services"]


def check_services(options: Options, targets: Iterable[Target]) -> None:
    """Raise if there is a service among *targets* that nobody can be asked for."""
    for target in targets:
        if target.service is not None and _look_up(options) is None:
            raise ValueError(
                f"target {target} needs a resolver that looks up SRV records, such as"
                " resolver=aioconnect.contrib.aiodns.AiodnsResolver()"
            )


def _look_up(options: Options) -> Any:
    look_up = getattr(options.resolver, "services", None)
    return look_up if callable(look_up) else None


class ServiceLookup:
    """A look-up of the records of *service*, on the running loop, that has begun."""

    __slots__ = ("_loop", "_options", "future", "service", "started")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: Options, service: str
    ) -> None:
        self._loop = loop
        self._options = options
        self.service = service
        self.started = loop.time()
        if options.observer is not None:
            event = events.ResolveStarted(self.started, service, 0, socket.AF_UNSPEC)
            options.observer(event)
        self.future: AnswerFuture = start_lookup(loop, _look_up(options), service)

    def places(self, lookup: AnswerFuture) -> Iterator[Endpoint | None]:
        """Yield where the service is by *lookup*, in the order to be tried.

        *lookup* is done: it is the *future*, or one that stands for it.  The places are
        made as they are taken: there may be thousands.  None stands for a record whose
        host is no name, so that the loop can run between those, too.

        Raises:
            AttemptError: It was nowhere.
            ValueError, TypeError: The resolver gave something else.
            Exception: What it raised that is no `OSError`.
        """
        error: OSError
        if lookup.cancelled():
            error = os_error(errno.ECANCELED, "the resolver gave up")
        elif isinstance(cause := lookup.exception(), OSError):
            error = cause
        else:
            is_somewhere = False
            for place in _places_of(self._options, _checked(lookup.result())):
                if place is not None and not is_somewhere:
                    is_somewhere = True
                    self._tell(None)
                yield place
            if is_somewhere:
                return
            text = "the service is nowhere available"
            error = socket.gaierror(socket.EAI_NONAME, text)
        self._tell(error)
        raise AttemptError("resolve", error, sent=False)

    def _tell(self, error: OSError | None) -> None:
        observe = self._options.observer
        if observe is None:
            return
        now = self._loop.time()
        what = (now, self.service, 0, socket.AF_UNSPEC)
        elapsed = now - self.started
        if error is None:
            observe(events.Resolved(*what, (), elapsed))
        else:
            observe(events.ResolveFailed(*what, error, elapsed))


def _places_of(
    options: Options, records: Iterable[SRVRecord]
) -> Iterator[Endpoint | None]:
    from .._sansio.srv_records import srv_order  # noqa: PLC0415  # for services alone

    for record in srv_order(records, random_fraction):
        place: Endpoint | None = None
        # What a name server says is nobody's argument: one that is no name is left out.
        with contextlib.suppress(ValueError):
            place = options.where(record.host.rstrip("."), record.port)
        yield place


def _checked(records: object) -> list[SRVRecord]:
    if not isinstance(records, Sequence):
        raise TypeError(f"services() must give a sequence, not {safe_repr(records)}")
    return [_checked_record(one) for one in cast("Sequence[object]", records)]


def _checked_record(record: object) -> SRVRecord:
    """Return a record that a resolver gave, if it is what records can be."""
    from .._sansio.srv_records import SRVRecord  # noqa: PLC0415  # likewise

    if not isinstance(record, SRVRecord):
        raise TypeError(f"services() must give SRVRecords, not {safe_repr(record)}")
    *numbers, host = cast("tuple[object, ...]", record)
    if not isinstance(host, str):
        raise TypeError(f"services() must give a str as host, not {safe_repr(host)}")
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number <= 65535:
            raise ValueError(f"services(): {safe_repr(number)} is not from 0 to 65535")
    return record
