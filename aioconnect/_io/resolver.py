"""Resolve names to addresses.

Numeric addresses and ``localhost`` need neither the system's resolver nor a thread.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol, cast

from .._sansio.addresses import Address, SockAddr
from .._sansio.errors import AttemptError, AttemptExpired, lookup_expired
from .._sansio.hosts import check_host, numeric_address
from .._sansio.text import error_text, printable
from .getaddrinfo import getaddrinfo, lookups_ahead
from .service_names import check_port
from .shared_lookup import AddrInfo, AnswerWaiter
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

_FAMILY_NAMES = {socket.AF_INET6: "IPv6", socket.AF_INET: "IPv4"}

_LOOPBACK = {socket.AF_INET6: "::1", socket.AF_INET: "127.0.0.1"}

# RFC 6761 section 6.3: "Name resolution APIs and libraries SHOULD recognize
# localhost names as special and SHOULD always return the IP loopback address".
# The system answers for names below it: people do give db.localhost another address in
# /etc/hosts.
_LOCALHOST = (None, "localhost", "localhost.")

# As ints: the inverse of an IntFlag lacks the bits that have no name.
_MAPPED = int(socket.AI_V4MAPPED | socket.AI_ALL)
_MEANINGLESS = int(socket.AI_NUMERICSERV)  # the port is always a number

# For a name that has only addresses of the other family, glibc answers the first if
# the name is from DNS, and the last if it is from /etc/hosts.
_NO_ADDRESS = tuple(
    getattr(socket, code)
    for code in ("EAI_NODATA", "EAI_ADDRFAMILY", "EAI_NONAME")
    if hasattr(socket, code)
)


class Resolver(Protocol):
    """A function that a connector calls to resolve a name.

    If the connector's *family* is ``AF_UNSPEC``, the function is called twice, for
    ``AF_INET6`` and for ``AF_INET``, at the same time.  It is never called for a
    numeric address.  If there is no address, it returns nothing or raises a
    `socket.gaierror`.  It is cancelled when its answer is not needed any more.
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
    """Return the addresses that the system's getaddrinfo knows for *host*, each once.

    getaddrinfo runs in aioconnect's own threads.  For ``AF_UNSPEC`` it is called for
    AAAA and A separately, and the answer has IPv6 before IPv4.  Numeric addresses, and
    ``localhost`` if there are no *flags*, need no thread; ``localhost`` is ``::1`` and
    ``127.0.0.1``, whatever the system has configured.  *proto* becomes the protocol of
    the sockets: DNS knows nothing of MPTCP, say.  When cancelled, this returns at
    once; a thread that hangs ends by itself.

    Raises:
        socket.gaierror: There is no address.  Code and text are the system's, and the
            text says for which *family* it was asked.  The code is ``EAI_AGAIN`` also
            when not one thread can be started.
        OSError: The system could not ask, for lack of a descriptor, say.
        ValueError: *host* is not a host name, or *port* not a port.
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
    host: str, port: int, queries: Iterable[tuple[int, int]]
) -> tuple[list[AddrInfo], list[OSError]]:
    """Ask getaddrinfo all *queries*, each a family and flags, at the same time."""
    loop = asyncio.get_running_loop()
    answers: list[AnswerWaiter] = []
    found: list[AddrInfo] = []
    errors: list[OSError] = []
    try:
        for family, flags in queries:
            answers.append(getaddrinfo(loop, host, port, family, flags))
        while answers:
            try:
                found += await answers[0]
            except OSError as exc:
                errors.append(exc.with_traceback(None))
            del answers[0]
    finally:
        while answers:
            answers.pop().cancel()
    return found, errors


def resolve_without_lookup(
    host: str | None, port: int, family: int, proto: int, flags: int
) -> tuple[Address, ...] | None:
    """Return the addresses of *host* if they need no look-up, or None.

    The drop-ins for asyncio's functions use None as *host*; it means this machine.

    Raises:
        socket.gaierror: *host* is a numeric address, but of another family, or of an
            interface that this machine does not have.
    """
    if host and (address := numeric_answer(host, port, family, proto, flags)):
        return (address,)
    # All other flags change getaddrinfo's answer: AI_PASSIVE, AI_ADDRCONFIG, ...
    if flags & ~_MEANINGLESS or family not in (socket.AF_UNSPEC, *_LOOPBACK):
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
    """Return the `Address` if *host* is a numeric address, or None if it is a name.

    Raises:
        socket.gaierror: The address has another family, or an interface that this
            machine does not have.
    """
    bare, _, scope = host.partition("%")
    address = numeric_address(host, port, proto)
    if address is None and scope and numeric_address(bare, port) is not None:
        try:
            host = f"{bare}%{socket.if_nametoindex(scope)}"
        except OSError:
            # The interface may appear later.  With its number instead of its name, the
            # address would be unreachable until then: an error that may pass, too.
            text = f"no interface {printable(scope)}"
            raise socket.gaierror(socket.EAI_AGAIN, text) from None
        address = numeric_address(host, port, proto)
    if address is None or family in (socket.AF_UNSPEC, address.family):
        return address
    if family == socket.AF_INET6 and flags & socket.AI_V4MAPPED:
        return numeric_address(f"::ffff:{host}", port, proto)
    # The words of getaddrinfo.
    text = "Address family for hostname not supported"
    raise socket.gaierror(socket.EAI_ADDRFAMILY, text)


@functools.cache
def queries_for(family: int, flags: int) -> tuple[tuple[int, int], ...]:
    """Return the queries for *family*: pairs of family and flags, AAAA before A."""
    if family != socket.AF_UNSPEC:
        return ((family, flags),)
    # getaddrinfo(3): AI_V4MAPPED is for queries for AF_INET6 alone.
    return tuple((each, flags & ~_MAPPED) for each in _LOOPBACK)


def addresses_of_addrinfo(found: Iterable[AddrInfo], proto: int) -> tuple[Address, ...]:
    """Return the addresses that getaddrinfo *found*, in order, each once."""
    addresses = (
        Address(family, cast("SockAddr", sockaddr), proto)
        for family, _, _, _, sockaddr in found
        if family in _LOOPBACK
    )
    return tuple(dict.fromkeys(addresses))


def is_no_address(error: OSError) -> bool:
    """Tell whether a look-up's *error* is an answer: there is no such address."""
    return isinstance(error, socket.gaierror) and error.errno in _NO_ADDRESS


