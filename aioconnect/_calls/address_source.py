"""Say where a race gets its addresses from, and in which pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from .._sansio.addresses import Address
from .._sansio.happy_eyeballs import DnsQuery
from .call_record import LookupFailure

__all__ = ["AddressSource", "AnswerFuture", "KnownAddress", "Upcoming"]

# Gives what getaddrinfo or the caller's resolver answers.
AnswerFuture: TypeAlias = "asyncio.Future[Any]"


# A query, and its answer if that is known without asking.
Upcoming: TypeAlias = tuple[DnsQuery, Sequence[Address] | None]


class AddressSource(Protocol):
    """Where a race gets its addresses from: an address, a host, or many targets."""

    @property
    def has_more(self) -> bool:
        """Whether `upcoming` has queries that it has not given yet."""
        ...

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the next queries, each of them once, and no more than some at a time.

        Raises:
            AttemptError: There can be no address.
        """
        ...

    def ask(self, query: DnsQuery) -> AnswerFuture:
        """Begin to look up the answer to *query*."""
        ...

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address]:
        """Return the addresses that *future*, which is done, has given; perhaps none.

        Raises:
            TypeError: It has given something else.
            Exception: What a resolver raised that is no `OSError`.
        """
        ...

    def failures(self, is_too_late: bool) -> Iterable[LookupFailure]:
        """Return the look-ups that left a target without an address.

        If *is_too_late*, the time was up before any address could be dialled: then all
        look-ups are returned.
        """
        ...

    @property
    def is_complete(self) -> bool:
        """Whether every query was answered, if only with "no such address"."""
        ...


class KnownAddress:
    """The source of a race for one *address*: nothing is looked up."""

    __slots__ = ("_address", "has_more")

    is_complete = True

    def __init__(self, address: Address) -> None:
        self._address = address
        self.has_more = True

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the address, once."""
        self.has_more = False
        return ((((), self._address.family), (self._address,)),)

    def ask(self, query: DnsQuery) -> AnswerFuture:
        """Never called: the answer is known."""
        raise NotImplementedError

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address]:
        """Never called: the answer is known."""
        raise NotImplementedError

    def failures(self, is_too_late: bool) -> Iterable[LookupFailure]:  # noqa: ARG002
        """Return nothing: there was no look-up."""
        return ()
