"""Look up the addresses of one endpoint, in one round, for a race.

The race decides what the answers mean.  This module begins each look-up, tells the
observer, and keeps the look-up in case nothing else is found.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from .._io.getaddrinfo import getaddrinfo
from .._io.resolver import (
    addresses_of_addrinfo,
    is_no_address,
    no_address_error,
    numeric_answer,
    queries_for,
    resolve_without_lookup,
    system_resolver,
    unanswered_error,
)
from .._sansio.addresses import INET, Address, plain_address
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, lookup_too_late, os_error
from .._sansio.happy_eyeballs import DnsQuery, TargetIndex
from .._sansio.text import safe_repr
from .address_provider import AnswerFuture, Upcoming
from .call_record import CallRecord, LookupFailure
from .observing import events

__all__ = ["HostLookup", "start_lookup"]


_eager_task_factory: Any = getattr(asyncio, "eager_task_factory", None)  # since 3.12


class _Lookup:
    """The look-up of one family: when it started and ended, and why it has failed."""

    __slots__ = ("ended", "error", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.ended: float | None = None
        self.error: OSError | None = None


class HostLookup:
    """The look-ups of the host of *endpoint*, under the options of *record*.

    *index* is the position of the endpoint in a race of several targets.
    """

    __slots__ = (
        "_families_found",
        "_family",
        "_flags",
        "_host",
        "_index",
        "_lookups",
        "_loop",
        "_options",
        "_port",
        "_record",
        "has_more",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        record: CallRecord,
        endpoint: Endpoint,
        index: TargetIndex = (),
        *,
        family: int | None = None,
    ) -> None:
        """*family*, if given, replaces the option of that name."""
        self._loop = loop
        self._record = record
        self._host = endpoint.host
        self._port = endpoint.port or 0
        self._index = index
        options = self._options = record.options
        self._family = options.family if family is None else family
        # The families to ask for, in order, each with the flags of its query.
        self._flags = dict(queries_for(self._family, options.flags))
        self._lookups: dict[int, _Lookup] = {}  # by family
        self._families_found: set[int] = set()  # the families with an address
        self.has_more = True

    def upcoming(self) -> Sequence[Upcoming]:
        """Return a query for each family, or the answer if that is known already.

        Raises:
            AttemptError: The host is an address of another family.
        """
        self.has_more = False
        known = self.known()
        if known is not None:
            return (((self._index, self._family), known),)
        return [((self._index, family), None) for family in self._flags]

    def known(self) -> Sequence[Address] | None:
        """Return the addresses of a host that needs no look-up, or None.

        Raises:
            AttemptError: The host is an address of another family.
        """
        host, port, options = self._host, self._port, self._options
        details = (self._family, options.proto, options.flags)
        try:
            address = numeric_answer(host, port, *details) if host else None
        except socket.gaierror as exc:
            raise AttemptError("resolve", exc, sent=False) from None
        if address is not None:
            self._families_found.add(address.family)
            return (address,)
        if host is not None and options.resolver is not system_resolver:
            return None
        found = resolve_without_lookup(host, port, *details)
        if found is not None:
            self._families_found.update(one.family for one in found)
            for family in self._flags:
                lookup = self._start(family)
                lookup.ended = lookup.started
                self._tell(family, [one for one in found if one.family == family])
        return found

    def ask(self, query: DnsQuery) -> AnswerFuture:
        """Begin to look up the addresses of the family in *query*."""
        _, family = query
        self._start(family)
        host, resolver = self._host, self._options.resolver
        flags = self._flags[family]
        if host is None or resolver is system_resolver:
            return getaddrinfo(self._loop, host, self._port, family, flags)
        details = {"family": family, "proto": self._options.proto, "flags": flags}
        return start_lookup(self._loop, resolver, host, self._port, **details)

    def _start(self, family: int) -> _Lookup:
        now = self._loop.time()
        lookup = self._lookups[family] = _Lookup(now)
        if (observe := self._record.observe) is not None:
            observe(events.ResolveStarted(now, self._name, self._port, family))
        return lookup

    @property
    def _name(self) -> str:
        """The host's name in the events."""
        return self._host or "localhost"  # None means localhost

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address]:
        """Return the addresses in the result of *future*, which is done.

        There may be none.

        Raises:
            TypeError: The result is something else.
            Exception: The resolver raised it, and it is no `OSError`.
        """
        _, family = query
        lookup = self._lookups[family]
        found: Sequence[Address] = ()
        # Do not let result() raise: exception, frame and future would hold each other.
        error = None if future.cancelled() else future.exception()
        if future.cancelled():
            # The resolver cancelled it: a race that ends takes no more answers.
            error = os_error(errno.ECANCELED, "the resolver gave up")
        elif error is None:
            found = self._addresses(future.result())
        elif not isinstance(error, OSError):
            raise error
        if found:
            self._families_found.add(family)
        lookup.ended, lookup.error = self._loop.time(), error
        if self._record.observe is not None:
            self._tell(family, found)
        return found

    def _tell(self, family: int, found: Sequence[Address]) -> None:
        """Tell the observer that the look-up of *family* has ended."""
        observe, lookup = self._record.observe, self._lookups[family]
        if observe is None or lookup.ended is None:
            return
        what = (lookup.ended, self._name, self._port, family)
        elapsed = lookup.ended - lookup.started
        if found:
            observe(events.Resolved(*what, tuple(found), elapsed))
        else:
            observe(events.ResolveFailed(*what, self._error(lookup), elapsed))

    def _error(self, lookup: _Lookup) -> OSError:
        """Return why *lookup*, which has ended, found no address."""
        return no_address_error((lookup.error,) if lookup.error else (), self._family)

    def _addresses(self, answer: Any) -> Sequence[Address]:
        if self._host is None or self._options.resolver is system_resolver:
            return addresses_of_addrinfo(answer, self._options.proto)
        if not isinstance(answer, Sequence):
            raise TypeError(f"resolver must give a sequence, not {safe_repr(answer)}")
        given = tuple(map(_checked, cast("Sequence[object]", answer)))
        if self._family == socket.AF_UNSPEC:
            return given
        return tuple(
            one for one in given if one.family == self._family or one.family not in INET
        )

    @property
    def is_complete(self) -> bool:
        """Whether every query was answered, if only with "no such address"."""
        if not self._lookups:
            return bool(self._families_found)
        if len(self._lookups) < len(self._flags):
            return False
        return all(
            one.ended is not None and (one.error is None or is_no_address(one.error))
            for one in self._lookups.values()
        )

    def failures(self, is_too_late: bool = False) -> Sequence[LookupFailure]:
        """Return the look-ups if none found an address, or if *is_too_late*."""
        if self._families_found and not is_too_late:
            return ()
        return [
            LookupFailure(self._host, self._failure(family), one.started, one.ended)
            for family, one in self._lookups.items()
        ]

    def _failure(self, family: int) -> AttemptError:
        lookup = self._lookups[family]
        if lookup.ended is None:
            query = (family, self._flags[family])
            return unanswered_error("resolve", self._host, self._port, (query,))
        if family in self._families_found:
            return lookup_too_late("addresses")
        return AttemptError("resolve", self._error(lookup), sent=False)


