"""Shake hands over a connected stream, and with other addresses if that is late.

A client that connects first, and starts TLS afterwards, gets the race to the first
usable connection by this.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from anyio.abc import ByteStream

from .._calls.arguments import endpoint_from_host
from .._calls.connect import ConnectOperation
from .._calls.options import passage_to
from .._connector import Connector
from .._io.timers import end_tasks
from .._sansio.addresses import Address, host_and_port
from .._sansio.endpoints import Endpoint
from .._sansio.hosts import numeric_address
from ._anyio_streams import StreamWrap, TLSHandshake, abort
from ._direct import without_proxy

__all__ = ["OtherAddresses", "first_usable"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OtherAddresses:
    """The addresses of *host* besides *known*, to which a stream is connected."""

    connector: Connector
    host: str
    port: int
    known: str

    @property
    def is_only_one(self) -> bool:
        """Whether there are no others: of an address in numbers, or behind a proxy."""
        if numeric_address(self.host.partition("%")[0], self.port) is not None:
            return True
        target = Endpoint(self.host, self.port)
        return passage_to(self.connector, target) is not None

    async def connect(self, handshake: TLSHandshake) -> ByteStream:
        """Return the first stream to one of them that has shaken hands.

        Raises:
            ConnectError: There is none.
        """
        # The first connection is direct, and so are these.  With TLS, the environment
        # could name a proxy for them.
        connector = without_proxy(self.connector)
        connector = replace(connector, retry=(), resolver=self._resolve)
        endpoint = endpoint_from_host(connector, self.host, self.port)
        operation = ConnectOperation(connector, (endpoint,), StreamWrap(handshake))
        _, stream = await operation.run()
        assert isinstance(stream, ByteStream)
        return stream

    async def _resolve(self, host: str, port: int, **asked: int) -> Sequence[Address]:
        resolver: Any = self.connector.resolver
        found = resolver(host, port, **asked)
        if inspect.isawaitable(found):
            found = await found
        return [one for one in found if host_and_port(one)[0] != self.known]


async def first_usable(
    first: Awaitable[T], others: Callable[[], Awaitable[T]], delay: float | None
) -> T:
    """Return the stream of *first*, or that of *others* if it is there sooner.

    *others* is called after *delay* seconds, or at once when *first* has failed.  With
    None, only a failure calls it.  If both fail, the error is that of *first*.  What
    loses is closed before this returns.
    """
    tasks = [asyncio.ensure_future(first)]
    winner: asyncio.Future[T] | None = None
    try:
        await asyncio.wait(tasks, timeout=delay)
        winner = _usable(tasks)
        if winner is None:
            tasks.append(asyncio.ensure_future(others()))
        while winner is None and (pending := [one for one in tasks if not one.done()]):
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            winner = _usable(tasks)
    except GeneratorExit:  # the caller's coroutine is being closed, and must not wait
        for one in tasks:
            one.add_done_callback(_discard)
            one.cancel()
        tasks.clear()
        raise
    finally:
        try:
            await _end([one for one in tasks if one is not winner])
        except BaseException:
            if winner is not None:
                _discard(winner)
            raise
    return (winner or tasks[0]).result()


def _usable(tasks: Sequence[asyncio.Future[T]]) -> asyncio.Future[T] | None:
    for one in tasks:
        if one.done() and not one.cancelled() and one.exception() is None:
            return one
    return None


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel *tasks*, and close the streams that they have made all the same."""
    cancelled = await end_tasks(tasks)
    for one in tasks:
        _discard(one)
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            del cancelled


def _discard(task: asyncio.Future[Any]) -> None:
    """Close the stream of *task*, which has ended, if it has made one."""
    if not task.cancelled() and task.exception() is None:
        abort(task.result())
