from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import json
import pickle
import socket
import ssl
import time
import typing
from collections.abc import Generator, Sequence
from typing import Any
from xml.parsers import expat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import aioconnect
from aioconnect import Address, Attempt, CallObserver, Connector, Event, Timeline
from aioconnect._calls.observing import Observer
from aioconnect._timeline.text_width import display_width
from aioconnect.testing import (
    BlackHole,
    Lookup,
    ScriptedResolver,
    Server,
    StaticResolver,
    black_hole,
    flaky,
    listening,
    on_one_port,
    tls_echoing,
)

Steps = list[tuple[str, str, str]]


def steps(timeline: Timeline) -> Steps:
    """Return the kinds, the outcomes and the reasons of what it has."""
    record = timeline.to_dict()
    return [(s["kind"], s["outcome"], s["reason"] or "") for s in record["steps"]]


def told(*events: Event, target: str | None = None) -> Timeline:
    timeline = Timeline(target)
    for event in events:
        timeline(event)
    return timeline


def tcp(host: str, port: int = 5432) -> Address:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Address(family, (host, port))


def failed(at: float, address: Address | None, error: Exception, **said: Any) -> Event:
    said = {"phase": "connect", "started": at, "elapsed": 0.0, "round": 1, **said}
    return aioconnect.AttemptFailed(at, Attempt(address, error=error, **said))


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
ONE, TWO = tcp("192.0.2.1"), tcp("2001:db8::1")


# -- real connects


async def test_connected(port: int) -> None:
    """It has the record of a call that connected."""
    timeline = Timeline()
    sock = await aioconnect.connect("127.0.0.1", port, observer=timeline)
    sock.close()
    record = timeline.to_dict()
    (step,) = record.pop("steps")
    start, end, elapsed = step.pop("start"), step.pop("end"), record.pop("elapsed")
    assert 0 <= start <= end <= elapsed
    assert record == {
        "schema": 1,
        "target": f"127.0.0.1:{port}",
        "outcome": "connected",
        "address": f"127.0.0.1:{port}",
        "error": None,
        "rounds": 1,
        "steps_left_out": 0,
    }
    assert step == {
        "kind": "attempt",
        "what": f"127.0.0.1:{port}",
        "round": 1,
        "outcome": "ok",
        "reason": None,
        "errno": None,
        "addresses": [],
    }
    assert str(timeline) == timeline.to_text()
    assert f"127.0.0.1:{port}: connected in " in repr(timeline)
    assert f"127.0.0.1:{port}: connected in " in timeline._repr_svg_()


async def test_race() -> None:
    """The address that was too slow was dropped; look-ups have what they found."""
    with on_one_port(lambda: black_hole("::1"), lambda port: listening(port=port)) as (
        _,
        server,
    ):
        port = server.port
        answers = StaticResolver({"db.test": ["::1", "127.0.0.1"]})
        timeline = Timeline()
        options: Any = {"resolver": answers, "observer": timeline}
        options["happy_eyeballs_delay"] = 0.02
        (await aioconnect.connect("db.test", port, **options)).close()
    assert steps(timeline) == [
        ("lookup", "ok", ""),
        ("lookup", "ok", ""),
        ("attempt", "dropped", ""),
        ("attempt", "ok", ""),
    ]
    record = timeline.to_dict()
    assert record["target"] == f"db.test:{port}"
    assert record["steps"][0]["what"] == "AAAA db.test"
    assert record["steps"][0]["addresses"] == [f"[::1]:{port}"]
    assert record["steps"][1]["what"] == "A db.test"
    silent, winner = record["steps"][2:]
    assert silent["start"] < winner["start"]
    assert silent["end"] == winner["end"]
    assert f"✓ attempt 127.0.0.1:{port}" in timeline.to_text()
    assert "no answer, dropped" in timeline.to_text()


async def test_rounds() -> None:
    """A round has its number, and a wait says what for."""
    timeline = Timeline()
    with flaky(["refuse", "refuse", "accept"]) as server:
        sock = await aioconnect.connect(
            server.host,
            server.port,
            prepare=[server],
            retry=(0.01, 0.02),
            observer=timeline,
        )
        sock.close()
    assert steps(timeline) == [
        ("attempt", "failed", "connection refused"),
        ("wait", "ok", ""),
        ("attempt", "failed", "connection refused"),
        ("wait", "ok", ""),
        ("attempt", "ok", ""),
    ]
    record = timeline.to_dict()
    assert record["rounds"] == 3
    assert [step["round"] for step in record["steps"]] == [1, 1, 2, 2, 3]
    assert record["steps"][0]["errno"] == "ECONNREFUSED"
    wait = record["steps"][3]
    assert wait["what"] == "for round 3"
    assert wait["end"] - wait["start"] >= 0.015  # in the ms of uvloop


