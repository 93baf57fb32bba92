"""Turn names into addresses.

Numbers and ``localhost`` are their own answer: they touch neither the system's
resolver nor a thread.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol, TypeAlias, cast

from .._sansio.addresses import Address, SockAddr
from .._sansio.errors import AttemptError, AttemptExpired, lookup_expired
from .._sansio.hosts import check_host, numeric_address
from .._sansio.text import error_text, printable
from .getaddrinfo import getaddrinfo, lookups_ahead
from .service_names import check_port
from .shared_lookup import AddrInfo
from .timers import wait_until_done

__all__ = [
    "Resolver",
    "addresses_of_addrinfo",
    "is_no_address",
    "no_address_error",
    "numeric_answer",
    "queries_for",
    "resolve_local",
    "resolve_without_lookup",
    "system_resolver",
    "unanswered_error",
]

_NAMES = {socket.AF_INET6: "IPv6", socket.AF_INET: "IPv4"}

_LOOPBACK = {socket.AF_INET6: "::1", socket.AF_INET: "127.0.0.1"}

# What the system's getaddrinfo will have said.
Asked: TypeAlias = "asyncio.Future[tuple[AddrInfo, ...]]"

# RFC 6761 section 6.3: "Name resolution APIs and libraries SHOULD recognize
# localhost names as special and SHOULD always return the IP loopback address".
# Names below it are the system's to answer: people do give db.localhost another
# address in /etc/hosts.
_LOCALHOST = (None, "localhost", "localhost.")

# As numbers: the inverse of an IntFlag is without the bits that it has no name for.
_MAPPED = int(socket.AI_V4MAPPED | socket.AI_ALL)
_WITHOUT_MEANING = int(socket.AI_NUMERICSERV)  # where the port is a number

# For a name that has addresses of the other family only, glibc says the first if
# DNS knows it, and the last if /etc/hosts does.
_NO_ADDRESS = tuple(
    getattr(socket, code)
    for code in ("EAI_NODATA", "EAI_ADDRFAMILY", "EAI_NONAME")
    if hasattr(socket, code)
)


class Resolver(Protocol):
    """What a connector asks for the addresses of a name.

    It is asked for ``AF_INET6`` and for ``AF_INET`` at once where *family* is
    ``AF_UNSPEC`` to the connector, and never for an address in numbers.  No
    answer is an empty one, or a `socket.gaierror`.  It is cancelled when nobody
    needs the answer any more.
    """

    def __call__(
        self, host: str, port: int, *, family: int, proto: int, flags: int
    ) -> Sequence[Address] | Awaitable[Sequence[Address]]:
        """Return the addresses of *host*."""
        ...


async def system_resolver(
    host: str,
    port: int,
    *,
    family: int = socket.AF_UNSPEC,
    proto: int = 0,
    flags: int = 0,
) -> Sequence[Address]:
    """Return what the system's getaddrinfo says of *host*, each address once.

    It runs in threads of our own, AAAA and A apart for ``AF_UNSPEC``: the answer
    is then IPv6 before IPv4.  Addresses in numbers, and ``localhost`` if there
    are no *flags*, are answered here: with ``::1`` and ``127.0.0.1``, whatever
    the system has.  *proto* becomes the sockets': DNS knows nothing of, say,
    MPTCP.  Cancelled, it returns at once; a thread that hangs ends by itself.

    Raises:
        socket.gaierror: There is no address; code and text are the system's, and
            the text says which *family* was asked for.  ``EAI_AGAIN``, too, where
            not one thread can be started.
        OSError: The system could not ask, for want of a descriptor, say.
        ValueError: *host* is no host name, or *port* no port.
    """
    host, port = check_host(host), check_port(port)
    known = resolve_without_lookup(host, port, family, proto, flags)
    if known is not None:
        return known
    found, errors = await _ask_all(host, port, queries_for(family, flags))
    if addresses := addresses_of_addrinfo(found, proto):
        return addresses
    raise no_address_error(errors, family)


async def _ask_all(
    host: str, port: int, asked_for: Iterable[tuple[int, int]]
) -> tuple[list[AddrInfo], list[OSError]]:
    loop = asyncio.get_running_loop()
    asked: list[Asked] = []
    found: list[AddrInfo] = []
    errors: list[OSError] = []
    try:
        for family, flags in asked_for:
            asked.append(getaddrinfo(loop, host, port, family, flags))
        while asked:
            try:
                found += await asked[0]
            except OSError as exc:
                errors.append(exc.with_traceback(None))
            del asked[0]
    finally:
        while asked:
            asked.pop().cancel()
    return found, errors


def resolve_without_lookup(
    host: str | None, port: int, family: int, proto: int, flags: int
) -> tuple[Address, ...] | None:
    """Return the addresses of *host* if nobody has to be asked, or None.

    None as *host* is the drop-ins': it means this machine.

    Raises:
        socket.gaierror: It is in numbers, but of another family, or of no
            interface here.
    """
    if host and (address := numeric_answer(host, port, family, proto, flags)):
        return (address,)
    # All other flags change what getaddrinfo says: AI_PASSIVE, AI_ADDRCONFIG, ...
    if flags & ~_WITHOUT_MEANING or family not in (socket.AF_UNSPEC, *_LOOPBACK):
        return None
    if (host and host.lower()) not in _LOCALHOST:
        return None
    found = (
        numeric_address(text, port, proto)
        for each, text in _LOOPBACK.items()
        if family in (socket.AF_UNSPEC, each)
    )
    return tuple(address for address in found if address is not None)


def numeric_answer(
    host: str, port: int, family: int, proto: int, flags: int
) -> Address | None:
    """Return the `Address` that *host* is in numbers, or None if it is a name.

    Raises:
        socket.gaierror: It is one of another family, or of no interface here.
    """
    bare, _, scope = host.partition("%")
    address = numeric_address(host, port, proto)
    if address is None and scope and numeric_address(bare, port) is not None:
        try:
            host = f"{bare}%{socket.if_nametoindex(scope)}"
        except OSError:
            # It may come, as the one of a number does, which is unreachable until then.
            text = f"no interface {printable(scope)}"
            raise socket.gaierror(socket.EAI_AGAIN, text) from None
        address = numeric_address(host, port, proto)
    if address is None or family in (socket.AF_UNSPEC, address.family):
        return address
    if family == socket.AF_INET6 and flags & socket.AI_V4MAPPED:
        return numeric_address(f"::ffff:{host}", port, proto)
    # What getaddrinfo says of it.
    text = "Address family for hostname not supported"
    raise socket.gaierror(socket.EAI_ADDRFAMILY, text)


@functools.cache
def queries_for(family: int, flags: int) -> tuple[tuple[int, int], ...]:
    """Return the families to ask for, AAAA before A, each with its flags."""
    if family != socket.AF_UNSPEC:
        return ((family, flags),)
    # getaddrinfo(3): AI_V4MAPPED is for those who ask for AF_INET6 alone.
    return tuple((each, flags & ~_MAPPED) for each in _LOOPBACK)


def addresses_of_addrinfo(found: Iterable[AddrInfo], proto: int) -> tuple[Address, ...]:
    """Return the addresses that getaddrinfo found, in order, each one once."""
    addresses = (
        Address(family, cast("SockAddr", sockaddr), proto)
        for family, _, _, _, sockaddr in found
        if family in _LOOPBACK
    )
    return tuple(dict.fromkeys(addresses))


def is_no_address(error: OSError) -> bool:
    """Tell whether *error*, of a look-up, is an answer: there is no such address."""
    return isinstance(error, socket.gaierror) and error.errno in _NO_ADDRESS


def no_address_error(errors: Sequence[OSError], family: int) -> OSError:
    """Return the error of a look-up for *family* that gave no address.

    Of *errors* it is one that may pass, if there is one.
    """
    temporary = (exc for exc in errors if exc.errno == socket.EAI_AGAIN)
    error = next(temporary, errors[-1] if errors else None)
    if error is None:
        error = socket.gaierror(socket.EAI_NONAME, "the resolver gave no address")
    if is_no_address(error):
        text = error_text(error)
        if family in _NAMES:
            text += f" (asked for {_NAMES[socket.AddressFamily(family)]} only)"
        return socket.gaierror(error.errno, text)
    if type(error) in (OSError, socket.gaierror):
        return type(error)(*error.args)  # another, or it would hold its own frames
    return error


async def resolve_local(
    loop: asyncio.AbstractEventLoop,
    local_addr: Iterable[tuple[str | None, int]],
    deadline: float | None,
) -> tuple[Address, ...]:
    """Return the addresses to bind to, in order; names are the system's.

    Raises:
        AttemptError: One of the names has no address.
        Expired: The resolver had not answered at *deadline*.
    """
    found: list[Address] = []
    for host, port in local_addr:
        try:
            found += await _bindable(loop, host, port, deadline)
        except OSError as exc:
            raise AttemptError("bind", exc, sent=False) from None
    return tuple(found)


async def _bindable(
    loop: asyncio.AbstractEventLoop,
    host: str | None,
    port: int,
    deadline: float | None,
) -> Sequence[Address]:
    known = resolve_without_lookup(host, port, socket.AF_UNSPEC, 0, 0)
    if host is None or known is not None:
        return known or ()
    task = loop.create_task(system_resolver(host, port))
    if not await wait_until_done(loop, task, deadline):
        raise unanswered_error("bind", host, port, queries_for(socket.AF_UNSPEC, 0))
    return task.result()


def unanswered_error(
    phase: str, host: str | None, port: int, asked_for: Iterable[tuple[int, int]]
) -> AttemptExpired:
    """Return the error of *phase* whose time was up before *host* was known.

    If a look-up still waits for a thread, it says that names do, and why.
    """
    counts = (lookups_ahead(host, port, family, flags) for family, flags in asked_for)
    count = next((one for one in counts if one is not None), None)
    if count is None:
        return lookup_expired(phase)
    hang = "1 look-up hangs" if count == 1 else f"{count:,} look-ups hang"
    return lookup_expired(phase, f"{hang}, and names wait for a free thread")
