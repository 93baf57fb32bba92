"""Httpx with httpcore, and their successors: one implementation serves both pairs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2

import aioconnect.contrib.httpcore
import aioconnect.contrib.httpcore2
import aioconnect.contrib.httpx
import aioconnect.contrib.httpx2
from aioconnect import Connector

__all__ = ["PAIRS", "PATIENCE", "Pair"]

# Longer, in seconds, than any request of a test takes.
PATIENCE = 60.0


@dataclass(frozen=True)
class Pair:
    """Two packages, and the classes of this package for them."""

    httpcore: ModuleType
    httpx: ModuleType
    backend: Callable[..., Any]
    transport: Callable[..., Any]

    @property
    def classes(self) -> tuple[type, type]:
        """The backend and the transport, as classes."""
        assert isinstance(self.backend, type)
        assert isinstance(self.transport, type)
        return self.backend, self.transport

    @asynccontextmanager
    async def client(
        self,
        connector: Connector = Connector(timeout=PATIENCE),  # noqa: B008  # a value
        **options: Any,
    ) -> AsyncGenerator[Any]:
        """Yield a client that connects as *connector* says."""
        async with self.httpx.AsyncClient(
            transport=self.transport(connector, **options),
            timeout=self.httpx.Timeout(PATIENCE, connect=None),
        ) as client:
            yield client


PAIRS = {
    "httpx": Pair(
        httpcore,
        httpx,
        aioconnect.contrib.httpcore.ConnectorBackend,
        aioconnect.contrib.httpx.ConnectorTransport,
    ),
    "httpx2": Pair(
        httpcore2,
        httpx2,
        aioconnect.contrib.httpcore2.ConnectorBackend,
        aioconnect.contrib.httpx2.ConnectorTransport,
    ),
}
