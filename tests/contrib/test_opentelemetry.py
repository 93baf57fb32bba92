"""OpenTelemetry: the spans and metrics of real connects, as its SDK gets them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import json
import logging
import os
import pickle
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind, StatusCode
from programs import run_script

import aioconnect
from aioconnect import (
    Address,
    AddressBlockedError,
    ConnectError,
    Connector,
    ConnectRefusedError,
    ConnectTimeoutError,
)
from aioconnect.contrib._opentelemetry_attributes import (
    error_type,
    network_attributes,
    peer_attributes,
)
from aioconnect.contrib.opentelemetry import OpenTelemetryObserver
from aioconnect.testing import (
    BlackHole,
    HeldPort,
    ScriptedResolver,
    Server,
    flaky,
    tls_echoing,
    unix_listening,
)

Factory = Callable[[], asyncio.AbstractEventLoop]


class Telemetry:
    """An SDK with one observer, and what it has received."""

    def __init__(
        self, *processors: SpanProcessor, sampler: Sampler = ALWAYS_ON
    ) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler, shutdown_on_exit=False)
        for processor in (SimpleSpanProcessor(self._exporter), *processors):
            self.tracers.add_span_processor(processor)
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.observer = OpenTelemetryObserver(self.tracers, self.meters)

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended."""
        return list(self._exporter.get_finished_spans())

    def span(self) -> ReadableSpan:
        """Return the only span that has ended."""
        (span,) = self.spans()
        return span

    def metrics(self) -> dict[str, Any]:
        """Return the metrics by name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        (scope,) = data.resource_metrics[0].scope_metrics
        assert (scope.scope.name, scope.scope.version) == (
            "aioconnect",
            aioconnect.__version__,
        )
        return {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Return the attributes and the counts of the metric *name*."""
        if (metric := self.metrics().get(name)) is None:
            return []
        return [
            (dict(p.attributes), getattr(p, "count", None) or p.value)
            for p in metric.data.data_points
        ]


@pytest.fixture
def telemetry() -> Telemetry:
    """Give an SDK that keeps everything."""
    return Telemetry()


def events(span: ReadableSpan) -> list[str]:
    """Return the names of the events of *span*."""
    return [event.name for event in span.events]


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span or an event."""
    return dict(of.attributes)


TCP = {"network.transport": "tcp", "network.type": "ipv4"}


async def test_connected(telemetry: Telemetry, port: int) -> None:
    """There is one span, of kind CLIENT, as a child of the caller's current span."""
    tracer = telemetry.tracers.get_tracer("the caller")
    with tracer.start_as_current_span("caller") as caller:
        sock = await aioconnect.connect("127.0.0.1", port, observer=telemetry.observer)
        sock.close()
        assert trace.get_current_span() is caller
    span, _ = telemetry.spans()
    assert span.name == f"connect 127.0.0.1:{port}"
    assert span.kind is SpanKind.CLIENT
    assert span.parent == caller.get_span_context()
    assert span.status.status_code is StatusCode.UNSET
    there = {**TCP, "network.peer.address": "127.0.0.1", "network.peer.port": port}
    named = {"server.address": "127.0.0.1", "server.port": port}
    assert attributes(span) == named | there
    assert events(span) == ["attempt.started", "connected"]
    for event in span.events:
        assert attributes(event) == {**there, "aioconnect.round": 1}
    assert telemetry.points("aioconnect.connect.duration") == [(TCP, 1)]
    assert telemetry.points("aioconnect.attempts") == [(TCP, 1)]
    assert telemetry.points("aioconnect.failures") == []


async def test_metrics(telemetry: Telemetry, port: int) -> None:
    """They have units, and buckets from less than a millisecond to 10 s."""
    (await aioconnect.connect("127.0.0.1", port, observer=telemetry.observer)).close()
    metrics = telemetry.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "aioconnect.connect.duration": "s",
        "aioconnect.attempts": "{attempt}",
    }
    (point,) = metrics["aioconnect.connect.duration"].data.data_points
    assert (point.explicit_bounds[0], point.explicit_bounds[-1]) == (0.001, 10.0)
    span = telemetry.span()
    assert span.start_time is not None
    assert span.end_time is not None
    assert point.sum > 0
    assert telemetry.observer == OpenTelemetryObserver(
        telemetry.tracers, telemetry.meters
    )


