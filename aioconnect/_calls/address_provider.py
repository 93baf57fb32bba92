"""Define how a race gets its addresses: the protocol, and its simplest source."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from .._sansio.addresses import Address
from .._sansio.happy_eyeballs import DnsQuery
from .call_record import LookupFailure

__all__ = ["AddressProvider", "AnswerFuture", "KnownAddress", "Upcoming"]

# Its result is what getaddrinfo or the caller's resolver returned.
AnswerFuture: TypeAlias = "asyncio.Future[Any]"


# A query, and its answer if that is known without asking.
Upcoming: TypeAlias = tuple[DnsQuery, Sequence[Address] | None]


class AddressProvider(Protocol):
    """The source of a race's addresses: one address, a host, or many targets."""

    @property
    def has_more(self) -> bool:
        """Whether `upcoming` has queries that it has not given yet."""
        ...

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the next queries: a limited number at a time, and each query once.

        Raises:
            AttemptError: There can be no address.
        """
        ...

    def ask(self, query: DnsQuery) -> AnswerFuture:
        """Begin to look up the answer to *query*."""
        ...

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address]:
        """Return the addresses in the result of *future*, which is done.

        There may be none.

        Raises:
            TypeError: The result is something else.
            Exception: The resolver raised it, and it is no `OSError`.
        """
        ...

    def failures(self, is_too_late: bool) -> Iterable[LookupFailure]:
        """Return the look-ups that left a target without an address.

        With *is_too_late*, return all look-ups: the time was up before any address
        could be dialled.
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
