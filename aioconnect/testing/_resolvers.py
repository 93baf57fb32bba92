"""Resolve names as a test says, without the system's resolver.

Both resolver classes fit the ``resolver`` option of `aioconnect.Connector`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._sansio.addresses import Address
from .._sansio.checks import check_duration
from .._sansio.hosts import numeric_address
from .._sansio.text import safe_repr

__all__ = ["Lookup", "ResolverCall", "ScriptedResolver", "StaticResolver"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True


@dataclass(frozen=True, slots=True)
class ResolverCall:
    """The arguments of one call of a resolver."""

    host: str
    port: int
    family: int
    proto: int
    flags: int


class StaticResolver:
    """A resolver with fixed answers: ``{"name": ["192.0.2.1", "::1"], ...}``.

    A known name resolves to its addresses of the requested family, in the given order;
    there may be none.  An unknown name raises ``EAI_NONAME``.  *calls* lists the calls.

    Raises:
        ValueError: An address is not numeric.
        TypeError: The addresses of a name are not a list.
    """

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        for addresses in names.values():
            _check_addresses(addresses)
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
        """Return the addresses of *host* that *family* allows, with *port*.

        Raises:
            socket.gaierror: The name is unknown.
        """
        self.calls.append(ResolverCall(host, port, family, proto, flags))
        if (addresses := self._names.get(host.lower())) is None:
            raise _gaierror(socket.EAI_NONAME)
        return _addresses_of_family(addresses, port, family, proto)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of one look-up: *addresses* or *error*, after *delay* seconds (0).

    *error* is an exception to raise, or an ``EAI_`` code for a `socket.gaierror`.  With
    *never*, no answer ever comes.

    Raises:
        ValueError: An address is not numeric, or the delay is negative.
        TypeError: *addresses* is not a list, or *delay* is not a number.
    """

    addresses: Sequence[str] = ()
    delay: float = 0.0
    error: int | Exception | None = None
    never: bool = False

    def __post_init__(self) -> None:
        _check_addresses(self.addresses)
        check_duration("delay", self.delay)


Script = Lookup | Sequence[Lookup]

_FAMILIES = (socket.AF_INET6, socket.AF_INET)


class ScriptedResolver:
    """A resolver that follows a script for each name and family.

    *script* maps ``(host, family)``, or *host* for all its families, to a `Lookup` or
    to a list of them.  Each call takes the next one of its list, and the last one
    repeats.  If the script has nothing for ``AF_UNSPEC``, a call for it takes one
    `Lookup` for ``AF_INET6`` and one for ``AF_INET``.  It ends when both have ended,
    and fails if neither has an address.  Other names raise ``EAI_NONAME``.

    *calls* lists the calls, *cancelled* those that were cancelled.  *pending* is the
    number of calls that wait at the moment.

    Raises:
        ValueError: A list of look-ups is empty.
        TypeError: A list contains something other than a `Lookup`.
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
        self._counts: Counter[tuple[str, int, int]] = Counter()
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
        """Return the addresses of *host*, or fail, as the script says.

        A cancelled call leaves no timer behind.

        Raises:
            socket.gaierror: The name is unknown, or the script has an ``EAI_`` code.
            Exception: The script has this exception.
        """
        call = ResolverCall(host, port, family, proto, flags)
        self.calls.append(call)
        lookup = self._next_lookup(host.lower(), family, family)
        if lookup is None and family == socket.AF_UNSPEC:
            lookup = _whole(
                {one: self._next_lookup(host.lower(), one, family) for one in _FAMILIES}
            )
        if lookup is None:
            lookup = Lookup(error=socket.EAI_NONAME)
        self.pending += 1
        try:
            await _wait_for_answer(lookup)
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        finally:
            self.pending -= 1
        if lookup.error is not None:
            error = lookup.error
            raise _gaierror(error) if isinstance(error, int) else error
        return _addresses_of_family(lookup.addresses, port, family, proto)

    def _next_lookup(self, host: str, family: int, asked: int) -> Lookup | None:
        """Return the next look-up of *family*, for a call that *asked* for a family."""
        steps = self._script.get((host, family)) or self._script.get((host, None))
        if steps is None:
            return None
        number = self._counts[host, family, asked]
        self._counts[host, family, asked] += 1
        return steps[min(number, len(steps) - 1)]


def _whole(lookups: Mapping[int, Lookup | None]) -> Lookup | None:
    """Return the look-up that *lookups* of each family make, or None without any."""
    known = [one for one in lookups.values() if one is not None]
    if not known:
        return None
    addresses = [
        text
        for family, one in lookups.items()
        if one is not None
        for text in one.addresses
        if (":" in text) == (family == socket.AF_INET6)
    ]
    errors = [one.error for one in known if one.error is not None]
    return Lookup(
        addresses,
        delay=max(one.delay for one in known),
        error=None if addresses else min(errors, key=_is_not_temporary, default=None),
        never=any(one.never for one in known),
    )


def _is_not_temporary(error: int | Exception) -> bool:
    return error != socket.EAI_AGAIN


def _check_lookups(steps: Sequence[object]) -> None:
    for step in steps:
        if not isinstance(step, Lookup):
            raise TypeError(
                f"script: {safe_repr(step)} is not a Lookup, such as Lookup([address])"
            )


async def _wait_for_answer(lookup: Lookup) -> None:
    if lookup.never:
        await asyncio.get_running_loop().create_future()
    elif lookup.delay:
        await asyncio.sleep(lookup.delay)


def _check_addresses(addresses: Sequence[str]) -> None:
    if isinstance(addresses, str) or not isinstance(addresses, Sequence):
        raise TypeError(f"addresses must be a list, not {safe_repr(addresses)}")
    given: Sequence[object] = addresses
    for text in given:
        if not isinstance(text, str) or numeric_address(text, 0) is None:
            raise ValueError(
                f"addresses: {safe_repr(text)} is not an address in numbers"
            )


def _addresses_of_family(
    addresses: Sequence[str], port: int, family: int, proto: int
) -> list[Address]:
    found = [numeric_address(text, port, proto) for text in addresses]
    return [
        address
        for address in found
        if address is not None and family in (socket.AF_UNSPEC, address.family)
    ]


_EAI_TEXTS = {
    "EAI_NONAME": "Name or service not known",
    "EAI_AGAIN": "Temporary failure in name resolution",
    "EAI_FAIL": "Non-recoverable failure in name resolution",
    "EAI_NODATA": "No address associated with hostname",
}


def _gaierror(code: int) -> socket.gaierror:
    for name, text in _EAI_TEXTS.items():
        if getattr(socket, name, None) == code:
            return socket.gaierror(code, text)
    return socket.gaierror(code, os.strerror(code) if code > 0 else f"EAI {code}")