async def test_gave_up(refused_port: int) -> None:
    """The error is in the record, and in the text in its own words."""
    timeline = Timeline("the database")
    with pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect("127.0.0.1", refused_port, observer=timeline)
    record = timeline.to_dict()
    assert record["target"] == "the database"
    assert record["outcome"] == "failed"
    assert record["error"] == {
        "type": "ConnectRefusedError",
        "errno": "ECONNREFUSED",
        "message": str(caught.value),
    }
    lines = timeline.to_text(width=500).splitlines()
    assert lines[0].startswith("the database: not connected, ECONNREFUSED, after")
    assert lines[-1] == str(caught.value)


async def test_names_that_fail() -> None:
    """A look-up that failed is told once, and one that hung when the time was up."""
    timeline = Timeline()
    names = ScriptedResolver(
        {
            ("db.test", socket.AF_INET6): Lookup(error=socket.EAI_NONAME),
            ("db.test", socket.AF_INET): Lookup(never=True),
        }
    )
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await aioconnect.connect(
            "db.test", 80, resolver=names, timeout=0.5, observer=timeline
        )
    assert steps(timeline) == [
        ("lookup", "failed", "name or service not known"),
        ("lookup", "failed", "the resolver has not answered yet"),
    ]
    record = timeline.to_dict()
    assert [step["errno"] for step in record["steps"]] == ["EAI_NONAME", "ETIMEDOUT"]
    assert record["steps"][1]["end"] > record["steps"][1]["start"]


async def test_names_that_hang() -> None:
    """Both look-ups have failed then, for the same reason."""
    timeline = Timeline()
    names = ScriptedResolver({"db.test": Lookup(never=True)})
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await aioconnect.connect(
            "db.test", 80, resolver=names, timeout=0.5, observer=timeline
        )
    hung = ("lookup", "failed", "the resolver has not answered yet")
    assert steps(timeline) == [hung, hung]


async def test_a_number_of_another_family() -> None:
    """What fails without having begun is a step too."""
    timeline = Timeline()
    with pytest.raises(aioconnect.ResolveError):
        await aioconnect.connect(
            "127.0.0.1", 80, family=socket.AF_INET6, observer=timeline
        )
    ((kind, outcome, _),) = steps(timeline)
    assert (kind, outcome) == ("lookup", "failed")
    assert timeline.to_dict()["steps"][0]["what"] == "127.0.0.1"


async def test_not_allowed(port: int) -> None:
    timeline = Timeline()
    with pytest.raises(aioconnect.AddressBlockedError):
        await aioconnect.connect(
            "127.0.0.1", port, allow=aioconnect.only_public, observer=timeline
        )
    assert steps(timeline) == [("attempt", "failed", "guard: not allowed")]


async def test_nothing_to_bind_to(port: int) -> None:
    """A local address without an address is nothing that was looked up to connect."""
    timeline = Timeline()
    with pytest.raises(aioconnect.ConnectError):
        await aioconnect.connect(
            "127.0.0.1", port, local_addr=("nosuch.invalid", 0), observer=timeline
        )
    ((kind, outcome, why),) = steps(timeline)
    assert (kind, outcome) == ("attempt", "failed")
    assert why.startswith("bind: ")


async def test_phases() -> None:
    """What a connected socket goes on to is a step of its own, with its own reason."""
    timeline, distrusting = Timeline(), Timeline()
    with tls_echoing() as server:
        _, writer = await aioconnect.open_connection(
            server.host, server.port, ssl=server.client_context, observer=timeline
        )
        writer.transport.abort()
        with pytest.raises(aioconnect.ConnectCertificateError):
            await aioconnect.open_connection(
                server.host,
                server.port,
                ssl=ssl.create_default_context(),
                observer=distrusting,
            )
    assert steps(timeline) == [("attempt", "ok", ""), ("tls", "ok", "")]
    first, second = steps(distrusting)
    assert first == ("attempt", "ok", "")
    assert second[:2] == ("tls", "failed")
    assert "certificate" in second[2]
    assert not second[2].startswith("tls")
    assert distrusting.to_dict()["error"]["type"] == "ConnectCertificateError"
    assert distrusting.to_dict()["error"]["errno"] is None  # OpenSSL's is another's


