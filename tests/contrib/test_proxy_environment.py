"""Proxies as the environment says: which variable counts when, and what curl does."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
from echoes import answers
from http_pairs import PAIRS, Pair
from proxies import CREDENTIALS, PASSWORD, USER, proxying

from aioconnect import Connector, ConnectRefusedError
from aioconnect.contrib import proxy
from aioconnect.contrib._proxy_environment import Variables, bypasses_proxy, proxy_for
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import (
    StaticResolver,
    echoing,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
)

# The first version of curl that decides like this, as far as it was seen: 7.88 and 8.23
# were looked at.
OLD, NEW = (7, 86), (8, 23)

# The value of NO_PROXY, a host, whether it is connected to directly, and in which curl.
NO_PROXY = [
    # Names and their suffixes.
    ("example.test", "example.test", True, OLD),
    ("test", "example.test", True, OLD),
    ("com", "com.example.test", False, OLD),
    ("example.test", "www.example.test", True, OLD),
    ("example.test", "nonexample.test", False, OLD),
    ("example.test", "ample.test", False, OLD),
    (".example.test", "example.test", True, OLD),
    (".example.test", "www.example.test", True, OLD),
    ("..example.test", "example.test", False, OLD),
    ("EXAMPLE.Test", "example.test", True, OLD),
    ("example.test", "EXAMPLE.test", True, OLD),
    ("example.test.", "example.test", True, OLD),
    (".example.test.", "example.test", True, OLD),
    ("example.test", "example.test.", True, OLD),
    ("example.test..", "example.test", False, OLD),
    (".", "example.test", False, OLD),
    ("localhost", "localhost", True, OLD),
    ("", "localhost", False, OLD),
    ("127.0.0.1", "localhost", False, OLD),
    ("localhost", "127.0.0.1", False, OLD),
    ("xn--bcher-kva.test", "bücher.test", True, OLD),
    ("bücher.test", "xn--bcher-kva.test", False, OLD),
    # An asterisk, which is no pattern.
    ("*", "example.test", True, OLD),
    ("*", "127.0.0.9", True, OLD),
    (" * ", "example.test", False, OLD),
    ("*,x", "example.test", False, OLD),
    ("x,*", "example.test", False, OLD),
    ("*.example.test", "www.example.test", False, OLD),
    # Ports do not count.
    ("example.test:443", "example.test", False, OLD),
    ("127.0.0.9:443", "127.0.0.9", False, OLD),
    # Separators.
    ("a, example.test ,b", "example.test", True, OLD),
    ("a\t,\texample.test", "example.test", True, OLD),
    ("a,,example.test", "example.test", True, OLD),
    (",example.test", "example.test", True, OLD),
    (",", "example.test", False, OLD),
    (" ", "example.test", False, OLD),
    ("a;example.test", "example.test", False, OLD),
    ("example.test b", "example.test", True, OLD),
    ("a example.test", "example.test", False, NEW),
    ("a b, example.test", "example.test", False, NEW),
    ("example.test\n", "example.test", False, OLD),
    ("x" * 300 + ",example.test", "example.test", True, OLD),
    # IPv4.
    ("127.0.0.9", "127.0.0.9", True, OLD),
    ("127.0.0.0/8", "127.0.0.9", True, OLD),
    ("127.0.0.8/29", "127.0.0.9", True, OLD),
    ("127.0.0.8/31", "127.0.0.9", True, OLD),
    ("127.0.0.8/32", "127.0.0.9", False, OLD),
    ("127.0.0.9/33", "127.0.0.9", False, OLD),
    ("0.0.0.0/1", "127.0.0.9", True, OLD),
    ("0.0.0.0/0", "127.0.0.9", False, OLD),
    ("127.0.0.9/0", "127.0.0.9", True, OLD),
    ("127.0.0.8/029", "127.0.0.9", True, OLD),
    ("127.0.0.9/-1", "127.0.0.9", False, OLD),
    ("127.0.0.8/29x", "127.0.0.9", False, NEW),
    ("127.0.0.9/", "127.0.0.9", False, NEW),
    ("127.0.0.8/29/1", "127.0.0.9", False, NEW),
    ("127.0.0.8/ 29", "127.0.0.9", False, OLD),
    ("/8", "127.0.0.9", False, OLD),
    ("127.0.0", "127.0.0.9", False, OLD),
    ("0.9", "127.0.0.9", False, OLD),
    (".0.0.9", "127.0.0.9", False, OLD),
    ("127.9", "127.0.0.9", False, OLD),
    ("[127.0.0.9]", "127.0.0.9", False, OLD),
    ("127.0.0.9.", "127.0.0.9", False, OLD),
    ("::ffff:127.0.0.9", "127.0.0.9", False, OLD),
    # IPv6.
    ("::1", "::1", True, OLD),
    ("0.0.0.1", "::1", False, OLD),
    ("a, ::1", "::1", True, OLD),
    ("2001:DB8::1", "2001:db8::1", True, OLD),
    ("0:0:0:0:0:0:0:1", "::1", True, NEW),
    ("::/64", "::1", True, NEW),
    ("::1/128", "::1", True, NEW),
    ("::1/129", "::1", False, OLD),
    ("::1/0", "::1", True, NEW),
    ("::/0", "::1", False, OLD),
    ("2001:db8::/33", "2001:db8:7fff::1", True, NEW),
    ("2001:db8::/33", "2001:db8:8000::1", False, OLD),
    ("[::1]", "::1", False, OLD),
    ("[::1]:443", "::1", False, OLD),
    ("::ffff:0:0/96", "::ffff:127.0.0.9", True, NEW),
    ("127.0.0.9", "::ffff:127.0.0.9", False, OLD),
]


def name(value: object) -> str:
    """Return a short id of a test."""
    return str(value)[:30].encode("unicode_escape").decode()


ROWS = pytest.mark.parametrize(
    ("no_proxy", "host", "is_direct", "since"), NO_PROXY, ids=name
)


@ROWS
def test_no_proxy(no_proxy: str, host: str, is_direct: bool, since: object) -> None:
    assert bypasses_proxy(no_proxy, host) is is_direct


@cache
def curl_version() -> tuple[int, ...]:
    """Return curl's version: (), if there is none."""
    if shutil.which("curl") is None:
        return ()
    said = subprocess.run(
        ("curl", "--version"), capture_output=True, text=True, check=True
    )
    match = re.match(r"curl (\d+)\.(\d+)", said.stdout)
    return () if match is None else tuple(map(int, match.groups()))