async def test_refused(telemetry: Telemetry, refused_port: int) -> None:
    with pytest.raises(ConnectRefusedError) as caught:
        await aioconnect.connect("127.0.0.1", refused_port, observer=telemetry.observer)
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == str(caught.value)
    assert attributes(span) == {
        "server.address": "127.0.0.1",
        "server.port": refused_port,
        "error.type": "ECONNREFUSED",
    }
    assert events(span) == ["attempt.started", "attempt.failed"]
    failed = attributes(span.events[1])
    assert failed["network.peer.port"] == refused_port
    assert failed["error.type"] == "ECONNREFUSED"
    assert failed["exception.message"] == "connection refused"
    error = {"error.type": "ECONNREFUSED"}
    assert telemetry.points("aioconnect.connect.duration") == [(error, 1)]
    assert telemetry.points("aioconnect.failures") == [
        ({**TCP, **error, "aioconnect.phase": "connect"}, 1)
    ]


async def test_retried(telemetry: Telemetry) -> None:
    """A call that failed first and then connected has no error."""
    with flaky(["refuse", "refuse", "accept"]) as server:
        sock = await aioconnect.connect(
            server.host,
            server.port,
            prepare=[server],
            retry=(0, 0.001),
            observer=telemetry.observer,
        )
        sock.close()
    span = telemetry.span()
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(span)
    tried = ["attempt.started", "attempt.failed", "retry.scheduled"]
    assert events(span) == [*tried, *tried, "attempt.started", "connected"]
    waits = [attributes(one) for one in span.events if one.name == "retry.scheduled"]
    assert waits == [
        {"aioconnect.round": 1, "aioconnect.delay": 0},
        {"aioconnect.round": 2, "aioconnect.delay": 0.001},
    ]
    assert attributes(span.events[-1])["aioconnect.round"] == 3
    assert telemetry.points("aioconnect.attempts") == [(TCP, 3)]
    assert telemetry.points("aioconnect.connect.duration") == [(TCP, 1)]


async def test_out_of_time(telemetry: Telemetry, black_hole: BlackHole) -> None:
    with pytest.raises(ConnectTimeoutError) as caught:
        await aioconnect.connect(
            black_hole.host, black_hole.port, timeout=0.05, observer=telemetry.observer
        )
    span = telemetry.span()
    assert span.status.description == str(caught.value)
    assert attributes(span)["error.type"] == "ETIMEDOUT"
    times = [span.start_time, *(one.timestamp for one in span.events), span.end_time]
    assert times == sorted(times, key=lambda time: time or 0)


async def test_cancelled(telemetry: Telemetry, black_hole: BlackHole) -> None:
    """It is recorded, and nothing has failed."""
    connecting = aioconnect.connect(
        black_hole.host, black_hole.port, observer=telemetry.observer
    )
    task = asyncio.ensure_future(connecting)
    while not telemetry.points("aioconnect.attempts"):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    span = telemetry.span()
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span)["error.type"] == "asyncio.exceptions.CancelledError"
    assert events(span) == ["attempt.started", "cancelled"]
    assert telemetry.points("aioconnect.connect.duration") == [
        ({"error.type": "asyncio.exceptions.CancelledError"}, 1)
    ]


async def test_race(
    telemetry: Telemetry, black_hole: BlackHole, listener: Server
) -> None:
    """The peer is the winner.  The look-up of both families has no network type."""

    def resolver(host: str, port: int, **_: int) -> list[Address]:
        return [black_hole.address, listener.address]

    sock = await aioconnect.connect(
        "two.test",
        80,
        resolver=resolver,
        happy_eyeballs_delay=0.01,
        observer=telemetry.observer,
    )
    sock.close()
    span = telemetry.span()
    assert span.name == "connect two.test:80"
    assert attributes(span) == {
        **TCP,
        "server.address": "two.test",
        "server.port": 80,
        "network.peer.address": listener.host,
        "network.peer.port": listener.port,
    }
    assert events(span)[-3:] == ["attempt.started", "attempt.started", "connected"]
    started, answered = map(attributes, span.events[:2])
    assert started == {"dns.question.name": "two.test"}
    assert answered == {**started, "dns.answers": ("127.0.0.1", "127.0.0.1")}
    assert telemetry.points("aioconnect.attempts") == [(TCP, 2)]


async def test_families_asked_for_apart(telemetry: Telemetry, listener: Server) -> None:
    """Their look-ups say which family it was."""

    def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
        if family == socket.AF_INET:
            return [listener.address]
        code = socket.EAI_NODATA if family else socket.EAI_AGAIN
        raise socket.gaierror(code, "none")

    connecting = aioconnect.connect(
        "two.test", 80, resolver=resolver, observer=telemetry.observer
    )
    (await connecting).close()
    span = telemetry.span()
    ended = [one for one in span.events if one.name.startswith("lookup.")]
    assert [
        (one.name, attributes(one).get("network.type"))
        for one in ended
        if one.name != "lookup.started"
    ] == [
        ("lookup.failed", None),
        ("lookup.failed", "ipv6"),
        ("lookup.answered", "ipv4"),
    ]


