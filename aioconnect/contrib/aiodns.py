"""Resolve names with c-ares, by way of aiodns, instead of the system's getaddrinfo.

A look-up holds no thread, and what is cancelled is over.  The extra is ``aiodns``:
in a checkout, ``pip install '.[aiodns]'``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from .._io.service_names import check_port
from .._sansio.addresses import Address
from .._sansio.checks import check_duration
from .._sansio.hosts import check_host, numeric_address
from .._sansio.srv_records import SRVRecord
from .._sansio.text import safe_repr

try:
    import aiodns
    import pycares
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "aioconnect.contrib.aiodns needs aiodns:"
        " in a checkout, pip install '.[aiodns]'",
        name=exc.name,
    ) from exc

__all__ = ["AiodnsResolver"]

# Its numbers are cffi's, which have no types.
_ares: Any = aiodns.error

_FAMILIES = (socket.AF_INET6, socket.AF_INET)

# What the system's resolver says for the same answer; the rest is EAI_FAIL.
_CODES: dict[int, int] = {
    _ares.ARES_ENOTFOUND: socket.EAI_NONAME,
    _ares.ARES_EBADNAME: socket.EAI_NONAME,
    _ares.ARES_ENOMEM: socket.EAI_MEMORY,
    _ares.ARES_ETIMEOUT: socket.EAI_AGAIN,
    _ares.ARES_ECONNREFUSED: socket.EAI_AGAIN,
    _ares.ARES_ESERVFAIL: socket.EAI_AGAIN,
    _ares.ARES_EREFUSED: socket.EAI_AGAIN,
}


class _Channel:
    """A c-ares channel of one loop, and how many look-ups it has under way."""

    __slots__ = ("resolver", "users")

    def __init__(self, resolver: aiodns.DNSResolver) -> None:
        self.resolver = resolver
        self.users = 0


@dataclass(frozen=True, slots=True)
class AiodnsResolver:
    """A resolver that asks *nameservers*, else those of the system, by c-ares.

    *nameservers* are addresses in numbers, perhaps with a port: ``127.0.0.1:53``.
    *timeout* is what c-ares gives the first of *tries* (seconds; it gives the
    later ones more); left out, they are c-ares' own.  It reads /etc/hosts.

    It is a value, for any number of loops: it has nothing open but while it is
    asked.  Look-ups at the same time share one c-ares channel of their loop,
    which the last of them closes; its threads and descriptors (an inotify
    instance is one) end right after, in a thread that pycares keeps.

    Raises:
        ValueError, TypeError: A value that cannot work; the text names it.
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
            _check_server(server)
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
        """Return the addresses of *host*, none if it has none of *family*.

        Cancelled, it asks no more, and c-ares neither, once no other look-up of
        this loop is under way.

        Raises:
            socket.gaierror: There is no such name, or no answer; the text is
                c-ares'.  There are *flags*: c-ares knows none of the system's.
            ValueError: *host* is no host name, or *port* no port.
        """
        host, port = check_host(host), check_port(port)
        if flags & ~int(socket.AI_NUMERICSERV):
            text = f"c-ares knows no flags like {flags:#x}"
            raise socket.gaierror(socket.EAI_BADFLAGS, text)
        try:
            async with _channel(self) as channel:
                found = await channel.getaddrinfo(
                    # aiodns would take IDNA 2008 if it is there, and the system 2003.
                    host.encode("idna").decode("ascii"),
                    family=socket.AddressFamily(family),
                    port=port,
                    type=socket.SOCK_STREAM,
                )
        except aiodns.error.DNSError as exc:
            code, text = exc.args
            if code == _ares.ARES_ENODATA:
                return ()
            raise socket.gaierror(_CODES.get(code, socket.EAI_FAIL), text) from None
        return _addresses(found.nodes, family, proto)

    async def services(self, service: str) -> Sequence[SRVRecord]:
        """Return the SRV records of *service*, ``_service._proto.name``, as they come.

        Raises:
            socket.gaierror: There are none, or there was no answer; the text is
                c-ares'.
            ValueError: *service* is no host name.
        """
        name = check_host(service).encode("idna").decode("ascii")
        try:
            async with _channel(self) as channel:
                found: Any = await channel.query_dns(name, "SRV")
        except aiodns.error.DNSError as exc:
            code, text = exc.args
            known = {**_CODES, _ares.ARES_ENODATA: socket.EAI_NONAME}
            raise socket.gaierror(known.get(code, socket.EAI_FAIL), text) from None
        return _records(found)


def _check_server(server: object) -> None:
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


# The channels in which something is under way: they are no part of a value that
# is hashed, compared and pickled.  A loop has but one thread.
_channels: dict[tuple[asyncio.AbstractEventLoop, AiodnsResolver], _Channel] = {}


@asynccontextmanager
async def _channel(options: AiodnsResolver) -> AsyncGenerator[aiodns.DNSResolver]:
    key = asyncio.get_running_loop(), options
    channel = _channels.get(key)
    if channel is None:
        channel = _channels[key] = _Channel(_opened(*key))
    channel.users += 1
    try:
        yield channel.resolver
    finally:
        channel.users -= 1
        if not channel.users:
            del _channels[key]
            await channel.resolver.close()  # which never waits


def _opened(
    loop: asyncio.AbstractEventLoop, options: AiodnsResolver
) -> aiodns.DNSResolver:
    try:
        return aiodns.DNSResolver(
            options.nameservers, loop, timeout=options.timeout, tries=options.tries
        )
    except pycares.AresError as exc:
        # It says no more; a descriptor is what there is none of, if anything.
        text = f"c-ares cannot begin: {exc.args[-1]}"
        raise socket.gaierror(socket.EAI_AGAIN, text) from None


def _addresses(nodes: Sequence[Any], family: int, proto: int) -> tuple[Address, ...]:
    # Asked for IPv6, c-ares gives an IPv4 host in numbers all the same.
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
        if isinstance(one, pycares.SRVRecordData)  # there may be a CNAME's, too
    )