def curl_says(url: str, environment: Mapping[str, str]) -> str:
    """Return what curl says of a transfer in that *environment*."""
    command = ("curl", "-sv", "--connect-timeout", "2", "--max-time", "20", url)
    given = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(
        command, env=given, capture_output=True, text=True, check=False
    )
    return done.stderr


def needs_curl(since: tuple[int, int] = OLD) -> None:
    """Skip the test without a curl that has these rules."""
    if curl_version() < since:
        found = ".".join(map(str, curl_version())) or "none"
        pytest.skip(f"needs curl {since[0]}.{since[1]}, and there is {found}")


@ROWS
def test_curl_agrees_on_no_proxy(
    no_proxy: str, host: str, is_direct: bool, since: tuple[int, int]
) -> None:
    """The table says what curl does, which connects to a proxy here, or does not."""
    needs_curl(since)
    with proxying("http", answers=(b"HTTP/1.1 403 No\r\n\r\n",)) as server:
        at = f"[{host}]" if ":" in host else host
        environment = {"https_proxy": server.url(), "no_proxy": no_proxy}
        says = curl_says(f"https://{at}/", environment)
        assert bool(server.connections) is not is_direct, says


# The variables that are set, the URL's scheme, and the variable that counts.
SET = [
    (("HTTP_PROXY",), "http", None),  # httpoxy
    (("HTTP_PROXY", "ALL_PROXY"), "http", "ALL_PROXY"),
    (("http_proxy", "ALL_PROXY", "all_proxy"), "http", "http_proxy"),
    (("https_proxy", "HTTPS_PROXY", "all_proxy"), "https", "https_proxy"),
    (("HTTPS_PROXY", "all_proxy"), "https", "HTTPS_PROXY"),
    (("all_proxy", "ALL_PROXY"), "https", "all_proxy"),
    (("ALL_PROXY",), "https", "ALL_PROXY"),
    (("http_proxy",), "https", None),
    (("https_proxy",), "http", None),
    (("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy"), "ftp", "all_proxy"),
    (("http_proxy", "https_proxy"), "ftp", None),
    ((), "http", None),
]
PORTS = {"http": 80, "https": 443, "ftp": 21}
COUNTING = pytest.mark.parametrize(("which", "scheme", "counts"), SET, ids=name)
ALL = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def environment_with(which: tuple[str, ...]) -> dict[str, str]:
    """Return an environment: a port for each variable; the others are empty."""
    numbered = enumerate((*ALL, "HTTP_PROXY"), 1)
    ports = {name: f"http://127.0.0.1:{number}" for number, name in numbered}
    return {name: url if name in which else "" for name, url in ports.items()}


@COUNTING
def test_which_variable_counts(
    which: tuple[str, ...], scheme: str, counts: str | None
) -> None:
    """An empty variable is not set."""
    given = environment_with(which)
    url = proxy_for(Variables(given), "x.test", PORTS[scheme], is_tls=False)
    assert url == (None if counts is None else given[counts])


