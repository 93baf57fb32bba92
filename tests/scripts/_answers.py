"""Cause an error through each public function, and compare it with the contract."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aioconnect
from aioconnect import Address, Connector
from aioconnect.testing import leak_check

# What an errno is raised as, and whether `is_transient` accepts it.  The builtin
# that the class inherits is the one that Python maps the errno to.
CONTRACT: dict[int, tuple[type[aioconnect.ConnectError], bool]] = {
    errno.EACCES: (aioconnect.ConnectPermissionError, False),
    errno.EADDRINUSE: (aioconnect.ConnectError, True),
    errno.EADDRNOTAVAIL: (aioconnect.ConnectError, True),
    errno.EAFNOSUPPORT: (aioconnect.ConnectError, False),
    errno.ECONNABORTED: (aioconnect.ConnectAbortedError, True),
    errno.ECONNREFUSED: (aioconnect.ConnectRefusedError, True),
    errno.ECONNRESET: (aioconnect.ConnectResetError, True),
    errno.EHOSTDOWN: (aioconnect.ConnectError, True),
    errno.EHOSTUNREACH: (aioconnect.ConnectError, True),
    errno.EINVAL: (aioconnect.ConnectError, False),
    errno.ELOOP: (aioconnect.ConnectError, False),
    errno.EMFILE: (aioconnect.ConnectError, False),
    errno.ENETUNREACH: (aioconnect.ConnectError, True),
    errno.ENODEV: (aioconnect.ConnectError, True),
    errno.ENOENT: (aioconnect.ConnectNotFoundError, True),
    errno.ENOPROTOOPT: (aioconnect.ConnectError, False),
    errno.ENOTDIR: (aioconnect.ConnectNotDirectoryError, False),
    errno.EPERM: (aioconnect.ConnectPermissionError, False),
    errno.EPROTONOSUPPORT: (aioconnect.ConnectError, False),
    errno.EPROTOTYPE: (aioconnect.ConnectError, False),
    errno.ETIMEDOUT: (aioconnect.ConnectTimeoutError, True),
}

# Threads for names, which end by themselves.
POOLS = ("asyncio_", "aioconnect-resolver")

_INET = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Case:
    """What is *said* to cause *code* at *address*, and in which phase, or phases."""

    said: str
    address: Address
    code: int
    phase: str = "connect"
    sent: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    tls: dict[str, Any] = field(default_factory=dict)


async def check(cases: Sequence[Case], *meanwhile: Coroutine[Any, Any, None]) -> None:
    """Cause the errors of *cases*, all at once, and print the name of each one.

    What is to go on *meanwhile* is cancelled at the end.
    """
    async with leak_check(ignore_threads=POOLS):
        tasks = [asyncio.create_task(doing) for doing in meanwhile]
        try:
            await asyncio.gather(*map(_check, cases))
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


async def _check(case: Case) -> None:
    connector = Connector(timeout=60, retry=(0,), **case.options)
    calls = list(_calls(connector, case))
    _, transient = CONTRACT[case.code]
    for error in await asyncio.gather(*calls, return_exceptions=True):
        check_error(case, error, 1 + transient)
        print(errno.errorcode[case.code])
    if case.phase == "connect" and not case.options and not case.tls:
        await _on_own_socket(case)
        print(errno.errorcode[case.code])


def _calls(connector: Connector, case: Case) -> Iterator[Awaitable[object]]:
    """Make the call of every public function that takes such an address."""
    family, sockaddr = case.address.family, case.address.sockaddr
    if family in _INET:
        assert isinstance(sockaddr, tuple)
        host, port = str(sockaddr[0]), sockaddr[1]
        factory = asyncio.Protocol
        yield connector.open_connection(host, port, **case.tls)
        yield connector.create_connection(factory, host, port, **case.tls)
        if case.tls:
            return
        if not case.address.proto:
            yield connector.connect(host, port)
    elif family == socket.AF_UNIX:
        assert isinstance(sockaddr, str)
        yield connector.connect_unix(sockaddr)
        yield connector.open_unix_connection(sockaddr)
    yield connector.connect_address(case.address)


async def _on_own_socket(case: Case) -> None:
    """Check the same with a socket that stays the caller's; it is tried once."""
    with socket.socket(case.address.family) as sock:
        sock.setblocking(False)
        (error,) = await asyncio.gather(
            aioconnect.connect_sock(sock, case.address.sockaddr),
            return_exceptions=True,
        )
        check_error(case, error, 1)
        assert sock.fileno() != -1


def check_error(case: Case, error: object, attempts: int) -> None:
    """Check that *error* says of *case* what the contract does."""
    kind, transient = CONTRACT[case.code]
    assert isinstance(error, aioconnect.ConnectError), f"{case.said}: {error!r}"
    assert type(error) is kind, f"{case.said}: {error!r}"
    assert isinstance(error, type(OSError(case.code, "")))
    assert error.errno == case.code, f"{case.said}: {error!r}"
    assert error.attempt_count == attempts, f"{case.said}: {error!r}"
    for attempt in error.attempts:
        assert attempt.phase in case.phase.split(), f"{case.said}: {attempt!r}"
        assert attempt.sent is case.sent, f"{case.said}: {attempt!r}"
        assert isinstance(attempt.error, OSError)
        assert aioconnect.is_transient(attempt.error) is transient
