"""Run each program of docs/examples with a real server, on each loop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import re
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from answering import answering
from programs import run_script

import aioconnect
from aioconnect.testing import listening, refusing, unused_port

# The tests of the documentation take longer than the README's command may.
pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
PROGRAMS = [path for path in EXAMPLES if "__main__" in path.read_text()]

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@cache
def example(name: str) -> ModuleType:
    """Return the example as a module."""
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", FOLDER / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def serving(answer: Answer, port: int = 0) -> AsyncGenerator[int]:
    """Serve each connection with *answer*, and yield the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            with contextlib.suppress(OSError, EOFError):
                await answer(reader, writer)
        finally:
            writer.transport.abort()

    async def accept(sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(sock)
            tasks.add(asyncio.create_task(serve(accepted)))

    with listening(port=port) as server:
        tasks.add(asyncio.create_task(accept(server.sock)))
        try:
            yield server.port
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def name_of(path: Path) -> str:
    return path.stem


def test_the_names() -> None:
    """The README links to these, and the site shows them."""
    names = [path.name for path in EXAMPLES]
    assert [name.removesuffix(".py") for name in names] == [
        *("driver", "health_sweep", "line_protocol", "redis_like", "ssrf_safe_fetch")
    ]
    page = (ROOT / "docs" / "reference" / "examples.md").read_text()
    shown = re.findall(r"^```{literalinclude} \.\./examples/(.*)$", page, re.MULTILINE)
    linked = re.findall(r"\]\(\.\./examples/(.*?)\)", page)
    assert sorted(shown) == names
    assert linked == shown


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_it_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 110


@pytest.fixture
def this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs import the package from here."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize("path", PROGRAMS, ids=name_of)
def test_help(path: Path, this_checkout: None) -> None:
    """It says what the program does."""
    said = run_script(sys.executable, "-X", "dev", str(path), "--help")
    assert f"usage: {path.name}" in said


# redis_like


def test_redis_like_is_a_client_of_60_lines() -> None:
    """Without its imports and its command line."""
    text = (FOLDER / "redis_like.py").read_text()
    client = text[text.index("CONNECTOR = ") : text.index("async def main(")]
    assert len(client.strip().splitlines()) <= 60


async def redis_server(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: dict[str, str]
) -> None:
    """Understand PING, SET, GET, KEYS and COUNT, and close after QUIT."""
    while True:
        count = int((await reader.readuntil(b"\r\n"))[1:])
        words = []
        for _ in range(count):
            size = int((await reader.readuntil(b"\r\n"))[1:])
            words.append((await reader.readexactly(size + 2))[:-2].decode())
        match words:
            case ["PING"]:
                answer = "+PONG"
            case ["SET", key, value]:
                kept[key] = value
                answer = "+OK"
            case ["GET", key] if key in kept:
                answer = f"${len(kept[key].encode())}\r\n{kept[key]}"
            case ["GET", _]:
                answer = "$-1"
            case ["COUNT"]:
                answer = f":{len(kept)}"
            case ["KEYS"]:
                answer = "\r\n".join([f"*{len(kept)}", *(f"+{key}" for key in kept)])
            case ["QUIT"]:
                return
            case _:
                answer = f"-ERR unknown command {words[0]!r}"
        writer.write(f"{answer}\r\n".encode())


async def test_redis_like() -> None:
    """Each kind of reply; a lost connection is an error, and then there is another."""
    redis = example("redis_like")
    kept: dict[str, str] = {}
    async with serving(partial(redis_server, kept=kept)) as port:
        client = redis.Client("127.0.0.1", port)
        try:
            assert await client.command("SET", "colour", "blåu") == "OK"
            assert await client.command("GET", "colour") == "blåu"
            assert await client.command("GET", "shape") is None
            assert await client.command("COUNT") == 1
            assert await client.command("KEYS") == ["colour"]
            with pytest.raises(redis.ServerError, match="ERR unknown command 'FLY'"):
                await client.command("FLY")
            with pytest.raises(EOFError):
                await client.command("QUIT")
            assert await client.command("PING") == "PONG"
        finally:
            client.close()


async def test_redis_like_is_cancelled() -> None:
    """The rest of a reply is not taken for the next one."""
    redis = example("redis_like")
    delay = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not delay.is_set():
            await reader.readuntil(b"PING\r\n")
            writer.write(b"+PONG\r\n")
            await reader.readuntil(b"PING\r\n")
            delay.set()
            await asyncio.Event().wait()
        await redis_server(reader, writer, {})

    async with serving(serve) as port:
        client = redis.Client("127.0.0.1", port)
        try:
            task = asyncio.create_task(client.command("PING"))
            await delay.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.command("GET", "it") is None
        finally:
            client.close()


async def test_redis_like_as_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    redis = example("redis_like")
    async with serving(partial(redis_server, kept={})) as port:
        await redis.main("127.0.0.1", port, ["SET", "colour", "blue"])
    assert capsys.readouterr().out == "OK\n"


# line_protocol


async def test_line_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    """The news of three connections: one is lost, one falls silent."""
    lines = example("line_protocol")
    endings = ["closes", "is silent", "stays"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HELLO\n")
        assert await reader.readuntil() == b"FOLLOW weather\n"
        ending = endings.pop(0)
        writer.write(f"{ending}\n\n".encode())
        if ending != "closes":
            await reader.read()

    async with serving(serve) as port:
        news = lines.follow("127.0.0.1", port, "weather", silence=0.5)
        async with contextlib.aclosing(news):
            seen = [await anext(news) for _ in range(3)]
    assert seen == ["closes", "is silent", "stays"]
    assert capsys.readouterr().err == (
        "lost (IncompleteReadError), coming back\nlost (TimeoutError), coming back\n"
    )


async def test_line_protocol_without_a_greeting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gives up, and says what the server greeted with."""
    lines = example("line_protocol")
    connector = aioconnect.Connector(ready=lines.greeted, retry=(0.01,))
    monkeypatch.setitem(lines.follow.__kwdefaults__, "connector", connector)
    async with answering(b"GO AWAY\n", greets=True) as server:
        assert await lines.main(server.host, server.port, "weather") == 1
    assert "the server greeted with b'GO AWAY" in capsys.readouterr().err


# ssrf_safe_fetch


def connector_to(public: int) -> aioconnect.Connector:
    """Return a connector to which the port *public* of this host is public."""

    def allow(address: IPv4Address | IPv6Address, port: int) -> bool:
        return port == public or aioconnect.only_public(address, port)

    return aioconnect.Connector(allow=allow, timeout=10)


async def web_server(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, private: int
) -> None:
    """Serve a page, a large one, a slow one, and redirects."""
    request = await reader.readuntil(b"\r\n\r\n")
    path = request.split()[1]
    body = b""
    match path:
        case b"/page":
            status, body = b"200 OK", b"hello"
        case b"/moved":
            status = b"302 Found\r\nLocation: /page"
        case b"/inside":
            to = f"http://127.0.0.1:{private}/secret"
            status = b"302 Found\r\nLocation: " + to.encode()
        case b"/round":
            status = b"302 Found\r\nLocation: /round"
        case b"/large":
            status, body = b"200 OK", b"x" * 5_000_001
        case b"/slow":
            await asyncio.Event().wait()
        case _:
            status = b"404 Not Found"
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    writer.write(head % (status, len(body)) + body)
    await writer.drain()
    await reader.read()


REFUSED = {
    "/inside": "this address is not public",
    "/large": "the body has more than 5000000 bytes",
    "/none": "the server answered 404",
    "/round": "Exceeded maximum allowed redirects.",
    "/slow": "it took more than 0.5 s",
}


async def test_ssrf_safe_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page, and what is no page; nothing connects to the private server."""
    fetching = example("ssrf_safe_fetch")
    with listening() as private:
        async with serving(partial(web_server, private=private.port)) as port:
            connector = connector_to(port)
            for path in ("/page", "/moved"):
                url = f"http://127.0.0.1:{port}{path}"
                assert await fetching.fetch(url, connector=connector) == b"hello"
            for path, reason in REFUSED.items():
                if path == "/slow":
                    monkeypatch.setattr(fetching, "LONGEST", 0.5)
                with pytest.raises(fetching.FetchError) as caught:
                    await fetching.fetch(
                        f"http://127.0.0.1:{port}{path}", connector=connector
                    )
                assert str(caught.value) == reason
        private.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            private.sock.accept()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{port}/", "this address is not public"),
        ("http://localhost:{port}/", "this address is not public"),
        ("http://[::ffff:127.0.0.1]:{port}/", "this address is not public"),
        ("http://2130706433:{port}/", "this address is not public"),
        ("http://169.254.169.254/latest/", "this address is not public"),
        ("ftp://127.0.0.1/", "Request URL has an unsupported protocol 'ftp://'."),
        ("page", "Request URL is missing an 'http://' or 'https://' protocol."),
        ("http://[::1/", "this is no URL: "),
        ("http://no.invalid/", "this name cannot be looked up"),
        ("http://a..b/", "this host or port cannot exist"),
    ],
)
async def test_ssrf_safe_fetch_of_nothing_public(url: str, reason: str) -> None:
    fetching = example("ssrf_safe_fetch")
    with listening() as private:
        with pytest.raises(fetching.FetchError) as caught:
            await fetching.fetch(url.format(port=private.port))
        private.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            private.sock.accept()
    assert str(caught.value).startswith(reason)


