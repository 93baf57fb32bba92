"""Transports for httpx and httpx2: what they are made with, and where they may lead."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from http_pairs import PAIRS, PATIENCE, Pair
from programs import run_script

from aioconnect import AddressBlockedError, Connector, GaveUp, only_public
from aioconnect.testing import Recorder, Server, refusing

both = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


@asynccontextmanager
async def redirecting() -> AsyncGenerator[int]:
    """Yield the port of a server that redirects /x/y to http://x/y."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, path, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
        writer.write(
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n"
            b"Location: http:/%s\r\n\r\n" % path
        )
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


PRIVATE = (
    "127.0.0.1:PORT/admin",  # a server is there
    "2130706433:PORT/",
    "0x7f.1:PORT/",
    "localhost:PORT/",
    "[::ffff:127.0.0.1]:PORT/",
    "169.254.169.254/latest/meta-data/",
    "10.0.0.1/",
    "[::1]/",
    "[fd00::1]/",
)


@both
@pytest.mark.parametrize("place", PRIVATE)
async def test_a_redirect_to_a_private_address(
    pair: Pair, place: str, listener: Server
) -> None:
    """`only_public` refuses it, however it is written, and the client gets its error.

    The server that redirects stands for a public one.
    """
    place = place.replace("PORT", str(listener.port))
    async with redirecting() as port:

        def allow(ip: IPv4Address | IPv6Address, asked: int) -> bool:
            return asked == port or only_public(ip, asked)

        connector = Connector(allow=allow, timeout=PATIENCE)
        async with pair.client(connector) as http:
            with pytest.raises(pair.httpx.ConnectError, match="not allowed") as caught:
                await http.get(
                    f"http://127.0.0.1:{port}/{place}", follow_redirects=True
                )
    assert isinstance(caught.value.__cause__.__cause__, AddressBlockedError)
    assert caught.value.request.url == f"http://{place}"
    with pytest.raises(TimeoutError):
        listener.accept(timeout=0)


@both
async def test_a_cause_is_no_error_that_was_there_before(pair: Pair) -> None:
    """Only the errors of a connect get one, because only this package raises them."""
    async with pair.client() as http:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            with pytest.raises(pair.httpx.UnsupportedProtocol) as caught:
                await http.get("ftp://localhost/")
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__cause__ is None


PAGE = Path(__file__).parents[2] / "docs" / "howto" / "httpx.md"
RECIPE, ERRORS, GUARDED = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
)


def run_example(pair: Pair, example: str, port: int) -> str:
    """Run an example of the page, for httpx as the page says how, and at *port*."""
    program = example.replace("httpx2", pair.httpx.__name__)
    program = program.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    return run_script(sys.executable, "-X", "dev", "-W", "error", "-c", program)


