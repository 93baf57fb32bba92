"""Ask for the addresses of one call's host, in one round: both families at once.

What the answers mean for the race is the race's business; what was asked and what
came of it is told to the observer here, and kept in case nothing else is found.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

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
from .._sansio.addresses import Address, plain_address
from .._sansio.errors import AttemptError, lookup_too_late, os_error
from .._sansio.happy_eyeballs import DnsQuery, TargetIndex
from .._sansio.text import safe_repr
from .observing import events
from .options import Options

__all__ = [
    "AddressSource",
    "AnswerFuture",
    "Failure",
    "HostLookup",
    "Upcoming",
    "start_lookup",
]

_INET = (socket.AF_INET, socket.AF_INET6)

# Gives what getaddrinfo does, or what a resolver of the caller's does.
AnswerFuture: TypeAlias = "asyncio.Future[Any]"

_eager_task_factory: Any = getattr(asyncio, "eager_task_factory", None)  # since 3.12


class Failure(NamedTuple):
    """A look-up that gave no address: when it started and, if it has, ended."""

    host: str | None
    error: AttemptError
    started: float
    ended: float | None


# A question, and the answer if nobody has to be asked for it.
Upcoming: TypeAlias = tuple[DnsQuery, Sequence[Address] | None]


class AddressSource(Protocol):
    """What a race asks for addresses: a name, or several places at once."""

    @property
    def has_more(self) -> bool:
        """Whether `upcoming` has questions that it has not given yet."""
        ...

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the next questions, each once: some of many at a time.

        Raises:
            AttemptError: There can be no address.
        """
        ...

    def ask(self, question: DnsQuery) -> AnswerFuture:
        """Begin to look up the answer to *question*."""
        ...

    def answer(self, question: DnsQuery, lookup: AnswerFuture) -> Sequence[Address]:
        """Return the addresses that *lookup*, which is done, gave; perhaps none.

        Raises:
            TypeError: They are none.
            Exception: What a resolver raised that is no `OSError`.
        """
        ...

    def failures(self, late: bool) -> Iterable[Failure]:
        """Return the look-ups that left a place without an address.

        With *late* the time was up before any address could be tried: all are returned.
        """
        ...

    @property
    def knows_all(self) -> bool:
        """Whether every question was answered, if with no."""
        ...