def _checked(address: object) -> Address:
    """Return *address*, which a resolver returned, as a `plain_address`."""
    plain = plain_address(address) if isinstance(address, Address) else None
    if plain is None or plain.type != socket.SOCK_STREAM:
        text = "Address values of stream sockets"
        raise TypeError(f"resolver must give {text}, not {safe_repr(address)}")
    return plain


def start_lookup(
    loop: asyncio.AbstractEventLoop,
    look_up: Callable[..., Any],
    *what: object,
    **details: object,
) -> AnswerFuture:
    """Call *look_up*, a function of the caller's; return the future of its answer."""
    known: AnswerFuture = loop.create_future()
    try:
        answer = look_up(*what, **details)
    except OSError as exc:  # it is a plain function, and has its answer at once
        known.set_exception(exc.with_traceback(None))
        return known
    if not isinstance(answer, Awaitable):
        known.set_result(answer)
        return known
    coming = cast("Awaitable[Any]", answer)
    is_plain = asyncio.iscoroutine(coming) and loop.get_task_factory() is None
    if is_plain and _eager_task_factory is not None:
        # A resolver that knows the answer then needs no turn of the loop.
        task: AnswerFuture = _eager_task_factory(loop, coming)
        return task
    return asyncio.ensure_future(coming, loop=loop)
