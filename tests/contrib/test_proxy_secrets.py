"""The credentials of a proxy are in no message, log record or traceback."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import traceback
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest
from proxies import CREDENTIALS, KINDS, PASSWORD, SECRETS, USER, Kind, proxying

from aioconnect import (
    ConnectError,
    Connector,
    ConnectPermissionError,
    log_events,
    loop_factory,
)
from aioconnect._sansio.errors import AttemptError
from aioconnect.contrib import proxy
from aioconnect.contrib._proxy_channel import SocketChannel
from aioconnect.contrib._proxy_handshake import ProxyHandshake
from aioconnect.contrib._proxy_url import hops_of
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import Recorder, echoing

URL = f"http://{CREDENTIALS['http']}@127.0.0.1:1"

Start = Callable[[str], Coroutine[Any, Any, Any]]


async def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    """No error, event, repr or log line has one, even if the proxy repeats it."""
    caplog.set_level(logging.DEBUG)
    events = Recorder()

    def observe(event: Any) -> None:
        events(event)
        log_events(logging.getLogger("test"))(event)

    told: list[str] = []
    for kind in KINDS:
        with proxying(kind, credentials=("another", "one")) as server:
            connector = Connector(observer=observe, timeout=9, retry=(0,))
            url = server.url(CREDENTIALS[kind])
            through = ProxyConnector(proxy=[url], connector=connector)
            with pytest.raises(ConnectPermissionError) as caught:
                await through.connect("192.0.2.1", 80)
            error = caught.value
            assert error.rounds == 1
            again = pickle.loads(pickle.dumps(error))
            assert str(again) == str(error)
            told += [repr(through), str(through), repr(error), str(error)]
            told += [repr(error.attempts), repr(pickle.dumps(error)), repr(again)]
            told += [repr(vars(error)), repr(error.__cause__)]
    told += [repr(events.events), caplog.text]
    assert "AttemptFailed" in told[-2]
    assert "407" in caplog.text
    for secret in SECRETS:
        assert not [text for text in told if secret in text]


def test_what_is_shown() -> None:
    through = ProxyConnector(proxy="socks5h://us%40r:pw@[::1]:1080")
    expected = "ProxyConnector(socks5h://***@[::1]:1080, connector=Connector())"
    assert repr(through) == expected
    assert repr(through.proxy) == "'socks5h://***@[::1]:1080'"
    assert str(through.proxy) == "socks5h://us%40r:pw@[::1]:1080"
    chain = ProxyConnector(proxy=["http://a:1", "socks4://u@b:2"])
    assert repr(chain).startswith("ProxyConnector(http://a:1, socks4://***@b:2, ")


def starts(host: str = "192.0.2.1", port: int = 80, **options: Any) -> Iterator[Start]:
    """Yield each way to connect to *host* and *port* through a URL."""
    for name in ("connect", "open_connection", "create_connection"):
        given = (asyncio.Protocol,) if name == "create_connection" else ()
        where: Any = (*given, host, port)

        async def by_function(url: str, name: str = name, where: Any = where) -> Any:
            return await getattr(proxy, name)(*where, proxy=url, **options)

        async def by_value(url: str, name: str = name, where: Any = where) -> Any:
            through = ProxyConnector(proxy=(url,), connector=Connector(**options))
            return await getattr(through, name)(*where)

        yield by_function
        yield by_value


def raised(exc: BaseException) -> Iterator[BaseException]:
    """Yield *exc*, its causes and contexts, and the errors in its history."""
    seen: list[BaseException] = []
    left: list[BaseException | None] = [exc]
    while left:
        one = left.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        left += [one.__cause__, one.__context__]
        left += [attempt.error for attempt in getattr(one, "attempts", ())]


def shown_with_locals(exc: BaseException) -> str:
    """Return a traceback of *exc* with the locals of all frames, except the tests'.

    The caller's own frames have the URL, of course.
    """
    told: list[str] = []
    for one in raised(exc):
        told += [repr(one), str(one)]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename != __file__:
                told.append(f"\n{frame.f_code.co_qualname}: ")
                told += [f"{name}={it!r} " for name, it in frame.f_locals.items()]
    return "".join(told)


def assert_no_secret(exc: BaseException) -> None:
    """Fail if a traceback of *exc* shows a secret."""
    told = shown_with_locals(exc)
    assert not [secret for secret in SECRETS if secret in told], told


def no_port(url: Any) -> object:
    return ProxyConnector(proxy=url.removesuffix(":1"))


def no_scheme(url: Any) -> object:
    return ProxyConnector(proxy=url.replace("http", "gopher"))


def no_url(url: Any) -> object:
    return ProxyConnector(proxy=[url, f"{url}/path"])


def no_text(url: Any) -> object:
    return ProxyConnector(proxy=[url, None])  # type: ignore[list-item]  # the mistake


def bad_escape(url: Any) -> object:
    return ProxyConnector(proxy=url.replace("@127", "%zz@127"))


def no_password(url: Any) -> object:
    return ProxyConnector(proxy=url.replace("http", "socks4"))


def bad_chain(url: Any) -> object:
    return ProxyConnector(proxy=["socks4://h:1", url.replace("127.0.0.1", "[::1]")])


def bad_connector(url: Any) -> object:
    return ProxyConnector(proxy=url, connector=5)  # type: ignore[arg-type]  # likewise


def bad_replacement(url: Any) -> object:
    return replace(ProxyConnector(proxy=url), connector=5)  # type: ignore[call-arg]  # likewise


def bad_option(url: Any) -> object:
    return replace(ProxyConnector(proxy=url), timeout=-1)


def no_base(url: Any) -> object:
    return loop_factory(ProxyConnector(proxy=url), base=5)  # type: ignore[arg-type]  # the mistake


def no_method(url: Any) -> object:
    return ProxyConnector(proxy=url).recieve  # type: ignore[attr-defined]  # likewise


@pytest.mark.parametrize(
    "make",
    [
        no_port,
        no_scheme,
        no_url,
        no_text,
        bad_escape,
        no_password,
        bad_chain,
        bad_connector,
        bad_replacement,
        bad_option,
        no_base,
        no_method,
    ],
)
def test_traceback_of_a_mistake(make: Callable[[str], object]) -> None:
    """Some tools show the local variables of each frame: rich, Sentry, pytest."""
    with pytest.raises((AttributeError, TypeError, ValueError)) as caught:
        make(URL)
    assert_no_secret(caught.value)
    # The shown objects need a repr; that of Python 3.11 would raise.
    traceback.TracebackException.from_exception(caught.value, capture_locals=True)


@pytest.mark.parametrize(
    "given",
    [
        {"timeot": 1},
        {"timeout": -1},
        {"host": "a b"},
        {"host": "fe80::1%1"},
        {"port": 65536},
    ],
    ids=str,
)
async def test_traceback_of_another_mistake(given: dict[str, Any]) -> None:
    for start in starts(**given):
        with pytest.raises((TypeError, ValueError)) as caught:
            await start(URL)
        assert_no_secret(caught.value)


BOTH = f"{USER} {PASSWORD}".encode()


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *((kind, None) for kind in KINDS),
        ("http", b"HTTP/1.1 403 " + BOTH + b"\r\n\r\n"),
        ("http", b"HTTP/1.1 OK " + BOTH + b"\r\n\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\nX: " + BOTH * 2000),
        ("http", b"HTTP/1.1 200 OK\r\nX: " + BOTH),
        ("http", BOTH),
        ("socks5", b"\5\2"),
        ("socks5", b"\5\2\1\1"),
        ("socks5", b"\5\2\1\0\5\5"),
        ("socks5", b"\5\2\1\0\5\0\0\3\xff" + BOTH),
        ("socks4", USER.encode()),
        ("socks4", b"\0\x5b" + USER.encode() + b"  "),
    ],
)
@pytest.mark.parametrize("end", ["close", "reset", "timeout", "cancel"])
async def test_traceback_of_an_error(
    kind: Kind, answer: bytes | None, end: str
) -> None:
    """No text of the proxy and no line of the traceback shows a secret."""
    ending: Any = end if end in ("close", "reset") else "wait"
    said = () if answer is None else (answer,) * 6
    options: Any = {"timeout": 0.05} if end == "timeout" else {}
    with proxying(kind, credentials=("x", "y"), answers=said, ending=ending) as server:
        for start in starts(**options):
            task = asyncio.ensure_future(start(server.url(CREDENTIALS[kind])))
            if end == "cancel" and said:
                while not (server.has_answered.is_set() or task.done()):
                    await asyncio.sleep(0.001)
                server.has_answered.clear()
                task.cancel()
            with pytest.raises((ConnectError, asyncio.CancelledError)) as caught:
                await task
            assert_no_secret(caught.value)


@pytest.mark.parametrize("kind", ["http", "socks4"])
async def test_traceback_of_what_cannot_be_sent(kind: Kind) -> None:
    """The proxy closes before it gets the credentials."""
    ours, theirs = socket.socketpair()
    theirs.close()
    (hop,) = hops_of(f"{kind}://{CREDENTIALS[kind]}@a:1")
    with ours:
        ours.setblocking(False)
        channel = SocketChannel(asyncio.get_running_loop(), ours, None)
        handshake = ProxyHandshake(channel, hop, "")
        with pytest.raises(AttemptError) as caught:
            await handshake.request("x", 80)
    assert_no_secret(caught.value)


@pytest.mark.parametrize("end", ["close", "timeout", "cancel"])
@pytest.mark.parametrize(
    "answer", [None, b"HTTP/1.1 403 " + BOTH + b"\r\n\r\n", BOTH, b"HTTP/1.1 200 OK"]
)
async def test_traceback_of_an_error_in_tls(answer: bytes | None, end: str) -> None:
    """The same through a proxy that speaks TLS, over the loop's transport."""
    said = () if answer is None else (answer,) * 6
    with proxying(
        "http",
        certified="127.0.0.1",
        credentials=("x", "y"),
        answers=said,
        ending="close" if end == "close" else "wait",
    ) as server:
        through = ProxyConnector(
            proxy=server.url(CREDENTIALS["http"]),
            proxy_ssl=server.client_context,
            timeout=0.5 if end == "timeout" else None,
        )
        task = asyncio.ensure_future(through.open_connection("192.0.2.1", 80))
        if end == "cancel" and said:
            while not (server.has_answered.is_set() or task.done()):
                await asyncio.sleep(0.001)
            task.cancel()
        with pytest.raises((ConnectError, asyncio.CancelledError)) as caught:
            await task
        assert_no_secret(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"{URL}:x",
        f"{URL}/path",
        URL.replace("http", PASSWORD[-4:]),
        URL.replace("@127", "%zz@127"),
    ],
)
async def test_traceback_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Neither the variable that is wrong nor any other one is shown."""
    through = ProxyConnector(proxy="environment")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("HTTP_PROXY", URL)
    monkeypatch.setenv("all_proxy", url)
    for start in starts():
        with pytest.raises(ValueError, match="environment variable all_proxy") as error:
            await start("environment") if start.__name__ == "by_function" else (
                await through.connect("192.0.2.1", 80)
            )
        assert_no_secret(error.value)


async def test_traceback_of_a_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxying("http", credentials=("x", "y")) as server:
        monkeypatch.setenv("no_proxy", "x")
        monkeypatch.setenv("all_proxy", server.url(CREDENTIALS["http"]))
        monkeypatch.setenv("http_proxy", server.url(CREDENTIALS["http"]))
        through = ProxyConnector(proxy="environment")
        for start in (
            through.connect,
            through.open_connection,
            through.wait_until_up,
            lambda host, port: through.connect_any([(host, port)]),
            lambda host, port: anext(through.reconnecting(host, port)),
        ):
            with pytest.raises(ConnectPermissionError) as caught:
                await start("192.0.2.1", 80)
            assert_no_secret(caught.value)


async def test_traceback_of_a_hook() -> None:
    """The same holds when the tunnel is open already."""

    async def ready(*_: object) -> None:
        raise ZeroDivisionError

    with proxying("http", credentials=(USER, PASSWORD)) as server, echoing() as echo:
        for start in starts(echo.host, echo.port, ready=ready):
            with pytest.raises(ZeroDivisionError) as caught:
                await start(server.url(CREDENTIALS["http"]))
            assert_no_secret(caught.value)