async def test_ssrf_safe_fetch_of_a_port_that_refuses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names no address, and the program fails."""
    fetching = example("ssrf_safe_fetch")
    with refusing() as server:
        kept = fetching.fetch.__kwdefaults__
        monkeypatch.setitem(kept, "connector", connector_to(server.port))
        assert await fetching.main([f"http://{server.host}:{server.port}/"]) == 1
    said = capsys.readouterr().out
    assert said.endswith("/: the server refuses connections\n")


# health_sweep


async def test_health_sweep() -> None:
    """Each kind of target; what is down fails at once, with its reason."""
    health = example("health_sweep")
    async with answering(b"+PONG\r\n") as redis, answering(b"-LOADING it\r\n") as other:
        with refusing() as down, listening() as up:
            targets = [
                f"127.0.0.1:{up.port}",
                f"redis://127.0.0.1:{redis.port}",
                f"redis://127.0.0.1:{other.port}",
                f"127.0.0.1:{down.port}",
                "no target",
            ]
            found = await health.sweep(targets)
    assert [one.target for one in found] == targets
    assert [bool(one.reason) for one in found] == [False, False, True, True, True]
    assert "LOADING it" in found[2].reason
    assert "connection refused" in found[3].reason
    assert found[3].seconds < 2
    lines = health.table(found).splitlines()
    assert [line.split("  up")[0] == line for line in lines] == [
        *(False, False, True, True, True)
    ]


def test_health_sweep_as_a_program(this_checkout: None) -> None:
    """The exit status is 0 if all are up."""
    with listening() as server:
        up = f"127.0.0.1:{server.port}"
        said = run_script(
            sys.executable, "-X", "dev", str(FOLDER / "health_sweep.py"), up
        )
    assert said.startswith(f"{up}  up ")


# driver


async def database(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[str]
) -> None:
    """Let in whoever knows the password; repeat queries, and close after "bye"."""
    while True:
        line = (await reader.readuntil()).decode().strip()
        seen.append(line)
        match line.split():
            case ["LOGIN", "secret"]:
                answer = "OK"
            case ["LOGIN", _]:
                answer = "ERROR wrong password"
            case ["fail"]:
                answer = "ERROR no such table"
            case ["bye"]:
                return
            case ["sleep"]:
                await asyncio.Event().wait()
            case _:
                answer = f"OK {line}"
        writer.write(f"{answer}\n".encode())


async def test_driver() -> None:
    """The pool makes a connection for the first query, and after a lost one."""
    driver = example("driver")
    seen: list[str] = []
    async with serving(partial(database, seen=seen)) as port:
        pool = driver.Pool("127.0.0.1", port, "secret")
        try:
            both = await asyncio.gather(pool.query("1"), pool.query("2"))
            assert [*both] == ["1", "2"]
            with pytest.raises(driver.DatabaseError, match="no such table"):
                await pool.query("fail")
            with pytest.raises(driver.DatabaseError, match="lost"):
                await pool.query("bye")
            assert await pool.query("3") == "3"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pool.query("sleep"), 0.1)
            assert await pool.query("4") == "4"
        finally:
            pool.close()
    assert seen == [
        *("LOGIN secret", "1", "2", "fail", "bye"),
        *("LOGIN secret", "3", "sleep"),
        *("LOGIN secret", "4"),
    ]


async def test_driver_with_a_wrong_password() -> None:
    """It is not tried again, whatever the user's connector says of retries."""
    driver = example("driver")
    seen: list[str] = []
    connector = aioconnect.Connector(retry=aioconnect.Backoff())
    async with serving(partial(database, seen=seen)) as port:
        with pytest.raises(driver.CannotConnectError, match="wrong password") as caught:
            await driver.Pool("127.0.0.1", port, "guess", connector=connector).connect()
    assert seen == ["LOGIN guess"]
    assert isinstance(caught.value.__cause__, aioconnect.ConnectPermissionError)