async def test_not_ready(port: int) -> None:
    async def ready(sock: socket.socket) -> bool:
        return False

    timeline = Timeline()
    with pytest.raises(aioconnect.ConnectAbortedError):
        await aioconnect.connect("127.0.0.1", port, ready=ready, observer=timeline)
    assert steps(timeline) == [
        ("attempt", "ok", ""),
        ("ready", "failed", "it says that it is not"),
    ]


async def test_cancelled(black_hole: BlackHole) -> None:
    """While it runs, and when it was cancelled, what is not over is pending."""
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()
    timeline = Timeline()

    def observe(event: Event) -> None:
        timeline(event)
        begun.set()

    before = loop.time()
    call = asyncio.ensure_future(
        aioconnect.connect(black_hole.host, black_hole.port, observer=observe)
    )
    await begun.wait()
    now = loop.time() + 0.5
    assert steps(timeline) == [("attempt", "pending", "")]
    record = timeline.to_dict(end=now)
    assert record["outcome"] == "pending"
    assert 0.49 <= record["elapsed"] <= now - before + 0.01
    assert record["steps"][0]["end"] is None
    assert f"{black_hole.address}: connecting for" in timeline.to_text(end=now)
    assert "no answer yet" in timeline.to_svg(end=now)
    call.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await call
    timeline.ended(now, caught.value)
    assert timeline.to_dict() == record | {"outcome": "cancelled"}
    assert f"{black_hole.address}: cancelled after" in timeline.to_text()


# Rounding to microseconds, of two times.
ROUNDED = 2e-6


async def test_one_clock(port: int) -> None:
    """What takes a fraction of a millisecond does, whichever loop it is on."""
    clock: list[float] = []
    under_way: list[float] = []

    async def ready(_: socket.socket) -> None:
        clock.append(time.monotonic())
        while time.monotonic() < clock[0] + 0.0007:
            pass  # uvloop's clock can stand still meanwhile
        clock.append(time.monotonic())
        under_way.append(timeline.to_dict()["elapsed"])

    timeline = Timeline()
    before = time.monotonic()
    connecting = aioconnect.connect("127.0.0.1", port, ready=ready, observer=timeline)
    (await connecting).close()
    after = time.monotonic()
    record = timeline.to_dict()
    *_, step = record["steps"]
    took = clock[1] - clock[0]
    assert step["kind"] == "ready"
    assert step["start"] <= clock[0] - before + ROUNDED
    assert step["end"] - step["start"] >= took - ROUNDED
    assert took - ROUNDED <= under_way[0] <= record["elapsed"]
    assert record["elapsed"] <= after - before + ROUNDED


async def test_one_clock_of_what_fails(refused_port: int) -> None:
    """The call begins when it does, though uvloop's clock may have it earlier."""
    for _ in range(20):
        timeline = Timeline()
        before = time.monotonic()
        with pytest.raises(aioconnect.ConnectRefusedError):
            await aioconnect.connect(
                "127.0.0.1", refused_port, retry=(0.0003,) * 2, observer=timeline
            )
        record = timeline.to_dict()
        assert record["elapsed"] <= time.monotonic() - before + ROUNDED


async def test_one_clock_of_what_a_hook_ends(port: int) -> None:
    """The call ends when it does, though uvloop's clock may have it earlier."""
    took: list[float] = []

    async def bug(_: socket.socket) -> None:
        started = time.monotonic()
        while (now := time.monotonic()) < started + 0.0007:
            pass
        took.append(now - started)
        raise LookupError

    for _ in range(10):
        timeline = Timeline()
        with pytest.raises(LookupError):
            await aioconnect.connect("127.0.0.1", port, ready=bug, observer=timeline)
        record = timeline.to_dict()
        *_, step = record["steps"]
        assert record["elapsed"] - step["start"] >= took[-1] - ROUNDED


