"""Turn names into addresses.

Numbers are their own answer: they touch neither the system's resolver nor a
thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import encodings.idna
import errno
import socket
from collections.abc import Iterable
from typing import cast

from ._address import Address, SockAddr, numeric
from ._errors import AttemptError, Expired, os_error
from ._waits import done_before

__all__ = ["resolve", "resolve_local"]

# The loops' getaddrinfo needs the first, the socket module the second: imported
# on first use, that fails when there is no descriptor left (K14).
_IMPORTED = (concurrent.futures.thread, encodings.idna)

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def _literal(host: str, port: int, family: int, proto: int) -> Address | None:
    """Return the `Address` that *host* is in numbers, or None if it is a name.

    Raises:
        AttemptError: It is one of another family, or of no interface here.
    """
    bare, _, scope = host.partition("%")
    address = numeric(host, port, proto)
    if address is None and scope and numeric(bare, port) is not None:
        try:
            host = f"{bare}%{socket.if_nametoindex(scope)}"
        except OSError:
            raise _no_address(socket.EAI_NONAME, f"no interface {scope}") from None
        address = numeric(host, port, proto)
    if address is not None and family not in (socket.AF_UNSPEC, address.family):
        # What getaddrinfo says of it.
        text = "Address family for hostname not supported"
        raise _no_address(socket.EAI_ADDRFAMILY, text)
    return address


def _no_address(code: int, text: str) -> AttemptError:
    return AttemptError("resolve", socket.gaierror(code, text), sent=False)


async def resolve(
    loop: asyncio.AbstractEventLoop,
    host: str | None,
    port: int,
    *,
    family: int,
    proto: int,
    flags: int,
    deadline: float | None,
) -> tuple[Address, ...]:
    """Return the addresses of *host*, in the system's order, each one once.

    *proto* becomes the sockets': the resolver knows nothing of, say, MPTCP.

    Raises:
        AttemptError: There are none; the error is the resolver's own.
        Expired: It had not answered at *deadline*.
    """
    mapped = flags & socket.AI_V4MAPPED  # then an IPv4 host is an IPv6 one too
    if host and not mapped and (address := _literal(host, port, family, proto)):
        return (address,)
    asking = loop.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=flags
    )
    task = loop.create_task(asking)
    if not await done_before(loop, task, deadline):
        error = os_error(errno.ETIMEDOUT, "the resolver has not answered yet")
        raise Expired("resolve", error, sent=False)
    try:
        found = task.result()
    except OSError as exc:
        raise AttemptError("resolve", exc, sent=False) from None
    addresses = (
        Address(family, cast("SockAddr", sockaddr), proto)
        for family, _, _, _, sockaddr in found
        if family in _FAMILIES
    )
    if unique := tuple(dict.fromkeys(addresses)):
        return unique
    raise _no_address(socket.EAI_NONAME, "the resolver gave no address")


async def resolve_local(
    loop: asyncio.AbstractEventLoop,
    local_addr: Iterable[tuple[str | None, int]],
    deadline: float | None,
) -> tuple[Address, ...]:
    """Return the addresses to bind to, in order; names among them are resolved.

    Raises:
        AttemptError: One of the names has no address.
        Expired: The resolver had not answered at *deadline*.
    """
    found: list[Address] = []
    for host, port in local_addr:
        try:
            found += await resolve(
                loop, host, port, family=0, proto=0, flags=0, deadline=deadline
            )
        except AttemptError as exc:
            raise type(exc)("bind", exc.error, sent=False) from None
    return tuple(found)
