"""Resolve names to addresses, and names of services to ports.

Numeric addresses and ``localhost`` need neither the system's resolver nor a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, cast

from .._sansio.addresses import Address, SockAddr
from .._sansio.checks import check_port_number
from .._sansio.errors import AttemptExpired, lookup_expired
from .._sansio.hosts import check_host, numeric_address
from .._sansio.text import error_text, printable
from .getaddrinfo import getaddrinfo, lookups_ahead
from .shared_lookup import AddrInfo

__all__ = [
    "AnswerFuture",
    "Resolver",
    "addresses_of_addrinfo",
    "cancel_lookup",
    "check_port",
    "flags_of_one_family",
    "is_no_address",
    "no_address_error",
    "numeric_answer",
    "resolve_without_lookup",
    "retrieve_error",
    "start_lookup",
    "system_resolver",
    "unanswered_error",
]

# Its result is what getaddrinfo or the caller's resolver returned.
AnswerFuture: TypeAlias = "asyncio.Future[Any]"

_eager_task_factory: Any = getattr(asyncio, "eager_task_factory", None)  # since 3.12

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

    The function is called for the connector's *family*, ``AF_UNSPEC`` by default.  It
    then returns the addresses of both families, in the order in which to try them:
    they are not sorted.  The resolvers of this package sort by RFC 6724.

    If that takes longer than *resolution_delay*, or fails with an error that may pass,
    the function is also called for ``AF_INET6`` and for ``AF_INET``, unless more than
    512 threads of `system_resolver` hang.  It is never called for a numeric address.
    If there is no address, it returns nothing or raises a `socket.gaierror`.  It is
    cancelled when its answer is not needed any more.
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

    getaddrinfo runs in aioconnect's own threads, once for each call.  The addresses
    keep its order.  Numeric addresses, and ``localhost`` if there are no *flags*, need
    no thread.  ``localhost`` is ``::1`` and ``127.0.0.1``, whatever the system has
    configured.  *proto* is the protocol of the sockets, such as MPTCP, which DNS does
    not know.  When cancelled, this returns at once; a thread that hangs ends by itself.

    Raises:
        socket.gaierror: There is no address.  Code and text are the system's, and the
            text names the *family* if only one was asked for.  The code is also
            ``EAI_AGAIN`` if no thread can be started.
        OSError: The system could not ask, for lack of a descriptor, say.
        ValueError: *host* is not a host name, or *port* not a port.
    """
    host, port = check_host(host), check_port(port)
    known = resolve_without_lookup(host, port, family, proto, flags)
    if known is not None:
        return known
    loop = asyncio.get_running_loop()
    error: OSError | None = None
    try:
        found = await getaddrinfo(loop, host, port, family, flags)
        if addresses := addresses_of_addrinfo(found, proto):
            return addresses
    except OSError as exc:
        error = exc.with_traceback(None)
    raise no_address_error(error, family)


def check_port(port: object) -> int:
    """Return *port*, a whole number, a decimal text or a service name, as an int.

    Raises:
        ValueError: It is not between 0 and 65535, or no service has this name.
        TypeError: It is neither int nor str.
    """
    name = port.decode("ascii", "replace") if isinstance(port, bytes) else port
    if isinstance(name, str) and not (name.isascii() and name.isdecimal()):
        # If there is no service with this name, the check says so.
        with contextlib.suppress(OSError, ValueError):
            return socket.getservbyname(name, "tcp")
    return check_port_number(port)


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


def flags_of_one_family(flags: int) -> int:
    """Return *flags*, given for both families, for a query for one of them alone."""
    # getaddrinfo(3): AI_V4MAPPED counts for AF_INET6 alone.
    return flags & ~_MAPPED


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


def no_address_error(error: OSError | None, family: int) -> OSError:
    """Return the error for a look-up of *family* that found no address.

    *error* is what the resolver raised, if it did.
    """
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


def unanswered_error(
    phase: str, host: str | None, port: int, query: tuple[int, int]
) -> AttemptExpired:
    """Return the error for *phase*, which expired before *host* was resolved.

    If the *query*, a family and flags, still waits for a thread, the text says so.
    """
    count = lookups_ahead(host, port, *query)
    if count is None:
        return lookup_expired(phase)
    hang = "1 look-up hangs" if count == 1 else f"{count:,} look-ups hang"
    return lookup_expired(phase, f"{hang}, and no thread is free")


def cancel_lookup(future: AnswerFuture) -> None:
    """Cancel a look-up whose answer nobody needs any more."""
    future.add_done_callback(retrieve_error)
    future.cancel()


def retrieve_error(future: AnswerFuture) -> None:
    """Retrieve the error of *future*, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()


def start_lookup(
    loop: asyncio.AbstractEventLoop,
    look_up: Callable[..., Any],
    *what: object,
    **details: object,
) -> AnswerFuture:
    """Call *look_up*, a function of the caller's; return the future of its answer."""
    known: AnswerFuture
    try:
        answer = look_up(*what, **details)
    except OSError as exc:  # it is a plain function, and has its answer at once
        known = loop.create_future()
        known.set_exception(exc.with_traceback(None))
        return known
    if asyncio.iscoroutine(answer):
        if _eager_task_factory is None or loop.get_task_factory() is not None:
            return loop.create_task(answer)
        # A resolver that knows the answer then needs no turn of the loop.
        task: AnswerFuture = _eager_task_factory(loop, answer)
        if task.done() and not task.cancelled() and (error := task.exception()):
            error.__traceback__ = None  # it has the frames of the caller
        return task
    if isinstance(answer, Awaitable):
        return asyncio.ensure_future(cast("Awaitable[Any]", answer), loop=loop)
    known = loop.create_future()
    known.set_result(answer)
    return known
