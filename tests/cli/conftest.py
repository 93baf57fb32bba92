"""Targets for the tests of the command line; descriptor limits are restored."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from aioconnect.testing import BlackHole, Server


@pytest.fixture(autouse=True)
def same_limits() -> Iterator[None]:
    """Restore the limits of this process, which a sweep in it may raise."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def up(listener: Server) -> str:
    """Give a target that is up."""
    return f"127.0.0.1:{listener.port}"


@pytest.fixture
def refused(refused_port: int) -> str:
    """Give a target that refuses."""
    return f"127.0.0.1:{refused_port}"


@pytest.fixture
def silent(black_hole: BlackHole) -> str:
    """Give a target that does not answer."""
    return f"127.0.0.1:{black_hole.port}"