class Answering(BaseHTTPRequestHandler):
    """Answers that there is no content."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


@both
def test_the_recipe_of_the_page(pair: Pair) -> None:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            assert run_example(pair, RECIPE, server.server_port) == "204\n"
        finally:
            server.shutdown()
            serving.join()


@both
def test_the_errors_of_the_page(pair: Pair) -> None:
    with refusing() as refused:
        said = run_example(pair, ERRORS, refused.port)
    assert re.fullmatch(r"cannot connect to .*\nConnectRefusedError 1\n", said)


@both
def test_the_guard_of_the_page(pair: Pair, listener: Server) -> None:
    said = run_example(pair, GUARDED, listener.port)
    assert "guard: not allowed" in said
    with pytest.raises(TimeoutError):
        listener.accept(timeout=0)


@both
async def test_retries_of_a_pool(pair: Pair) -> None:
    """They begin the connect again, with all that the connector does in one."""
    recorder = Recorder()
    backend = pair.backend(Connector(observer=recorder))
    with refusing() as refused:
        url = f"http://{refused.host}:{refused.port}/"
        pool = pair.httpcore.AsyncConnectionPool(retries=1, network_backend=backend)
        async with pool:
            with pytest.raises(pair.httpcore.ConnectError, match="1 attempt"):
                await pool.request("GET", url)
    assert len(recorder.of(GaveUp)) == 2


@both
def test_the_defaults_are_those_of_httpx(pair: Pair) -> None:
    theirs = inspect.signature(pair.httpx.AsyncHTTPTransport).parameters
    for name, parameter in inspect.signature(pair.transport).parameters.items():
        if name == "limits":
            for limit in ("max_connections", "max_keepalive_connections"):
                expected = getattr(theirs[name].default, limit)
                assert getattr(parameter.default, limit) == expected
            expected = theirs[name].default.keepalive_expiry
            assert parameter.default.keepalive_expiry == expected
        elif name != "connector":
            assert parameter.default == theirs[name].default, name


@both
def test_arguments_are_checked_at_once(pair: Pair) -> None:
    name = pair.httpx.__name__
    with pytest.raises(TypeError, match=rf"limits must be a {name}\.Limits, not 100$"):
        pair.transport(limits=100)
    with pytest.raises(ValueError, match="path"):
        pair.transport(uds="")
    with pytest.raises(TypeError, match="connector must be a Connector"):
        pair.transport({"timeout": 1})


@both
def test_the_classes_are_those_of_the_pair(pair: Pair) -> None:
    """Each is a subclass of its package's class, and its text names the package."""
    assert issubclass(pair.classes[0], pair.httpcore.AsyncNetworkBackend)
    assert issubclass(pair.classes[1], pair.httpx.AsyncBaseTransport)
    for made, package in zip(pair.classes, (pair.httpcore, pair.httpx), strict=True):
        assert made.__module__ == f"aioconnect.contrib.{package.__name__}"
        assert package.__name__ in str(made.__doc__)
    assert repr(pair.backend(Connector())) == "ConnectorBackend(connector=Connector())"


@pytest.mark.parametrize(
    ("present", "absent"),
    [(("httpcore", "httpx"), ("httpcore2", "httpx2"))],
)
@pytest.mark.parametrize("is_turned", [False, True], ids=["httpx", "httpx2"])
def test_one_pair_does_not_need_the_other(
    present: tuple[str, ...], absent: tuple[str, ...], is_turned: bool
) -> None:
    if is_turned:
        present, absent = absent, present
    program = "import sys\n"
    program += "".join(f"sys.modules[{name!r}] = None\n" for name in absent)
    program += "".join(f"import aioconnect.contrib.{name}\n" for name in present)
    run_script(sys.executable, "-c", program)


def test_an_application_that_calls_httpx2_httpx() -> None:
    """After `alias_httpx`, the adapters for httpx are adapters for httpx2."""
    pytest.importorskip("httpx2._alias", reason="since httpx2 2.9")
    program = (
        "import httpx2; httpx2.alias_httpx()\n"
        "from aioconnect.contrib.httpx import ConnectorTransport\n"
        "assert issubclass(ConnectorTransport, httpx2.AsyncBaseTransport)\n"
    )
    run_script(sys.executable, "-c", program)


@pytest.mark.parametrize(
    ("module", "package", "age"),
    [
        ("httpcore", "httpcore", "import httpcore; del httpcore.AsyncNetworkBackend"),
        ("httpcore2", "anyio", "sys.modules['anyio.abc'] = type(sys)('anyio.abc')"),
        ("httpx", "httpx", "import httpx; del httpx.AsyncBaseTransport"),
        ("httpx2", "httpcore2", "import httpcore2; del httpcore2.AsyncNetworkStream"),
    ],
)
def test_a_package_that_is_too_old(module: str, package: str, age: str) -> None:
    """The error names it with its version, and says what to install."""
    program = f"import sys; {age}; import aioconnect.contrib.{module}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    expected = (
        rf"ImportError: aioconnect\.contrib\.{module} needs a newer version than"
        rf" {package} \S+: in a checkout, pip install '\.\[{module}\]'\n$"
    )
    assert re.search(expected, done.stderr), done.stderr