async def test_no_such_name(telemetry: Telemetry) -> None:
    with pytest.raises(aioconnect.ResolveError):
        await aioconnect.connect(
            "nowhere.test",
            80,
            resolver=ScriptedResolver({}),
            observer=telemetry.observer,
        )
    span = telemetry.span()
    assert attributes(span)["error.type"] == "EAI_NONAME"
    started, *_, failed = span.events
    assert started.name == "lookup.started"
    assert attributes(failed)["dns.question.name"] == "nowhere.test"
    assert attributes(failed)["error.type"] == "EAI_NONAME"
    (point, *_) = telemetry.points("aioconnect.failures")
    assert point[0] == {"aioconnect.phase": "resolve", "error.type": "EAI_NONAME"}
    assert telemetry.points("aioconnect.attempts") == []


async def test_many_at_once(telemetry: Telemetry, port: int, refused_port: int) -> None:
    """Each has its own span, under its own caller, with its own events."""
    tracer = telemetry.tracers.get_tracer("callers")

    async def call(number: int) -> None:
        with tracer.start_as_current_span(f"caller {number}"):
            to = refused_port if number % 2 else port
            with contextlib.suppress(ConnectRefusedError):
                sock = await connector.connect("127.0.0.1", to)
                sock.close()

    connector = Connector(observer=telemetry.observer, retry=(0,))
    await asyncio.gather(*map(call, range(20)))
    spans = telemetry.spans()
    callers = {one.context.span_id: one.name for one in spans if one.parent is None}
    calls = [one for one in spans if one.parent is not None]
    assert len(callers) == len(calls) == 20
    for call_ in calls:
        assert call_.parent is not None
        number = int(callers.pop(call_.parent.span_id).split()[1])
        to = refused_port if number % 2 else port
        assert attributes(call_)["server.port"] == to
        peers = [attributes(one).get("network.peer.port", to) for one in call_.events]
        assert peers == [to] * (5 if number % 2 else 2)


async def test_within_each_other(telemetry: Telemetry, port: int) -> None:
    """A connect made in another one's *ready* is its child."""

    async def ready(sock: socket.socket) -> None:
        (
            await Connector(observer=telemetry.observer).connect("127.0.0.1", port)
        ).close()

    connector = Connector(observer=telemetry.observer, ready=ready)
    before = trace.get_current_span()
    (await connector.connect("127.0.0.1", port)).close()
    assert trace.get_current_span() is before
    inner, outer = telemetry.spans()
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.parent is None
    assert events(inner) == ["attempt.started", "connected"]
    assert events(outer) == ["attempt.started", "ready.started", "connected"]


async def test_tls(telemetry: Telemetry) -> None:
    with (
        tls_echoing(expired=True) as server,
        pytest.raises(aioconnect.ConnectCertificateError),
    ):
        await aioconnect.open_connection(
            server.host,
            server.port,
            ssl=server.client_context,
            server_hostname="localhost",
            observer=telemetry.observer,
        )
    span = telemetry.span()
    assert events(span) == ["attempt.started", "tls.started", "attempt.failed"]
    assert attributes(span)["error.type"] == "aioconnect.ConnectCertificateError"
    assert attributes(span.events[-1])["aioconnect.phase"] == "tls"
    assert attributes(span.events[-1])["error.type"] == "ssl.SSLCertVerificationError"


async def test_path(telemetry: Telemetry) -> None:
    with unix_listening() as server:
        (
            await aioconnect.connect_unix(server.path, observer=telemetry.observer)
        ).close()
    assert attributes(telemetry.span()) == {
        "server.address": str(server.path),
        "network.transport": "unix",
        "network.peer.address": str(server.path),
    }
    assert telemetry.span().name == f"connect unix:{server.path}"


async def test_path_that_is_no_text(telemetry: Telemetry, tmp_path: Path) -> None:
    """A path that is not UTF-8 would cost an exporter the whole batch."""
    path = os.fsencode(tmp_path) + b"/\xff.sock"
    for where in (path, b"\0\xff"):
        with pytest.raises(ConnectError):
            await aioconnect.connect_unix(where, observer=telemetry.observer)
    for span in telemetry.spans():
        json.dumps(span.to_json(), ensure_ascii=False).encode()
        assert attributes(span.events[0])["network.peer.address"].endswith(
            ("/\\udcff.sock", "@\\udcff")
        )