def no_address_error(errors: Sequence[OSError], family: int) -> OSError:
    """Return the error for a look-up of *family* that found no address.

    If one of the queries' *errors* is temporary, it is that one.
    """
    temporary = (exc for exc in errors if exc.errno == socket.EAI_AGAIN)
    error = next(temporary, errors[-1] if errors else None)
    if error is None:
        error = socket.gaierror(socket.EAI_NONAME, "the resolver gave no address")
    if is_no_address(error):
        text = error_text(error)
        if family in _FAMILY_NAMES:
            text += f" (asked for {_FAMILY_NAMES[socket.AddressFamily(family)]} only)"
        return socket.gaierror(error.errno, text)
    if type(error) in (OSError, socket.gaierror):
        return type(error)(*error.args)  # a copy: the error has its frames
    return error


async def resolve_local(
    loop: asyncio.AbstractEventLoop,
    local_addr: Iterable[tuple[str | None, int]],
    deadline: float | None,
) -> tuple[Address, ...]:
    """Return the addresses to bind to, in order; the system resolves names.

    Raises:
        AttemptError: One of the names has no address.
        AttemptExpired: The resolver had not answered at *deadline*.
    """
    found: list[Address] = []
    for host, port in local_addr:
        try:
            found += await _resolve_bindable(loop, host, port, deadline)
        except OSError as exc:
            raise AttemptError("bind", exc, sent=False) from None
    return tuple(found)


async def _resolve_bindable(
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
    phase: str, host: str | None, port: int, queries: Iterable[tuple[int, int]]
) -> AttemptExpired:
    """Return the error for *phase*, which expired before *host* was resolved.

    If one of the *queries* still waits for a thread, the text says so, and why.
    """
    counts = (lookups_ahead(host, port, family, flags) for family, flags in queries)
    count = next((count for count in counts if count is not None), None)
    if count is None:
        return lookup_expired(phase)
    hang = "1 look-up hangs" if count == 1 else f"{count:,} look-ups hang"
    return lookup_expired(phase, f"{hang}, and names wait for a free thread")
