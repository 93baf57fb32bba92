"""Provide the servers of `aioconnect.testing` as pytest fixtures.

pytest does not load the plugin by itself.  Write
``pytest_plugins = ["aioconnect.testing.plugin"]`` into the top-level ``conftest.py``,
or run pytest with ``-p aioconnect.testing.plugin``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._sansio.addresses import Address
from ._backlog import FullBacklog, black_hole, full_backlog
from ._echoing import EchoServer, echoing
from ._leaks import leak_check
from ._listening import Server, UnixServer, listening, unix_listening
from ._ports import port_of
from ._recorder import Recorder
from ._refusing import HeldPort, refusing, unused_port
from ._tls import TLSEchoServer, tls_echoing

try:
    import pytest
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "aioconnect.testing.plugin needs pytest: in a checkout, pip install '.[test]'",
        name=exc.name,
    ) from exc

__all__ = [
    "black_hole_address",
    "echo_server",
    "full_backlog_listener",
    "held_port",
    "listener",
    "no_leaks",
    "recorder",
    "refused_address",
    "refused_port",
    "tls_echo_server",
    "unix_listener",
]


@pytest.fixture
def listener() -> Iterator[Server]:
    """Give a TCP listener on 127.0.0.1 that accepts when the test calls `accept`."""
    with listening() as server:
        yield server


@pytest.fixture
def unix_listener() -> Iterator[UnixServer]:
    """Give a Unix listener on a new path."""
    with unix_listening() as server:
        yield server


@pytest.fixture
def refused_address() -> Iterator[Address]:
    """Give an address of 127.0.0.1 that refuses every connect."""
    with refusing() as refused:
        yield refused.address


@pytest.fixture
def refused_port(refused_address: Address) -> int:
    """Give a port of 127.0.0.1 that refuses every connect."""
    return port_of(refused_address)


@pytest.fixture
def held_port() -> Iterator[HeldPort]:
    """Give a port that refuses until the test listens on it."""
    with unused_port() as held:
        yield held


@pytest.fixture
def black_hole_address() -> Iterator[Address]:
    """Give an address of 127.0.0.1 that answers no SYN."""
    with black_hole() as hole:
        yield hole.address


@pytest.fixture
def full_backlog_listener() -> Iterator[FullBacklog]:
    """Give a Unix listener whose backlog is full."""
    with full_backlog() as full:
        yield full


@pytest.fixture
def echo_server() -> Iterator[EchoServer]:
    """Give an echo server on 127.0.0.1."""
    with echoing() as server:
        yield server


@pytest.fixture
def tls_echo_server() -> Iterator[TLSEchoServer]:
    """Give an echo server behind TLS on 127.0.0.1, with a certificate for localhost."""
    with tls_echoing() as server:
        yield server


@pytest.fixture
def recorder() -> Recorder:
    """Give an observer that keeps every event."""
    return Recorder()


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail the test if it leaves a descriptor or a thread open.

    For the tasks, timers and watchers of a loop, use ``async with leak_check()`` in the
    test itself.
    """
    with leak_check():
        yield