@COUNTING
def test_curl_agrees_on_the_variable(
    which: tuple[str, ...], scheme: str, counts: str | None
) -> None:
    needs_curl()
    says = curl_says(f"{scheme}://x.test/", environment_with(which))
    assert re.findall(r"env variable (\w+)", says) == ([counts] if counts else [])


@pytest.mark.parametrize(
    ("no_proxy", "other", "is_direct"),
    [("", "*", True), ("a", "*", False), ("*", "a", True), ("*", "", True)],
)
def test_lower_case_first(no_proxy: str, other: str, is_direct: bool) -> None:
    given = {"all_proxy": "http://a:1", "no_proxy": no_proxy, "NO_PROXY": other}
    assert (
        proxy_for(Variables(given), "x.test", 443, is_tls=False) is None
    ) is is_direct
    if curl_version() >= OLD:
        given["all_proxy"] = "http://127.0.0.1:1"
        says = curl_says("https://x.test/", given)
        assert ("env variable all_proxy" in says) is not is_direct


@pytest.mark.parametrize(
    ("port", "is_tls", "counts"),
    [
        (80, False, "http"),
        (80, True, "https"),
        (443, False, "https"),
        (443, True, "https"),
        (8080, False, "all"),
        (5432, False, "all"),
        (5432, True, "https"),
    ],
)
def test_what_a_port_stands_for(port: int, is_tls: bool, counts: str) -> None:
    """There is no URL of the target here: its port and its TLS tell the scheme."""
    given = {f"{name}_proxy": f"http://{name}:1" for name in ("http", "https", "all")}
    assert (
        proxy_for(Variables(given), "x.test", port, is_tls=is_tls)
        == f"http://{counts}:1"
    )


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("a.test:3128", "http://a.test:3128"),
        ("a.test", "http://a.test:1080"),
        ("http://a.test", "http://a.test:1080"),
        ("HTTP://a.test:3128/", "http://a.test:3128"),
        ("https://a.test", "https://a.test:443"),
        ("socks5h://a.test", "socks5h://a.test:1080"),
        ("socks://a.test:1", "socks4://a.test:1"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("socks5://[::1]", "socks5://[::1]:1080"),
        ("u:p%40@a.test:1", "http://u:p%40@a.test:1"),
        ("http://u@a.test:1", "http://u:@a.test:1"),
        ("socks4://u@a.test:1", "socks4://u@a.test:1"),
    ],
)
def test_urls(value: str, url: str) -> None:
    """A scheme and a port may be missing, as in curl."""
    assert proxy_for(Variables({"all_proxy": value}), "x", 1, is_tls=False) == url