async def test_several(telemetry: Telemetry, port: int, refused_port: int) -> None:
    """The target of a call is unknown until it is connected."""
    targets = [("127.0.0.1", refused_port), ("127.0.0.1", port)]
    (await aioconnect.connect_any(targets, observer=telemetry.observer)).close()
    span = telemetry.span()
    assert span.name == "connect"
    assert attributes(span)["network.peer.port"] == port
    assert "server.address" not in attributes(span)


async def test_until_down(telemetry: Telemetry, held_port: HeldPort) -> None:
    """The call waited for the server to be down, which is not a connect."""

    def look(sock: socket.socket, address: Address) -> None:
        looks.append(address)
        if len(looks) == 3:
            held_port.refuse()

    looks: list[Address] = []
    held_port.listen()
    await aioconnect.wait_until_down(
        held_port.host,
        held_port.port,
        timeout=30,
        retry=(0, 0),
        prepare=[look],
        observer=telemetry.observer,
    )
    span = telemetry.span()
    assert span.status.status_code is StatusCode.UNSET
    seen = ["attempt.started", "connected", "retry.scheduled"]
    assert events(span) == [*seen, *seen, "attempt.started", "attempt.failed"]
    assert "network.peer.port" not in attributes(span)
    assert telemetry.points("aioconnect.connect.duration") == []


async def test_reconnecting(telemetry: Telemetry, port: int) -> None:
    connections = aioconnect.reconnecting(
        "127.0.0.1", port, retry=(0, 0), observer=telemetry.observer
    )
    async with contextlib.aclosing(connections):
        for _ in range(2):
            await anext(connections)
            assert trace.get_current_span() is trace.INVALID_SPAN
    assert [span.name for span in telemetry.spans()] == [
        f"connect 127.0.0.1:{port}"
    ] * 2


def test_under_a_loop(loop_factory: Factory, telemetry: Telemetry, port: int) -> None:
    """Connects of asyncio's own functions are reported too."""

    async def main() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    connector = Connector(observer=telemetry.observer)
    factory = aioconnect.loop_factory(connector, base=loop_factory)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    assert events(telemetry.span()) == ["attempt.started", "connected"]


async def test_errors_in_a_group(telemetry: Telemetry, refused_port: int) -> None:
    """A group has no errno, but its cause is known all the same."""
    with pytest.raises(ExceptionGroup):
        await aioconnect.open_connection(
            "127.0.0.1", refused_port, all_errors=True, observer=telemetry.observer
        )
    assert attributes(telemetry.span())["error.type"] == "ECONNREFUSED"


async def test_exception_of_a_hook(telemetry: Telemetry, port: int) -> None:
    def prepare(sock: socket.socket, address: Address) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await aioconnect.connect(
            "127.0.0.1", port, prepare=[prepare], observer=telemetry.observer
        )
    span = telemetry.span()
    assert span.status.description == "LookupError"
    assert attributes(span)["error.type"] == "LookupError"


class Broken(SpanProcessor):
    """A processor with a bug."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise LookupError("a bug at the start")

    def on_end(self, span: ReadableSpan) -> None:
        raise LookupError("a bug at the end")


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the log records, without those of a loop that a slow machine delays."""
    return [record for record in caplog.records if record.name != "asyncio"]


