"""Resolvers that the tests of a call share."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from aioconnect import Address

V6, V4 = socket.AF_INET6, socket.AF_INET


class Answering:
    """A resolver whose addresses have ports of their own."""

    def __init__(self, *addresses: Address) -> None:
        self.addresses = addresses
        self.asked: list[int] = []

    async def __call__(
        self, host: str, port: int, *, family: int, proto: int, flags: int
    ) -> Sequence[Address]:
        self.asked.append(family)
        return [one for one in self.addresses if family in (0, one.family)]