def test_a_loop_that_counts_from_elsewhere(refused_port: int) -> None:
    """The times of events are the loop's; those of a timeline are all of one clock."""

    class Ahead(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return super().time() + 1e6

    timeline = Timeline()
    connecting = aioconnect.connect(
        "127.0.0.1", refused_port, allow=aioconnect.only_public, observer=timeline
    )
    with (
        asyncio.Runner(loop_factory=Ahead) as runner,
        pytest.raises(aioconnect.AddressBlockedError),
    ):
        runner.run(connecting)
    record = timeline.to_dict()
    assert record["elapsed"] < 1e5
    assert 0 <= record["steps"][0]["start"] <= record["steps"][0]["end"] < 1e5


async def test_cancelled_call(black_hole: BlackHole) -> None:
    """It is known when that was, and up to then how long it takes."""
    timeline = Timeline()
    call = asyncio.ensure_future(
        aioconnect.connect(black_hole.host, black_hole.port, observer=timeline)
    )
    while timeline.to_dict()["elapsed"] < 0.05:
        await asyncio.sleep(0.01)
    assert str(timeline).startswith(f"{black_hole.address}: connecting for")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    record = timeline.to_dict()
    assert record["outcome"] == "cancelled"
    assert record["elapsed"] >= 0.05
    assert record["steps"][0]["end"] is None


async def test_no_time_for_another(refused_port: int) -> None:
    """It is the attempts that tell why, and not the time."""
    timeline = Timeline()
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await aioconnect.connect(
            "127.0.0.1", refused_port, timeout=5, retry=(9,), observer=timeline
        )
    where = f"127.0.0.1:{refused_port}"
    said = f"{where}: not connected, ECONNREFUSED until the time was up, after "
    assert str(timeline).startswith(said)


async def test_several_calls(port: int, refused_port: int) -> None:
    """The one that began last is shown, whichever ends first."""
    timeline = Timeline()
    connector = aioconnect.Connector(observer=timeline)

    async def ready(sock: socket.socket) -> None:
        with pytest.raises(aioconnect.ConnectRefusedError):
            await connector.connect("127.0.0.1", refused_port)

    (await connector.connect("127.0.0.1", port)).close()
    assert timeline.to_dict()["target"] == f"127.0.0.1:{port}"
    made = dataclasses.replace(connector, ready=ready)
    (await made.connect("127.0.0.1", port)).close()
    record = timeline.to_dict()
    assert record["target"] == f"127.0.0.1:{refused_port}"
    assert record["outcome"] == "failed"
    assert len(record["steps"]) == 1


async def test_a_bug_of_a_hook(port: int) -> None:
    """An exception that no event tells of is known; one that is late is no news."""
    loop = asyncio.get_running_loop()
    timeline = Timeline()

    def prepare(sock: socket.socket, address: Address) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError) as caught:
        await aioconnect.connect(
            "127.0.0.1", port, prepare=[prepare], observer=timeline
        )
    assert str(caught.value) == "a bug"
    timeline.ended(loop.time() + 9, ValueError("another"))
    record = timeline.to_dict()
    assert record["outcome"] == "failed"
    assert record["error"] == {"type": "LookupError", "errno": None, "message": "a bug"}
    assert record["elapsed"] < 9


async def test_ended(port: int, refused_port: int) -> None:
    """What returns without a connect is over, too."""
    loop = asyncio.get_running_loop()
    timeline = Timeline()
    await aioconnect.wait_until_down(
        "127.0.0.1", refused_port, timeout=5, observer=timeline
    )
    record = timeline.to_dict(end=loop.time() + 9)
    assert (record["outcome"], record["rounds"]) == ("ended", 1)
    assert record["elapsed"] < 9
    assert str(timeline).startswith(f"127.0.0.1:{refused_port}: ended after ")
    sock = await aioconnect.connect("127.0.0.1", port, observer=timeline)
    assert timeline.to_dict()["outcome"] == "connected"
    _, writer = await aioconnect.open_connection(sock=sock, observer=timeline)
    writer.transport.abort()
    assert timeline.to_dict()["outcome"] == "ended"


async def test_one_of_several(port: int, refused_port: int) -> None:
    """Places in turn, one after the other, in one round."""
    timeline = Timeline()
    where = [("127.0.0.1", refused_port), ("127.0.0.1", port)]
    (await aioconnect.connect_any(where, observer=timeline)).close()
    assert steps(timeline) == [
        ("attempt", "failed", "connection refused"),
        ("attempt", "ok", ""),
    ]
    assert timeline.to_dict()["rounds"] == 1


class Resolver(StaticResolver):
    """Knows a service, which is nowhere the first time."""

    def __init__(self, port: int) -> None:
        super().__init__({"db1.test": ["127.0.0.1"]})
        self.port = port
        self.asked = 0

    async def services(self, service: str) -> Sequence[aioconnect.SRVRecord]:
        self.asked += 1
        if self.asked == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        return [aioconnect.SRVRecord(0, 0, self.port, "db1.test")]


