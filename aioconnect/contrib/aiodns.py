"""Resolve names with c-ares, through aiodns, instead of the system's getaddrinfo.

A look-up needs no thread, and ends when it is cancelled.  This module needs the extra
``aiodns``: in a checkout, ``pip install '.[aiodns]'``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from .._io.resolver import check_port
from .._sansio.addresses import Address
from .._sansio.checks import check_duration
from .._sansio.hosts import check_host, numeric_address
from .._sansio.srv_records import SRVRecord
from .._sansio.text import safe_repr
from ._partner import unusable

try:
    import aiodns
    import pycares
except ImportError as exc:
    raise unusable("aiodns", exc) from exc

__all__ = ["AiodnsResolver"]

# The error numbers come from cffi, which has no types.
_ares: Any = aiodns.error

_FAMILIES = (socket.AF_INET6, socket.AF_INET)

# The code that the system's resolver gives for the same answer.  The rest is EAI_FAIL.
_EAI_CODES: dict[int, int] = {
    _ares.ARES_ENOTFOUND: socket.EAI_NONAME,
    _ares.ARES_EBADNAME: socket.EAI_NONAME,
    _ares.ARES_ENOMEM: socket.EAI_MEMORY,
    _ares.ARES_ETIMEOUT: socket.EAI_AGAIN,
    _ares.ARES_ECONNREFUSED: socket.EAI_AGAIN,
    _ares.ARES_ESERVFAIL: socket.EAI_AGAIN,
    _ares.ARES_EREFUSED: socket.EAI_AGAIN,
}


class _Channel:
    """A c-ares channel of one loop, and the number of look-ups that use it."""

    __slots__ = ("lookups", "resolver")

    def __init__(self, resolver: aiodns.DNSResolver) -> None:
        self.resolver = resolver
        self.lookups = 0


@dataclass(frozen=True, slots=True)
class AiodnsResolver:
    """A resolver that uses c-ares: ``resolver=AiodnsResolver()``.

    *nameservers* are numeric addresses, perhaps with a port: ``127.0.0.1:53`` (default:
    those of the system).  *timeout* is the time for the first try, in seconds; c-ares
    gives later tries more.  *tries* is their number.  By default c-ares chooses both.
    c-ares also reads /etc/hosts.

    A resolver is a value, for any number of loops, and has nothing open between
    look-ups.  Simultaneous look-ups of one loop share a c-ares channel, and the last of
    them closes it.  Its threads and descriptors (one is an inotify instance) end soon
    after, in a thread that pycares keeps.

    Raises:
        ValueError, TypeError: A value cannot work; the text names it.
    """

    nameservers: Sequence[str] = ()
    timeout: float | None = None
    tries: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.nameservers, str):
            text = f"nameservers must be a list, not {safe_repr(self.nameservers)}"
            raise TypeError(text)
        object.__setattr__(self, "nameservers", tuple(self.nameservers))
        for server in self.nameservers:
            _check_nameserver(server)
        if self.timeout is not None:
            check_duration("timeout", self.timeout, positive=True)
        tries: object = self.tries
        if tries is None:
            return
        if not isinstance(tries, int) or isinstance(tries, bool):
            raise TypeError(f"tries must be an int, not {safe_repr(tries)}")
        if not 1 <= tries < 2**31:
            raise ValueError(f"tries must be 1 or more, not {safe_repr(tries)}")

    async def __call__(
        self,
        host: str,
        port: int,
        *,
        family: int = socket.AF_UNSPEC,
        proto: int = 0,
        flags: int = 0,
    ) -> Sequence[Address]:
        """Return the addresses of *host* in *family*; there may be none.

        c-ares sorts them by RFC 6724, with the RFC's own table.  The order can differ
        from that of the system's resolver: here IPv4 comes before a unique local IPv6
        address.

        When a look-up is cancelled, c-ares stops asking as soon as no other look-up of
        this loop is under way.

        Raises:
            socket.gaierror: The name does not exist, or no answer came (the text is
                c-ares').  Or there are *flags*: c-ares supports none of the system's.
            ValueError: *host* is not a host name, or *port* is not a port.
        """
        host, port = check_host(host), check_port(port)
        if flags & ~int(socket.AI_NUMERICSERV):
            text = f"c-ares does not support the flags {flags:#x}"
            raise socket.gaierror(socket.EAI_BADFLAGS, text)
        try:
            async with _shared_channel(self) as channel:
                found = await channel.getaddrinfo(
                    # The system's resolver uses IDNA 2003.  aiodns would use IDNA 2008
                    # where the package idna is installed.
                    host.encode("idna").decode("ascii"),
                    family=socket.AddressFamily(family),
                    port=port,
                    type=socket.SOCK_STREAM,
                )
        except aiodns.error.DNSError as exc:
            code, text = exc.args
            if code == _ares.ARES_ENODATA:
                return ()
            raise socket.gaierror(_EAI_CODES.get(code, socket.EAI_FAIL), text) from None
        return _addresses(found.nodes, family, proto)

    async def services(self, service: str) -> Sequence[SRVRecord]:
        """Return the SRV records of *service*, which is ``_service._proto.name``.

        The records are in the order of the answer.

        Raises:
            socket.gaierror: There are no records, or no answer came (the text is
                c-ares').
            ValueError: *service* is not a host name.
        """
        name = check_host(service).encode("idna").decode("ascii")
        try:
            async with _shared_channel(self) as channel:
                found: Any = await channel.query_dns(name, "SRV")
        except aiodns.error.DNSError as exc:
            code, text = exc.args
            known = {**_EAI_CODES, _ares.ARES_ENODATA: socket.EAI_NONAME}
            raise socket.gaierror(known.get(code, socket.EAI_FAIL), text) from None
        return _records(found)


def _check_nameserver(server: object) -> None:
    if not isinstance(server, str):
        raise TypeError(f"nameservers: {safe_repr(server)} is not a str")
    host, port = server, "53"
    if server.startswith("["):
        host, _, port = server[1:].partition("]:")
    elif server.count(":") == 1:
        host, _, port = server.partition(":")
    if numeric_address(host.removesuffix("]"), 53) is None or not port.isdecimal():
        text = "is not an address in numbers, perhaps with a port"
        raise ValueError(f"nameservers: {safe_repr(server)} {text}")


# The channels that are in use.  They are not part of the resolver, which is hashed,
# compared and pickled.  No lock is needed, because a loop has only one thread.
_channels: dict[tuple[asyncio.AbstractEventLoop, AiodnsResolver], _Channel] = {}


@asynccontextmanager
async def _shared_channel(
    options: AiodnsResolver,
) -> AsyncGenerator[aiodns.DNSResolver]:
    key = asyncio.get_running_loop(), options
    channel = _channels.get(key)
    if channel is None:
        channel = _channels[key] = _Channel(_open_resolver(*key))
    channel.lookups += 1
    try:
        yield channel.resolver
    finally:
        channel.lookups -= 1
        if not channel.lookups:
            del _channels[key]
            await channel.resolver.close()  # this never waits


def _open_resolver(
    loop: asyncio.AbstractEventLoop, options: AiodnsResolver
) -> aiodns.DNSResolver:
    try:
        return aiodns.DNSResolver(
            options.nameservers, loop, timeout=options.timeout, tries=options.tries
        )
    except pycares.AresError as exc:
        # c-ares gives no reason.  The most likely one is that no descriptor is left.
        text = f"c-ares cannot begin: {exc.args[-1]}"
        raise socket.gaierror(socket.EAI_AGAIN, text) from None


def _addresses(nodes: Sequence[Any], family: int, proto: int) -> tuple[Address, ...]:
    # For a numeric IPv4 host, c-ares returns the IPv4 address even if asked for IPv6.
    found = (
        Address(node.family, (node.addr[0].decode(), *node.addr[1:]), proto)
        for node in nodes
        if node.family in ((family,) if family else _FAMILIES)
    )
    return tuple(dict.fromkeys(found))


def _records(found: Any) -> tuple[SRVRecord, ...]:
    data = (record.data for record in found.answer)
    return tuple(
        SRVRecord(one.priority, one.weight, one.port, one.target)
        for one in data
        if isinstance(one, pycares.SRVRecordData)  # there may be a CNAME record, too
    )
