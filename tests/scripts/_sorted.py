"""A resolver of the scripts that sorts as getaddrinfo does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aioconnect import Address
from aioconnect._io.source_addresses import sort_by_rfc6724
from aioconnect.testing import StaticResolver

__all__ = ["SortingResolver"]


@dataclass(frozen=True, slots=True)
class SortingResolver:
    """Resolve every name to *hosts*, in the order of RFC 6724."""

    hosts: Sequence[str]

    async def __call__(self, host: str, port: int, **asked: int) -> Sequence[Address]:
        """Return the addresses of the hosts."""
        return sort_by_rfc6724(
            await StaticResolver({host: self.hosts})(host, port, **asked)
        )