async def test_service(port: int) -> None:
    """The look-up of a service is one, and its failure is told once."""
    timeline = Timeline()
    connector = Connector(resolver=Resolver(port), retry=(0,), observer=timeline)
    (await connector.connect_any(["srv:_db._tcp.test"])).close()
    record = timeline.to_dict()
    assert record["target"] == "_db._tcp.test"
    assert record["steps"][0]["what"] == "SRV _db._tcp.test"
    kinds = [(kind, outcome) for kind, outcome, _ in steps(timeline)]
    assert kinds[:3] == [("lookup", "failed"), ("wait", "ok"), ("lookup", "ok")]
    assert kinds[-1] == ("attempt", "ok")
    assert "found" in timeline.to_text()


async def test_reconnecting(port: int, listener: Server) -> None:
    """Each turn is a call, and begins with the attempt that was lost."""
    timeline = Timeline()
    turns = aioconnect.reconnecting("127.0.0.1", port, retry=(0.01,), observer=timeline)
    async with contextlib.aclosing(turns) as connections:  # type: ignore[type-var,unused-ignore]  # it has aclose
        async for _ in connections:
            if timeline.to_dict()["rounds"] == 2:
                break
    assert [kind[:2] for kind in steps(timeline)] == [
        ("attempt", "failed"),
        ("wait", "ok"),
        ("attempt", "ok"),
    ]
    assert timeline.to_dict()["outcome"] == "connected"


async def test_of_each_call(port: int, refused_port: int) -> None:
    """A `CallObserver` gives each call a timeline, and sees how it ended."""
    timelines: list[Timeline] = []

    class Timelines(CallObserver):
        @contextlib.contextmanager
        def call(self, host: str | None, port: int | None) -> Generator[Observer]:
            timelines.append(timeline := Timeline(f"{host} {port}"))
            try:
                yield timeline
            except BaseException as exc:
                timeline.ended(asyncio.get_running_loop().time(), exc)
                raise

    connector = Connector(observer=Timelines())
    ends = await asyncio.gather(
        connector.connect("127.0.0.1", port),
        connector.connect("127.0.0.1", refused_port),
        return_exceptions=True,
    )
    assert isinstance(ends[0], socket.socket)
    ends[0].close()
    assert [one.to_dict()["outcome"] for one in timelines] == ["connected", "failed"]


# -- how it looks


def lines(*said: str) -> str:
    return "\n".join(said)


def tags(svg: str) -> list[str]:
    """Return the elements of *svg*, which has to be well-formed."""
    found: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, _: found.append(name)
    parser.Parse(svg.encode(), True)
    return found


def race() -> Timeline:
    """Return the timeline of a race that was told when it happened."""
    family = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
    return told(
        aioconnect.ResolveStarted(10.0, "db.test", 5432, family["AAAA"]),
        aioconnect.ResolveStarted(10.0, "db.test", 5432, family["A"]),
        aioconnect.Resolved(10.1, "db.test", 5432, family["AAAA"], (TWO,), 0.1),
        aioconnect.AttemptStarted(10.1, TWO, 1),
        aioconnect.Resolved(10.2, "db.test", 5432, family["A"], (ONE,), 0.2),
        aioconnect.AttemptStarted(10.35, ONE, 1),
        aioconnect.PhaseStarted(10.4, ONE, 1, "tls"),
        failed(10.6, ONE, ssl.SSLError(1, "[SSL] wrong version number"), phase="tls"),
        aioconnect.RetryScheduled(10.6, 1, 0.2),
    )


def test_text() -> None:
    wrong = "[SSL] wrong version numb…"
    assert race().to_text(end=10.8) == lines(
        "db.test:5432: connecting for 800 ms",
        "                             0           800 ms",
        "✓ lookup AAAA db.test        ───                100 ms [2001:db8::1]:5432",
        "✓ lookup A db.test           ─────              200 ms 192.0.2.1:5432",
        "- attempt [2001:db8::1]:5432   ━━━━━━━━━━━━     500 ms no answer, dropped",
        "✓ attempt 192.0.2.1:5432            ━━           50 ms connected",
        "✗ tls 192.0.2.1:5432                  ═════     200 ms " + wrong,
        "  wait for round 2                        ····· 200 ms not over",
    )


