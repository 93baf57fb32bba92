"""Resolve names as a test says, without a system's resolver.

Both classes are what `aioconnect.Connector` takes as its ``resolver``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._sansio.addresses import Address
from .._sansio.checks import check_duration
from .._sansio.hosts import numeric_address
from .._sansio.text import safe_repr

__all__ = ["Lookup", "ResolverCall", "ScriptedResolver", "StaticResolver"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True


@dataclass(frozen=True, slots=True)
class ResolverCall:
    """What a resolver was asked."""

    host: str
    port: int
    family: int
    proto: int
    flags: int


class StaticResolver:
    """A resolver with fixed answers: ``{"name": ["192.0.2.1", "::1"], ...}``.

    A name that it knows gives the addresses of the family that is asked for, in
    the order given, perhaps none; one that it does not, ``EAI_NONAME``.  *calls*
    is the list of what it was asked.

    Raises:
        ValueError: An address is not one in numbers.
    """

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        for addresses in names.values():
            _check(addresses)
        self._names = {name.lower(): tuple(found) for name, found in names.items()}
        self.calls: list[ResolverCall] = []

    async def __call__(
        self,
        host: str,
        port: int,
        *,
        family: int = socket.AF_UNSPEC,
        proto: int = 0,
        flags: int = 0,
    ) -> Sequence[Address]:
        """Return the addresses of *host*.

        Raises:
            socket.gaierror: The name is unknown.
        """
        self.calls.append(ResolverCall(host, port, family, proto, flags))
        if (addresses := self._names.get(host.lower())) is None:
            raise _error(socket.EAI_NONAME)
        return _of_family(addresses, port, family, proto)


@dataclass(frozen=True, slots=True)
class Lookup:
    """How one look-up goes: *addresses*, or *error*, after *delay* seconds.

    *error* is an exception, or an ``EAI_`` code to raise a `socket.gaierror` of;
    *never* means that no answer ever comes.

    Raises:
        ValueError: An address is not one in numbers, or the delay is negative.
    """

    addresses: Sequence[str] = ()
    delay: float = 0.0
    error: int | Exception | None = None
    never: bool = False

    def __post_init__(self) -> None:
        _check(self.addresses)
        check_duration("delay", self.delay)


Script = Lookup | Sequence[Lookup]


class ScriptedResolver:
    """A resolver that does what a script says, for each name and family.

    *script* maps ``(host, family)``, or a *host* for all its families, to a
    `Lookup` or to a list of them: one for each call, the last for all others.
    Other names are ``EAI_NONAME``.  *calls* is what it was asked, *cancelled*
    those of them that were cancelled, *pending* how many wait at the moment.

    Raises:
        ValueError: A list of look-ups is empty.
        TypeError: It is a list of something else.
    """

    def __init__(self, script: Mapping[tuple[str, int] | str, Script]) -> None:
        self._script: dict[tuple[str, int | None], list[Lookup]] = {}
        for key, lookups in script.items():
            host, family = (key, None) if isinstance(key, str) else key
            steps = [lookups] if isinstance(lookups, Lookup) else list(lookups)
            if not steps:
                raise ValueError(f"script: no look-up for {safe_repr(key)}")
            _check_lookups(steps)
            self._script[host.lower(), family] = steps
        self.calls: list[ResolverCall] = []
        self.cancelled: list[ResolverCall] = []
        self.pending = 0

    async def __call__(
        self,
        host: str,
        port: int,
        *,
        family: int = socket.AF_UNSPEC,
        proto: int = 0,
        flags: int = 0,
    ) -> Sequence[Address]:
        """Return the addresses of *host*, or fail, when the script says.

        Cancelled, it leaves no timer behind.

        Raises:
            socket.gaierror: The name is unknown, or the script says so.
            Exception: The script's own.
        """
        call = ResolverCall(host, port, family, proto, flags)
        self.calls.append(call)
        lookup = self._next(host.lower(), family)
        self.pending += 1
        try:
            await _wait(lookup)
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        finally:
            self.pending -= 1
        if lookup.error is not None:
            error = lookup.error
            raise _error(error) if isinstance(error, int) else error
        return _of_family(lookup.addresses, port, family, proto)

    def _next(self, host: str, family: int) -> Lookup:
        steps = self._script.get((host, family)) or self._script.get((host, None))
        if steps is None:
            return Lookup(error=socket.EAI_NONAME)
        return steps.pop(0) if len(steps) > 1 else steps[0]


def _check_lookups(steps: Sequence[object]) -> None:
    for step in steps:
        if not isinstance(step, Lookup):
            raise TypeError(
                f"script: {safe_repr(step)} is no Lookup, as Lookup([address])"
            )


async def _wait(lookup: Lookup) -> None:
    if lookup.never:
        await asyncio.get_running_loop().create_future()
    elif lookup.delay:
        await asyncio.sleep(lookup.delay)


def _check(addresses: Sequence[str]) -> None:
    if isinstance(addresses, str) or not isinstance(addresses, Sequence):
        raise TypeError(f"addresses must be a list, not {safe_repr(addresses)}")
    given: Sequence[object] = addresses
    for text in given:
        if not isinstance(text, str) or numeric_address(text, 0) is None:
            raise ValueError(
                f"addresses: {safe_repr(text)} is not an address in numbers"
            )


def _of_family(
    addresses: Sequence[str], port: int, family: int, proto: int
) -> list[Address]:
    found = [numeric_address(text, port, proto) for text in addresses]
    return [
        address
        for address in found
        if address is not None and family in (socket.AF_UNSPEC, address.family)
    ]


_TEXTS = {
    "EAI_NONAME": "Name or service not known",
    "EAI_AGAIN": "Temporary failure in name resolution",
    "EAI_FAIL": "Non-recoverable failure in name resolution",
    "EAI_NODATA": "No address associated with hostname",
}


def _error(code: int) -> socket.gaierror:
    for name, text in _TEXTS.items():
        if getattr(socket, name, None) == code:
            return socket.gaierror(code, text)
    return socket.gaierror(code, os.strerror(code) if code > 0 else f"EAI {code}")
