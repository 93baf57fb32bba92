"""Define what a race asks for its addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from .._sansio.addresses import Address
from .._sansio.happy_eyeballs import DnsQuery
from .call_record import LookupFailure

__all__ = ["AddressProvider", "AnswerFuture", "Upcoming"]

# Its result is what getaddrinfo or the caller's resolver returned.
AnswerFuture: TypeAlias = "asyncio.Future[Any]"

# A query, and its answer if that is known without asking.
Upcoming: TypeAlias = tuple[DnsQuery, Sequence[Address] | None]


class AddressProvider(Protocol):
    """The source of a race's addresses: a host, or many targets."""

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