def test_text_in_few_columns() -> None:
    """A step has two lines there, and what does not fit is cut."""
    assert race().to_text(40, end=10.8) == lines(
        "db.test:5432: connecting for 800 ms",
        "  0           800 ms",
        "✓ lookup AAAA db.test             100 ms",
        "  ───                [2001:db8::1]:5432",
        "✓ lookup A db.test                200 ms",
        "  ─────              192.0.2.1:5432",
        "- attempt [2001:db8::1]:5432      500 ms",
        "    ━━━━━━━━━━━━     no answer, dropped",
        "✓ attempt 192.0.2.1:5432           50 ms",
        "         ━━          connected",
        "✗ tls 192.0.2.1:5432              200 ms",
        "           ═════     [SSL] wrong versio…",
        "  wait for round 2                200 ms",
        "               ····· not over",
    )


def test_colors() -> None:
    """Each outcome has its own, and there is none that nobody asked for."""
    plain = race().to_text(end=10.8)
    assert "\x1b" not in plain
    colored = race().to_text(end=10.8, color=True)
    assert "\x1b[31m✗\x1b[0m tls" in colored
    assert "\x1b[32m✓\x1b[0m lookup" in colored
    for code in ("0", "1", "2", "31", "32"):
        colored = colored.replace(f"\x1b[{code}m", "")
    assert colored == plain


def many_rounds(count: int) -> Timeline:
    """Return the timeline of so many rounds that were refused, but for two."""
    timeline = Timeline("db:5432")
    for number in range(count):
        at = number * 0.5
        error: Exception = REFUSED
        if number in (4, 5):
            error = TimeoutError(errno.ETIMEDOUT, "no answer yet")
        timeline(aioconnect.AttemptStarted(at, ONE, number + 1))
        timeline(failed(at + 0.1, ONE, error, round=number + 1))
        timeline(aioconnect.RetryScheduled(at + 0.1, number + 1, 0.4))
    return timeline


def test_many_rounds() -> None:
    """What repeats is folded, in the text and in the picture."""
    timeline = many_rounds(30)
    times = "\N{MULTIPLICATION SIGN}"
    assert timeline.to_text(end=15.0) == lines(
        "db:5432: connecting for 15.000 s, 30 rounds",
        "                         0         15.000 s",
        "✗ attempt 192.0.2.1:5432 ━                    100 ms connection refused",
        "  wait for round 2       ·                    400 ms",
        "✗ attempt 192.0.2.1:5432 ━                    100 ms connection refused",
        "  wait for round 3       ··                   400 ms",
        "✗ attempt 192.0.2.1:5432  ━                   100 ms connection refused",
        "  wait for round 4        ·                   400 ms",
        "  rounds 4 to 27          ━━━━━━━━━━━━━━━   11.600 s 22 "
        f"{times} connection refused, 2…",
        "✗ attempt 192.0.2.1:5432                 ━    100 ms connection refused",
        "  wait for round 29                      ·    400 ms",
        "✗ attempt 192.0.2.1:5432                 ━    100 ms connection refused",
        "  wait for round 30                      ··   400 ms",
        "✗ attempt 192.0.2.1:5432                  ━   100 ms connection refused",
        "  wait for round 31                       ·   400 ms not over",
    )
    svg = timeline.to_svg(end=15.0)
    assert f"22 {times} connection refused, 2 {times} no answer yet" in svg
    assert svg.count("<g>") == 13
    assert len(many_rounds(8).to_text().splitlines()) == 2 + 8 * 2


def test_very_many_rounds() -> None:
    """The memory is bounded, and what is not kept is counted."""
    timeline = many_rounds(10_000)
    record = timeline.to_dict()
    assert record["rounds"] == 10_000
    assert len(record["steps"]) == 512
    assert record["steps_left_out"] == 2 * 10_000 - 512
    assert record["steps"][63]["what"] == "for round 33"
    assert record["steps"][64]["round"] == 10_000 - 224 + 1
    text = timeline.to_text(120)
    assert len(text.splitlines()) == 2 + 13
    assert "rounds 4 to 9,997" in text
    assert "19,488 steps not kept" in text


def test_very_many_addresses() -> None:
    """Also of one round a part is not kept, and that is said where it would be."""
    timeline = Timeline()
    for number in range(600):
        address = tcp("192.0.2.1", number + 1)
        timeline(aioconnect.AttemptStarted(1.0, address, 1))
        timeline(failed(2.0, address, REFUSED))
    rows = timeline.to_text(120).splitlines()[2:]
    assert len(rows) == 513
    assert "attempt 192.0.2.1:64 " in rows[63]
    assert rows[64].split() == [
        *["rounds", "1", "to", "1", "0"],
        *["88", "steps", "not", "kept"],
    ]
    assert "attempt 192.0.2.1:153 " in rows[65]