async def test_driver_waits_as_the_connector_says() -> None:
    """And not longer than *timeout*."""
    driver = example("driver")
    connector = aioconnect.Connector(retry=aioconnect.Backoff())
    options: dict[str, Any] = {"timeout": 0.3, "connector": connector}
    with unused_port() as port:
        with pytest.raises(driver.CannotConnectError, match=r"within 0\.3 s") as caught:
            await driver.Pool(port.host, port.port, "secret", **options).connect()
        assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({"connector": aioconnect.Connector(timeout=0.2)}, 0.2),
        ({"connector": aioconnect.Connector(timeout=0.2), "timeout": 0.1}, 0.1),
        ({"connector": aioconnect.Connector(attempt_timeout=3)}, 10),
        ({}, 10),
    ],
)
async def test_driver_keeps_the_options_of_the_connector(
    options: dict[str, Any], within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timeout holds unless the driver has one of its own."""
    driver = example("driver")
    used: list[aioconnect.Connector] = []

    async def open_connection(
        self: aioconnect.Connector, *_: object, **__: object
    ) -> None:
        used.append(self)
        raise aioconnect.ConnectTimeoutError("nothing connects here")

    monkeypatch.setattr(aioconnect.Connector, "open_connection", open_connection)
    pool = driver.Pool("db", 5000, "secret", **options)
    with pytest.raises(driver.CannotConnectError):
        await pool.query("1")
    assert used[0].timeout == within
    own = options.get("connector", aioconnect.Connector())
    assert used[0].attempt_timeout == own.attempt_timeout


async def test_driver_sends_one_line() -> None:
    """A newline in a query or in a password is refused, and nothing is sent."""
    driver = example("driver")
    seen: list[str] = []
    async with serving(partial(database, seen=seen)) as port:
        with pytest.raises(ValueError, match="newline") as caught:
            await driver.Pool("127.0.0.1", port, "secret\ndrop").query("1")
        assert "secret" not in str(caught.value)
        pool = driver.Pool("127.0.0.1", port, "secret")
        try:
            assert await pool.query("1") == "1"
            with pytest.raises(ValueError, match="newline"):
                await pool.query("2\nbye")
            assert await pool.query("3") == "3"
        finally:
            pool.close()
    assert seen == ["LOGIN secret", "1", "3"]


def test_driver_has_a_typed_pool() -> None:
    """Each parameter of the pool has a type, and the password is not shown."""
    pool = example("driver").Pool
    parameters = inspect.signature(pool).parameters
    assert [*parameters] == ["host", "port", "password", "ssl", "timeout", "connector"]
    assert all(one.annotation not in (one.empty, Any) for one in parameters.values())
    assert "secret" not in repr(pool("db", 5000, "secret"))
