"""Waits for a target in one argument: its forms, and URLs, whose services are asked."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from answering import answering

import aioconnect
from aioconnect import Address, CallObserver, Connector, checks, wait_until_up
from aioconnect._sansio.service_url import ServiceURL
from aioconnect._services import connect_to_service, with_check
from aioconnect.testing import (
    Recorder,
    StaticResolver,
    listening,
    refusing,
    tls_echoing,
    unix_listening,
)

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


async def test_each_form_of_a_target() -> None:
    """One argument says where, in the forms that connect_any takes."""
    with listening() as server, unix_listening() as unix:
        text = f"{server.host}:{server.port}"
        address = Address(socket.AF_INET, (server.host, server.port))
        for target in (
            *(text, f"tcp://{text}", aioconnect.parse_target(text), address),
            *((server.host, server.port), f"unix:{unix.path}"),
        ):
            assert await wait_until_up(target, timeout=30) >= 0
            assert await Connector().wait_until_up(target, timeout=30) >= 0


async def test_down_in_one_argument() -> None:
    """The service of a URL is not asked: it is down when its port refuses."""
    with refusing() as server:
        plain = f"{server.host}:{server.port}"
        for target in (plain, f"redis://{plain}", f"https://{plain}/health"):
            assert await aioconnect.wait_until_down(target, timeout=30) >= 0


async def test_a_service_is_asked_until_it_is_ready() -> None:
    recorder = Recorder()
    async with answering(LOADING, LOADING, b"+PONG\r\n") as server:
        url = f"redis://{server.host}:{server.port}"
        await wait_until_up(url, timeout=60, retry=(0, 0), observer=recorder)
    assert len(server.requests) == 3
    reasons = [one.attempt.error for one in recorder.of(aioconnect.AttemptFailed)]
    assert {getattr(one, "strerror", "") for one in reasons} == {
        "LOADING Redis is loading the dataset in memory"
    }


async def test_http_has_a_path_and_a_host() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as server:
        url = f"http://localhost:{server.port}/a?b=c"
        await wait_until_up(url, timeout=60, family=socket.AF_INET)
    head = f"GET /a?b=c HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
    assert server.requests[0].startswith(head.encode())


async def test_the_time_is_up() -> None:
    """The error of the wait repeats what the service said last."""
    async with answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as server:
        url = f"http://{server.host}:{server.port}"
        with pytest.raises(aioconnect.ConnectTimeoutError, match="503 Service Unav"):
            await wait_until_up(url, timeout=0.3, retry=aioconnect.Backoff(0.01))


async def test_tls_names_the_host() -> None:
    """A URL verifies the certificate; with *insecure*, none."""
    with tls_echoing() as server:
        url = f"tls://localhost:{server.port}"
        with pytest.raises(aioconnect.ConnectAbortedError, match="verify failed"):
            await connect_to_service(*checked(url))
        await connect_to_service(*checked(url, insecure=True))
        trusting = checks.tls(host="localhost", ssl=server.client_context)
        await wait_until_up("127.0.0.1", server.port, timeout=30, ready=trusting)


def checked(url: str, **options: Any) -> tuple[Connector, ServiceURL]:
    """Return a connector with the check of *url*, and the parsed URL."""
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition(":")
    service = ServiceURL(scheme, host, int(port), "/")
    plain = Connector(timeout=30, family=socket.AF_INET)
    return with_check(plain, service, **options), service


async def test_each_look_has_a_limit() -> None:
    """A service that says nothing holds a look for 5 s, unless another limit is set."""
    url = ServiceURL("redis", "x", 1)
    assert with_check(Connector(), url).attempt_timeout == 5
    assert with_check(Connector(attempt_timeout=7), url).attempt_timeout == 7
    with listening() as server:
        target = f"redis://{server.host}:{server.port}"
        with pytest.raises(aioconnect.ConnectTimeoutError, match="no answer yet"):
            await wait_until_up(target, timeout=None, attempt_timeout=0.05, retry=(0,))


class Noting(CallObserver):
    """An observer that notes how its calls end."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[Any] = []
        self._error = error

    @contextlib.contextmanager
    def call(self, host: str | None, port: int | None) -> Iterator[Any]:
        yield self.seen.append
        self.seen.append((host, port))
        if self._error is not None:
            raise self._error


async def test_a_name_is_waited_for() -> None:
    """dns:// waits for a name that does not exist yet, and connects to nothing."""
    resolver = StaticResolver({})

    async def resolve(host: str, port: int, **how: int) -> Sequence[Address]:
        return await resolver(host, port, **how)

    observer = Noting()
    waiting = asyncio.ensure_future(
        wait_until_up(
            "dns://db.internal",
            timeout=60,
            retry=[0.001] * 1000,
            resolver=resolve,
            observer=observer,
        )
    )
    while not any(isinstance(one, aioconnect.RetryScheduled) for one in observer.seen):
        await asyncio.sleep(0.001)
    resolver = StaticResolver({"db.internal": ["192.0.2.1"]})
    assert await waiting > 0
    assert not [
        one for one in observer.seen if isinstance(one, aioconnect.AttemptStarted)
    ]
    assert observer.seen[-1] == ("db.internal", None)


async def test_a_name_that_never_exists() -> None:
    with pytest.raises(aioconnect.ConnectTimeoutError, match=r"within 0\.05 s to db"):
        await wait_until_up(
            "dns://db.internal",
            timeout=0.05,
            resolver=StaticResolver({}),
        )


async def test_an_observer_that_fails_after_a_look_up() -> None:
    """Nothing is open then: the error is the observer's."""
    connector = Connector(
        observer=Noting(ZeroDivisionError()),
        resolver=StaticResolver({"db.internal": ["192.0.2.1"]}),
    )
    with pytest.raises(ZeroDivisionError):
        await connector.wait_until_up("dns://db.internal")


@pytest.mark.parametrize(
    ("target", "options", "why"),
    [
        ("ftp://db", {}, "'ftp' is not a known scheme"),
        ("redis://:secret@db", {}, "leave out the user and the password"),
        ("db", {}, "a port is missing"),
        (
            "http://db",
            {"settle": 1},
            "http://db:80/ asks the service, and cannot have settle",
        ),
        (
            "redis://db",
            {"ready": checks.http()},
            "ready: redis://db:6379 has its own check",
        ),
        (7, {}, "a target must be a text"),
        (None, {}, "a target must be a text"),
    ],
)
async def test_bad_targets(target: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        await wait_until_up(target, timeout=1, **options)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_name_does_not_go_down() -> None:
    with pytest.raises(ValueError, match="dns://db is only a name"):
        await aioconnect.wait_until_down("dns://db", timeout=1)