def test_long_rounds() -> None:
    """What is not kept is told with the rounds that are folded, wherever it was."""
    timeline = many_rounds(20)
    for number in range(600):
        timeline(aioconnect.AttemptStarted(20.0, tcp("192.0.2.2", number + 1), 21))
    rows = timeline.to_text(120).splitlines()[2:]
    assert [row.split()[:4] for row in rows if "rounds" in row] == [
        ["rounds", "4", "to", "21"]
    ]
    assert sum("128 steps not kept" in row for row in rows) == 1


def test_memory_of_look_ups() -> None:
    """What is known of those of former rounds is forgotten, and of one is bounded."""
    timeline = Timeline()
    what = ("db.test", 5432, socket.AF_INET)
    for number in range(1, 100):
        timeline(aioconnect.ResolveStarted(1.0, *what))
        timeline(aioconnect.Resolved(1.0, *what, (ONE,) * 20, 0.0))
        timeline(aioconnect.RetryScheduled(1.0, number, 0.0))
    assert len(timeline.to_dict()["steps"][0]["addresses"]) == 16
    assert timeline._reducer._round_lookups == []


def test_cells() -> None:
    """A character of the East takes two columns, a mark over another none."""
    assert [display_width(text) for text in ("abc", "例え", "e\u0301", "é", "✓━…")] == [
        3,
        4,
        1,
        1,
        3,
    ]


def test_nothing() -> None:
    """Before the first event there is nothing to see, and that can be seen."""
    timeline = Timeline()
    assert timeline.to_text(end=1e6) == "nothing yet: connecting for 0"
    assert timeline.to_dict(end=1e6)["elapsed"] == 0
    assert tags(timeline.to_svg())
    timeline.ended(1e6)
    assert timeline.to_text() == "nothing yet: cancelled after 0"


@pytest.mark.parametrize("width", [19, 0, -1])
def test_too_narrow(width: int) -> None:
    with pytest.raises(ValueError, match="width must be 20 or more"):
        Timeline().to_text(width)


@pytest.mark.parametrize("width", ["80", None, 80.5, True])
def test_no_width(width: Any) -> None:
    with pytest.raises(TypeError, match=f"width must be an int, not {width!r}"):
        Timeline().to_text(width)


def test_what_was_not_begun() -> None:
    """Events whose beginning nobody told have what they say themselves."""
    timeline = told(
        aioconnect.Resolved(3.0, "db.test", 5432, socket.AF_INET, (ONE,), 1.0),
        aioconnect.Connected(4.0, ONE, 1, 3.0),
    )
    record = timeline.to_dict()
    assert record["elapsed"] == 3.0
    assert record["steps"][0]["start"] == 1.0
    assert record["steps"][0]["end"] == 2.0


def test_durations() -> None:
    """Each is in the unit of its size."""
    from aioconnect._timeline.phrases import format_duration

    said = {
        0: "0",
        0.00000001: "0.00 ms",
        0.000123: "0.12 ms",
        0.000996: "1.0 ms",
        0.00994: "9.9 ms",
        0.00996: "10 ms",
        0.9994: "999 ms",
        0.9996: "1.000 s",
        99.9: "99.900 s",
        100: "100 s",
        35_999: "35,999 s",
        36_000: "10.0 h",
    }
    assert {seconds: format_duration(seconds) for seconds in said} == said


def test_a_value() -> None:
    """It travels, as a connector with it does; each one is its own."""
    timeline = race()
    again = pickle.loads(pickle.dumps(Connector(observer=timeline))).observer
    assert again.to_dict() == timeline.to_dict()
    assert again != timeline