async def test_provider_that_fails(
    port: int, refused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure is logged, and the call ends as it would have."""
    connector = Connector(observer=Telemetry(Broken()).observer)
    (await connector.connect("127.0.0.1", port)).close()
    with pytest.raises(ConnectRefusedError):
        await connector.connect("127.0.0.1", refused_port)

    async def cancelled(sock: socket.socket) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await replace(connector, ready=cancelled).connect("127.0.0.1", port)
    assert trace.get_current_span() is trace.INVALID_SPAN
    said = [(one.name, one.levelname, one.exc_text) for one in logged(caplog)]
    assert {(name, level) for name, level, _ in said} == {
        ("aioconnect.contrib.opentelemetry", "ERROR")
    }
    assert len(said) == 3
    assert all("a bug at the start" in str(text) for _, _, text in said)


class LateBug(SpanProcessor):
    """A processor with a bug at the end of a span."""

    def on_end(self, span: ReadableSpan) -> None:
        raise LookupError("a bug at the end")


async def test_provider_that_fails_at_the_end(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    connector = Connector(observer=Telemetry(LateBug()).observer)
    (await connector.connect("127.0.0.1", port)).close()
    assert trace.get_current_span() is trace.INVALID_SPAN
    (record,) = logged(caplog)
    assert "a bug at the end" in str(record.exc_text)


async def test_meter_that_fails(
    port: int, refused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The spans are recorded all the same."""
    telemetry = Telemetry()
    connector = Connector(observer=OpenTelemetryObserver(telemetry.tracers, Meters()))
    (await connector.connect("127.0.0.1", port)).close()
    with pytest.raises(ConnectRefusedError):
        await connector.connect("127.0.0.1", refused_port)
    assert len(logged(caplog)) == 5
    first, second = telemetry.spans()
    assert events(first) == ["attempt.started", "connected"]
    assert events(second) == ["attempt.started", "attempt.failed"]


class Meters(metrics.NoOpMeterProvider):
    """A provider whose instruments have a bug."""

    def get_meter(self, *_: Any, **__: Any) -> metrics.Meter:
        return Meter("broken")


class Meter(metrics.NoOpMeter):
    def create_counter(self, *_: Any, **__: Any) -> Any:
        return self

    def create_histogram(self, *_: Any, **__: Any) -> Any:
        return self

    def add(self, *_: Any) -> None:
        raise LookupError("a bug")

    record = add


async def test_not_sampled(port: int) -> None:
    """No span is recorded, but the metrics are."""
    telemetry = Telemetry(sampler=ALWAYS_OFF)
    (await aioconnect.connect("127.0.0.1", port, observer=telemetry.observer)).close()
    assert telemetry.spans() == []
    assert telemetry.points("aioconnect.attempts") == [(TCP, 1)]


async def test_collected(telemetry: Telemetry, black_hole: BlackHole) -> None:
    """A dropped call ends its span, and leaves the context of other code alone."""
    connecting = aioconnect.connect(
        black_hole.host, black_hole.port, observer=telemetry.observer
    )
    context = contextvars.copy_context()
    context.run(connecting.send, None)  # as a task would drive it
    stranger = telemetry.tracers.get_tracer("strangers")
    with stranger.start_as_current_span("stranger") as span:
        connecting.close()
        assert trace.get_current_span() is span
    call, _ = telemetry.spans()
    assert attributes(call)["error.type"] == "GeneratorExit"
    assert call.status.status_code is StatusCode.UNSET


def test_value() -> None:
    """Like all options it can be compared, hashed and sent to another process."""
    one, other = OpenTelemetryObserver(), OpenTelemetryObserver()
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    connector = Connector(observer=one)
    assert pickle.loads(pickle.dumps(connector)) == connector
    assert (
        repr(one) == "OpenTelemetryObserver(tracer_provider=None, meter_provider=None)"
    )
    assert one != OpenTelemetryObserver(TracerProvider(shutdown_on_exit=False))


@pytest.mark.parametrize("name", ["tracer_provider", "meter_provider"])
def test_bad_provider(name: str) -> None:
    wrong: Any = {name: TracerProvider}
    kind = "TracerProvider" if name == "tracer_provider" else "MeterProvider"
    with pytest.raises(TypeError, match=f"^{name} must be a {kind}, not <class"):
        OpenTelemetryObserver(**wrong)


def test_global_providers() -> None:
    """They count from when they are set, which may be later."""
    script = Path(__file__).parents[1] / "scripts" / "global_telemetry.py"
    run_script(sys.executable, "-X", "dev", str(script))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "ECONNREFUSED"),
        (TimeoutError(), "TimeoutError"),
        (OSError(123456, "a driver's"), "OSError"),
        (socket.gaierror(socket.EAI_AGAIN, ""), "EAI_AGAIN"),
        (socket.gaierror(12345, ""), "socket.gaierror"),
        (ssl.SSLError(1, "a handshake"), "ssl.SSLError"),
        (AddressBlockedError(errno.EACCES, ""), "aioconnect.AddressBlockedError"),
        (ConnectError("many"), "aioconnect.ConnectError"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
    ],
)
def test_error_type(error: BaseException, said: str) -> None:
    """There are few types, and each says what went wrong."""
    assert error_type(error) == said


def test_address_of_another_family() -> None:
    """It has no attribute where the conventions have no name for it."""
    address = Address(socket.AF_PACKET, ("lo", 0))
    assert network_attributes(address) == {}
    vsock = Address(socket.AF_VSOCK, (2, 1024))
    assert network_attributes(vsock) == {"network.transport": "vsock"}
    assert peer_attributes(vsock) == {
        "network.peer.address": "2",
        "network.peer.port": 1024,
    }


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None;"
        " import aioconnect.contrib.opentelemetry"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "in a checkout, pip install '.[opentelemetry]'" in run.stderr
