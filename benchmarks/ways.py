"""Ways to connect one socket to one address in numbers.

Each function is given the endpoint and returns what connects to it once.  What it needs
is imported by then, so that no contestant pays for imports.
"""

from __future__ import annotations

import asyncio
import functools
import select
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import aioconnect

from .servers import Endpoint

__all__ = [
    "aiohappyeyeballs",
    "async_stagger",
    "blocking",
    "checked",
    "epoll",
    "ours",
    "ours_timeout",
    "reset",
    "sock_connect",
    "trio_socket",
    "unix_ours",
    "waiting",
    "waiting_checked",
]

RESET = b"\x01\0\0\0\0\0\0\0"

NON_BLOCKING = socket.SOCK_STREAM | socket.SOCK_NONBLOCK

# asyncio's streams over a socket that says so send small writes at once.
PROTOCOLS: dict[int, int] = {
    socket.AF_INET: socket.IPPROTO_TCP,
    socket.AF_INET6: socket.IPPROTO_TCP,
    socket.AF_UNIX: 0,
}

# What every way here returns: it connects once, at once or when awaited.
Opens = Callable[[], Awaitable[Any]]


class Closable(Protocol):
    """A socket, of Python's or trio's."""

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """Set an option."""

    def close(self) -> None:
        """Close it."""


def reset(sock: Closable) -> None:
    """Close with a reset, so that nothing is left in TIME_WAIT."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def of(endpoint: Endpoint) -> tuple[int, Any]:
    """Return the family and what connect(2) is given."""
    if endpoint.path:
        return socket.AF_UNIX, endpoint.path
    return endpoint.family, (endpoint.host, endpoint.port)


def blocking(endpoint: Endpoint) -> Callable[[], socket.socket]:
    """Call a blocking socket's connect: what the kernel alone costs."""
    family, sockaddr = of(endpoint)

    def opens() -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.connect(sockaddr)
        return sock

    return opens


def epoll(endpoint: Endpoint) -> Callable[[], socket.socket]:
    """Connect a non-blocking socket, and wait for it with an epoll that there is."""
    family, sockaddr = of(endpoint)
    poller = select.epoll()

    def opens() -> socket.socket:
        sock = socket.socket(family, NON_BLOCKING)
        if sock.connect_ex(sockaddr):
            poller.register(sock, select.EPOLLOUT)
            poller.poll()
            poller.unregister(sock)
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError("not connected")
        return sock

    return opens


def checked(endpoint: Endpoint) -> Callable[[], socket.socket]:
    """Make the system calls of a connect that is checked, and nothing else."""
    return functools.partial(checked_socket, *of(endpoint))


def checked_socket(family: int, sockaddr: Any) -> socket.socket:
    """Connect, look again at once, and compare the addresses."""
    sock = socket.socket(family, NON_BLOCKING, PROTOCOLS[family])
    if sock.connect_ex(sockaddr):
        sock.connect_ex(sockaddr)
    if family != socket.AF_UNIX:
        sock.getsockname()
    return sock


def waiting(endpoint: Endpoint) -> Opens:
    """Wait for a socket as one has to on a loop, and check nothing."""
    family, sockaddr = of(endpoint)

    async def opens() -> socket.socket:
        loop = asyncio.get_running_loop()
        sock = socket.socket(family, NON_BLOCKING, PROTOCOLS[family])
        sock.connect_ex(sockaddr)
        future: asyncio.Future[None] = loop.create_future()
        # asyncio watches a number with less work, and uvloop needs the object.
        is_asyncio = isinstance(loop, asyncio.BaseEventLoop)
        handle: Any = sock.fileno() if is_asyncio else sock
        loop.add_writer(handle, future.set_result, None)
        try:
            await future
        except BaseException:
            loop.remove_writer(handle)
            sock.close()
            raise
        loop.remove_writer(handle)
        return sock

    return opens


def waiting_checked(endpoint: Endpoint) -> Opens:
    """Wait for a socket, and make the system calls that check it."""
    wait = waiting(endpoint)
    _, sockaddr = of(endpoint)

    async def opens() -> socket.socket:
        sock: socket.socket = await wait()
        poller = select.poll()
        poller.register(fd := sock.fileno(), select.POLLOUT)
        is_connected = poller.poll(0) == [(fd, select.POLLOUT)]
        if sock.connect_ex(sockaddr) or not is_connected:
            raise OSError("not connected")
        sock.getsockname()
        return sock

    return opens


def sock_connect(endpoint: Endpoint) -> Opens:
    """Create a socket as one would for it, and await loop.sock_connect."""
    family, sockaddr = of(endpoint)

    async def opens() -> socket.socket:
        sock = socket.socket(family, NON_BLOCKING)
        try:
            await asyncio.get_running_loop().sock_connect(sock, sockaddr)
        except BaseException:
            sock.close()
            raise
        return sock

    return opens


def ours(endpoint: Endpoint) -> Opens:
    """Await aioconnect.connect."""
    return functools.partial(aioconnect.connect, endpoint.host, endpoint.port)


def ours_timeout(endpoint: Endpoint) -> Opens:
    """Await aioconnect.connect with a timeout."""
    return functools.partial(
        aioconnect.connect, endpoint.host, endpoint.port, timeout=5
    )


def unix_ours(endpoint: Endpoint) -> Opens:
    """Await aioconnect.connect_unix."""
    return functools.partial(aioconnect.connect_unix, endpoint.path)


def aiohappyeyeballs(endpoint: Endpoint) -> Opens:
    """Await aiohappyeyeballs.start_connection, which is given one address."""
    import aiohappyeyeballs

    family, sockaddr = of(endpoint)
    infos = [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", sockaddr)]
    return functools.partial(
        aiohappyeyeballs.start_connection, infos, happy_eyeballs_delay=0.25
    )


def async_stagger(endpoint: Endpoint) -> Opens:
    """Await async_stagger.create_connected_sock."""
    import async_stagger

    return functools.partial(
        async_stagger.create_connected_sock, endpoint.host, endpoint.port
    )


def trio_socket(endpoint: Endpoint) -> Opens:
    """Connect a socket of trio's."""
    import trio

    family, sockaddr = of(endpoint)

    async def opens() -> Any:
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        await sock.connect(sockaddr)
        return sock

    return opens