HOSTILE = (
    "</text><script>alert(1)</script>",
    "\"'><&",
    "\x1b[31mred\x1b]0;title\x07",
    "a\0b\nc\rd\u2028e",
    "\ud800\udfff lone",
    "\ufffe\uffff",
    "\u202egnp.exe",
    "例え.テスト",
    "x" * 5000,
    "e" + "\u0301" * 50,
    "]]>",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_texts(text: str) -> None:
    """Whatever a name or a server says, a terminal and a picture show it as text."""
    error = OSError(errno.EPROTO, text)
    giving_up = aioconnect.ConnectError(errno.EPROTO, text)
    timeline = told(
        aioconnect.ResolveStarted(1.0, text, 80, socket.AF_INET),
        aioconnect.ResolveFailed(2.0, text, 80, socket.AF_INET, error, 1.0),
        aioconnect.AttemptStarted(2.0, ONE, 1),
        aioconnect.PhaseStarted(2.0, ONE, 1, "ready"),
        failed(2.0, ONE, error, phase="ready"),
        aioconnect.GaveUp(3.0, giving_up),
        target=text,
    )
    for width in (20, 40, 80, 200):
        rows = timeline.to_text(width).split("\n")
        assert all(display_width(row) <= width for row in rows)
        assert all(row.isprintable() for row in rows)
    drawn = {"svg", "title", "style", "text", "path", "g", "rect"}
    assert set(tags(timeline.to_svg())) == drawn
    record = json.dumps(timeline.to_dict(), allow_nan=False)
    assert json.loads(record) == timeline.to_dict()
    assert len(record) < 8000


# -- whatever happens

NAMES = st.sampled_from(["db", "a.test", "例え.テスト", "_x._tcp.a", "<&>", "\x1b[1m"])
ADDRESSES = st.sampled_from([ONE, TWO, tcp("::1", 1), Address(socket.AF_UNIX, "/x")])
FAMILIES = st.sampled_from([socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC])
ERRORS = st.sampled_from(
    [
        REFUSED,
        socket.gaierror(socket.EAI_AGAIN, "not now"),
        ssl.SSLError(1, "\x1b bad"),
        OSError("no errno"),
        OSError(99999, "no such errno"),
        ValueError(""),
    ]
)
TIMES = st.floats(0, 1e7)
PHASES = st.sampled_from(["proxy", "tls", "ready"])


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    return Attempt(
        draw(st.none() | ADDRESSES),
        draw(PHASES | st.sampled_from(["resolve", "guard", "bind", "connect"])),
        draw(ERRORS),
        draw(TIMES),
        draw(TIMES),
        draw(st.integers(1, 9)),
        host=draw(st.none() | NAMES),
    )


def giving_up(error: Exception) -> aioconnect.ConnectError:
    return aioconnect.ConnectError(errno.ETIMEDOUT, str(error))


ROUNDS = st.integers(1, 20)
FOUND = st.lists(ADDRESSES, max_size=20).map(tuple)
DRAWN = (
    st.builds(aioconnect.ResolveStarted, TIMES, NAMES, ROUNDS, FAMILIES),
    st.builds(aioconnect.Resolved, TIMES, NAMES, ROUNDS, FAMILIES, FOUND, TIMES),
    st.builds(aioconnect.ResolveFailed, TIMES, NAMES, ROUNDS, FAMILIES, ERRORS, TIMES),
    st.builds(aioconnect.AttemptStarted, TIMES, ADDRESSES, ROUNDS),
    st.builds(aioconnect.PhaseStarted, TIMES, ADDRESSES, ROUNDS, PHASES),
    st.builds(aioconnect.AttemptFailed, TIMES, attempts()),
    st.builds(aioconnect.Connected, TIMES, ADDRESSES, ROUNDS, TIMES),
    st.builds(aioconnect.RetryScheduled, TIMES, ROUNDS, TIMES),
    st.builds(aioconnect.GaveUp, TIMES, ERRORS.map(giving_up)),
)
assert len(DRAWN) == len(typing.get_args(Event))


@given(
    st.lists(st.one_of(DRAWN), max_size=40),
    st.integers(20, 200),
    st.booleans(),
    st.none() | TIMES,
)
@example([], 20, False, None)
def test_any_events(
    events: list[Event], width: int, cancels: bool, end: float | None
) -> None:
    """No line is wider than asked for, and all that it gives is well-formed."""
    timeline = told(*events)
    if cancels:
        timeline.ended(end or 0.0)
    rows = timeline.to_text(width, end=end).split("\n")
    assert [
        row for row in rows if display_width(row) > width or not row.isprintable()
    ] == []
    assert tags(timeline.to_svg(end=end))
    record = timeline.to_dict(end=end)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    for step in record["steps"]:
        assert step["start"] >= 0
        assert (step["end"] is None) == (step["outcome"] == "pending")
        assert step["end"] is None or step["start"] <= step["end"]
        assert (step["reason"] is None) == (step["outcome"] != "failed")
    if record["outcome"] in ("connected", "failed") and not cancels:
        assert "pending" not in [step["outcome"] for step in record["steps"]]