class HostLookup:
    """The look-ups of *host*, on the running loop, under *options*.

    In a race of several places it is the one at *turn*.
    """

    __slots__ = (
        "_causes",
        "_ended",
        "_found",
        "_host",
        "_loop",
        "_options",
        "_port",
        "_questions",
        "_started",
        "_turn",
        "has_more",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        host: str | None,
        port: int,
        turn: TargetIndex = (),
    ) -> None:
        self._loop = loop
        self._options = options
        self._host = host
        self._port = port
        self._turn = turn
        self._questions = dict(queries_for(options.family, options.flags))
        self._started: dict[int, float] = {}
        self._ended: dict[int, float] = {}
        self._causes: dict[int, OSError | None] = {}
        self._found: set[int] = set()  # the families that there is an address of
        self.has_more = True

    def unasked(self) -> Sequence[DnsQuery]:
        """Return the families to ask for, in this order, if nothing is known."""
        if self._started or self._found:
            return ()
        return [(self._turn, family) for family in self._questions]

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the questions, or what is `known`.

        Raises:
            AttemptError: It is in numbers, and of another family.
        """
        self.has_more = False
        known = self.known()
        if known is not None:
            return [((self._turn, self._options.family), known)]
        return [(question, None) for question in self.unasked()]

    def known(self) -> Sequence[Address] | None:
        """Return the addresses of a host that nobody has to be asked for, or None.

        Raises:
            AttemptError: It is in numbers, and of another family.
        """
        host, port, options = self._host, self._port, self._options
        details = (options.family, options.proto, options.flags)
        try:
            address = numeric_answer(host, port, *details) if host else None
        except socket.gaierror as exc:
            raise AttemptError("resolve", exc, sent=False) from None
        if address is not None:
            self._found.add(address.family)
            return (address,)
        if host is not None and options.resolver is not system_resolver:
            return None
        found = resolve_without_lookup(host, port, *details)
        if found is not None:
            self._found.update(one.family for one in found)
            for family in self._questions:
                self._tell_started(family)
                self._ended[family] = self._started[family]
                self._tell(family, [one for one in found if one.family == family])
        return found

    def ask(self, question: DnsQuery) -> AnswerFuture:
        """Begin to look up the addresses of the family in *question*."""
        family = question[1]
        self._tell_started(family)
        host, resolver = self._host, self._options.resolver
        flags = self._questions[family]
        if host is None or resolver is system_resolver:
            return getaddrinfo(self._loop, host, self._port, family, flags)
        asked = {"family": family, "proto": self._options.proto, "flags": flags}
        return start_lookup(self._loop, resolver, host, self._port, **asked)

    def _tell_started(self, family: int) -> None:
        self._started[family] = now = self._loop.time()
        observe = self._options.observer
        if observe is not None:
            observe(events.ResolveStarted(now, self._said, self._port, family))

    @property
    def _said(self) -> str:
        """The host as the events have it."""
        return self._host or "localhost"  # which is what None means

    def answer(self, question: DnsQuery, lookup: AnswerFuture) -> Sequence[Address]:
        """Return the addresses that *lookup*, which is done, gave; perhaps none.

        Raises:
            TypeError: They are none.
            Exception: What a resolver raised that is no `OSError`.
        """
        family = question[1]
        found: Sequence[Address] = ()
        # What result() raises would have this frame, which has the look-up, which
        # has what it raises.
        cause = None if lookup.cancelled() else lookup.exception()
        if lookup.cancelled():
            # By nobody here: a race that ends asks no more.
            cause = os_error(errno.ECANCELED, "the resolver gave up")
        elif cause is None:
            found = self._addresses(lookup.result())
        elif not isinstance(cause, OSError):
            raise cause
        if found:
            self._found.add(family)
        self._ended[family] = self._loop.time()
        self._causes[family] = cause
        if self._options.observer is not None:
            self._tell(family, found)
        return found

    def _tell(self, family: int, found: Sequence[Address]) -> None:
        observe = self._options.observer
        if observe is None:
            return
        now = self._ended[family]
        what = (now, self._said, self._port, family)
        elapsed = now - self._started[family]
        if found:
            observe(events.Resolved(*what, tuple(found), elapsed))
        else:
            observe(events.ResolveFailed(*what, self._failure(family), elapsed))

    def _failure(self, family: int) -> OSError:
        """Return why the look-up of *family*, which has ended, gave no address."""
        cause = self._causes[family]
        return no_address_error((cause,) if cause else (), self._options.family)

    def _addresses(self, answer: Any) -> tuple[Address, ...]:
        if self._host is None or self._options.resolver is system_resolver:
            return addresses_of_addrinfo(answer, self._options.proto)
        family = self._options.family
        if not isinstance(answer, Sequence):
            raise TypeError(f"resolver must give a sequence, not {safe_repr(answer)}")
        given = tuple(map(_checked, cast("Sequence[object]", answer)))
        if family == socket.AF_UNSPEC:
            return given
        return tuple(a for a in given if a.family == family or a.family not in _INET)

    @property
    def knows_all(self) -> bool:
        """Whether every question was answered, if with no."""
        answers = (self._causes.get(family) for family in self._started)
        needs_none = bool(self._found) and not self._started
        is_complete = needs_none or len(self._ended) == len(self._questions)
        return is_complete and all(one is None or is_no_address(one) for one in answers)

    def failures(self, late: bool = False) -> list[Failure]:
        """Return what became of the look-ups, if none gave an address or if *late*."""
        if self._found and not late:
            return []
        return [
            Failure(self._host, self._error(family), started, self._ended.get(family))
            for family, started in self._started.items()
        ]

    def _error(self, family: int) -> AttemptError:
        if family not in self._ended:
            asked = (family, self._questions[family])
            return unanswered_error("resolve", self._host, self._port, (asked,))
        if family in self._found:
            return lookup_too_late("addresses")
        return AttemptError("resolve", self._failure(family), sent=False)


def _checked(address: object) -> Address:
    """Return an address that a resolver gave as a `plain_address`."""
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
    """Return the future of what *look_up* gives: an answer, or one to wait for."""
    known: AnswerFuture = loop.create_future()
    try:
        answer = look_up(*what, **details)
    except OSError as exc:  # it is no coroutine function, and knows at once
        known.set_exception(exc.with_traceback(None))
        return known
    if not isinstance(answer, Awaitable):
        known.set_result(answer)
        return known
    coming = cast("Awaitable[Any]", answer)
    is_plain = asyncio.iscoroutine(coming) and loop.get_task_factory() is None
    if is_plain and _eager_task_factory is not None:
        # One that knows the answer needs no turn of the loop then.
        task: AnswerFuture = _eager_task_factory(loop, coming)
        return task
    return asyncio.ensure_future(coming, loop=loop)