BAD = [
    "hunter2://us%40r:p%3Aa@a:1",
    "http://hidden:hunter2",
    "hidden:hunter2",
    "http://hidden:hunter2@a:1/path",
    "http://hidden:hunter2@a b:1",
    "http://hidden:hunter2@a:65536",
    "hidden:hunter2@hunter2@a:1",
    " http://hidden:hunter2@a:1",
    "//hidden:hunter2@a:1",
    "hunter2%zz:x@a:1",
    " ",
]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("variable", ALL)
def test_a_variable_that_is_no_url(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """The error names the variable at once, and shows nothing of its value."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"environment variable {variable}: ") as error:
        ProxyConnector(proxy="environment")
    told = f"{error.value} {error.value.__cause__} {error.value.__context__!r}"
    assert "hunter2" not in told
    assert "hidden" not in told


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of the machine that runs the tests."""
    for variable in (*ALL, "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def ways(**options: Any) -> Iterator[Any]:
    """Yield each way to open streams by the environment."""
    yield partial(proxy.open_connection, proxy="environment", **options)
    yield ProxyConnector(proxy="environment", **options).open_connection


async def test_through_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in each call."""
    with echoing() as echo, proxying("http", credentials=(USER, PASSWORD)) as server:
        at = echo.host, echo.port
        for number, open_connection in enumerate(ways(), 1):
            assert await answers(await open_connection(*at))
            url = server.url(CREDENTIALS["http"]).removeprefix("http://")
            monkeypatch.setenv("ALL_PROXY", url)
            assert await answers(await open_connection(*at))
            monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
            assert await answers(await open_connection(*at))
            monkeypatch.delenv("ALL_PROXY")
            monkeypatch.delenv("NO_PROXY")
            assert server.asked == [at] * number


async def test_tls_with_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes https_proxy count, whatever the port."""
    with tls_echoing() as echo, proxying("socks5") as server, refusing() as nobody:
        monkeypatch.setenv("all_proxy", f"http://{nobody.host}:{nobody.port}")
        monkeypatch.setenv("https_proxy", server.url())
        through = ProxyConnector(proxy="environment")
        streams = await through.open_connection(
            echo.host, echo.port, ssl=echo.client_context
        )
        assert await answers(streams)
        with pytest.raises(ConnectRefusedError, match=f"through {nobody.host}"):
            await through.connect(echo.host, echo.port)
        assert server.asked == [(echo.host, echo.port)]


async def test_a_variable_that_breaks_later(monkeypatch: pytest.MonkeyPatch) -> None:
    through = ProxyConnector(proxy="environment")
    monkeypatch.setenv("ALL_PROXY", "http://hidden:hunter2@")
    for call in (
        through.connect("192.0.2.1", 1),
        through.open_connection("192.0.2.1", 1),
        through.connect_any(["192.0.2.1:1"]),
        through.wait_until_up("192.0.2.1", 1, timeout=1),
    ):
        with pytest.raises(ValueError, match="environment variable ALL_PROXY: "):
            await call


async def test_a_variable_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the connector is made, it breaks no call."""
    with echoing() as echo, proxying("socks5") as server:
        monkeypatch.setenv("ALL_PROXY", server.url())
        through = ProxyConnector(proxy="environment")
        monkeypatch.setenv("http_proxy", "ftp://hidden:hunter2@x")
        # The proxy takes addresses only, so the name is looked up here.
        (await through.connect("localhost", echo.port)).close()
        await through.wait_until_up(echo.host, echo.port, timeout=60)
        assert server.asked == [(echo.host, echo.port)] * 2
        with pytest.raises(ValueError, match="environment variable http_proxy: "):
            ProxyConnector(proxy="environment")


async def test_a_proxy_that_comes_in_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses is no sign that the server is down."""
    with refusing() as nobody, echoing() as echo:

        def observe(event: object) -> None:
            if type(event).__name__ == "RetryScheduled":
                monkeypatch.setenv("ALL_PROXY", f"http://{nobody.host}:{nobody.port}")

        through = ProxyConnector(
            proxy="environment", retry=(0,) * 9, observer=observe, timeout=60
        )
        with pytest.raises(ValueError, match="wait_until_down: a proxy does not tell"):
            await through.wait_until_down(echo.host, echo.port)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
async def test_httpx_has_one_way_to_a_host(
    monkeypatch: pytest.MonkeyPatch, pair: Pair
) -> None:
    """It connects before TLS, so directly: then its race of TLS is direct, too."""
    with (
        proxying("http", names={"db.test": "127.0.0.1"}) as server,
        on_one_port(
            partial(tls_echoing, names=["db.test"]),
            lambda port: listening("127.0.0.2", port=port),
        ) as (echo, silent),
    ):
        monkeypatch.setenv("https_proxy", server.url())
        through = ProxyConnector(
            proxy="environment",
            resolver=StaticResolver({"db.test": [silent.host, echo.host]}),
            happy_eyeballs_delay=0.05,
            timeout=60,
        )
        async with pair.client(through, verify=echo.client_context) as http:
            with pytest.raises(pair.httpx.RemoteProtocolError):  # it echoes the request
                await http.get(f"https://db.test:{echo.port}/")
        assert echo.connections == 1
        assert not server.connections


async def test_some_targets_are_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """`connect_any` asks for each target, and may race if all are direct."""
    with (
        refusing() as nobody,
        echoing("127.0.0.2") as echo,
        proxying("socks5") as server,
    ):
        monkeypatch.setenv("ALL_PROXY", server.url())
        monkeypatch.setenv("NO_PROXY", nobody.host)
        through = ProxyConnector(proxy="environment")
        targets = [(nobody.host, nobody.port), (echo.host, echo.port)]
        (await through.connect_any(targets)).close()
        assert server.asked == [(echo.host, echo.port)]
        with pytest.raises(ValueError, match="leave race=True out"):
            await through.connect_any(targets, race=True)
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        (await through.connect_any(targets, race=True)).close()
        assert server.connections == 1
        assert await through.wait_until_down(nobody.host, nobody.port, timeout=9) < 9


def test_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no URL in it, so that it may go anywhere."""
    monkeypatch.setenv("ALL_PROXY", "http://hidden:hunter2@a:1")
    through = ProxyConnector(proxy="environment", timeout=3)
    assert repr(through) == (
        "ProxyConnector(environment, connector=Connector(timeout=3))"
    )
    assert b"hunter2" not in pickle.dumps(through)
    assert pickle.loads(pickle.dumps(through)) == through
    assert replace(through, timeout=4).connector == Connector(timeout=4)
    with pytest.raises(ValueError, match="proxy is no URL"):
        ProxyConnector(proxy="Environment")
    with pytest.raises(ValueError, match="proxy is no URL"):
        ProxyConnector(proxy=["environment"])
