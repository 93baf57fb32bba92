"""`Timeline`, as an observer of real connects."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pickle
import socket
import ssl
import time
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from timeline.scripted import race, steps

import aioconnect
from aioconnect import Address, CallObserver, Connector, Event, Timeline
from aioconnect._calls.observing import Observer
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


async def test_connected(port: int) -> None:
    """The record has all keys for a call that connected."""
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
    """The slower address is dropped; the one look-up has the addresses it found."""
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
        ("attempt", "dropped", ""),
        ("attempt", "ok", ""),
    ]
    record = timeline.to_dict()
    assert record["target"] == f"db.test:{port}"
    lookup, silent, winner = record["steps"]
    assert lookup["what"] == "db.test"
    assert lookup["addresses"] == [f"[::1]:{port}", f"127.0.0.1:{port}"]
    assert silent["start"] < winner["start"]
    assert silent["end"] == winner["end"]
    assert f"✓ attempt 127.0.0.1:{port}" in timeline.to_text()
    assert "no answer, dropped" in timeline.to_text()


async def test_families_asked_for_apart(port: int) -> None:
    """Each look-up is a step; the whole one, which is late, is dropped."""
    timeline = Timeline()
    names = ScriptedResolver(
        {
            ("db.test", socket.AF_UNSPEC): Lookup(never=True),
            ("db.test", socket.AF_INET6): Lookup(error=socket.EAI_AGAIN),
            ("db.test", socket.AF_INET): Lookup(["127.0.0.1"], delay=0.02),
        }
    )
    (
        await aioconnect.connect("db.test", port, resolver=names, observer=timeline)
    ).close()
    assert steps(timeline) == [
        ("lookup", "dropped", ""),
        ("lookup", "failed", "temporary failure in name resolution"),
        ("lookup", "ok", ""),
        ("attempt", "ok", ""),
    ]
    lookups = timeline.to_dict()["steps"][:3]
    names_of_steps = [step["what"] for step in lookups]
    assert names_of_steps == ["db.test", "AAAA db.test", "A db.test"]
    assert [step["addresses"] for step in lookups] == [[], [], [f"127.0.0.1:{port}"]]
    assert lookups[1]["start"] > lookups[0]["start"]  # after the Resolution Delay


async def test_rounds() -> None:
    """Each step has the number of its round, and a wait names the next."""
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
    assert wait["end"] - wait["start"] >= 0.015  # uvloop's clock counts milliseconds


async def test_gave_up(refused_port: int) -> None:
    """The error is in the record, and its message is in the text."""
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


async def test_a_name_that_does_not_exist() -> None:
    """It is one step, as no family is asked for apart."""
    timeline = Timeline()
    with pytest.raises(aioconnect.ResolveError):
        await aioconnect.connect(
            "db.test", 80, resolver=ScriptedResolver({}), observer=timeline
        )
    assert steps(timeline) == [("lookup", "failed", "name or service not known")]
    (step,) = timeline.to_dict()["steps"]
    assert (step["what"], step["errno"]) == ("db.test", "EAI_NONAME")


async def test_names_that_fail() -> None:
    """A failed look-up appears once; one that hangs fails when the time is up."""
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
    hung = ("lookup", "failed", "the resolver did not answer in time")
    assert steps(timeline) == [
        hung,
        ("lookup", "failed", "name or service not known"),
        hung,
    ]
    whole, failed_, never = timeline.to_dict()["steps"]
    assert failed_["what"] == "AAAA db.test"
    assert failed_["errno"] == "EAI_NONAME"
    assert {step["errno"] for step in (whole, never)} == {"ETIMEDOUT"}
    assert all(step["end"] > step["start"] for step in (whole, never))


async def test_names_that_hang() -> None:
    """All three look-ups have failed at the end, for the same reason."""
    timeline = Timeline()
    names = ScriptedResolver({"db.test": Lookup(never=True)})
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await aioconnect.connect(
            "db.test", 80, resolver=names, timeout=0.5, observer=timeline
        )
    hung = ("lookup", "failed", "the resolver did not answer in time")
    assert steps(timeline) == [hung] * 3


async def test_a_number_of_another_family() -> None:
    """A failure that nothing started for is a step, too."""
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
    """A *local_addr* that has no address is a failed attempt, not a failed look-up."""
    timeline = Timeline()
    with pytest.raises(aioconnect.ConnectError):
        await aioconnect.connect(
            "127.0.0.1", port, local_addr=("nosuch.invalid", 0), observer=timeline
        )
    ((kind, outcome, why),) = steps(timeline)
    assert (kind, outcome) == ("attempt", "failed")
    assert why.startswith("bind: ")


async def test_phases() -> None:
    """A handshake after the connect is a step of its own, with its own reason."""
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
    assert distrusting.to_dict()["error"]["errno"] is None  # OpenSSL's are none


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "expired"])
async def test_two_handshakes(is_silent: bool) -> None:
    """The handshake that loses is dropped, or has failed with its own reason."""
    with (
        tls_echoing("::1", silent=is_silent, expired=not is_silent) as first,
        tls_echoing() as second,
    ):

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [first.address, second.address]

        first.ca.configure_trust(second.client_context)
        timeline = Timeline()
        _, writer = await aioconnect.open_connection(
            "localhost",
            1,
            ssl=second.client_context,
            resolver=resolver,
            happy_eyeballs_delay=0.01,
            observer=timeline,
            timeout=60,
        )
        writer.transport.abort()
    record = timeline.to_dict()
    assert record["address"] == str(second.address)
    by_address = {
        str(at): [
            (one["kind"], one["outcome"])
            for one in record["steps"]
            if one["what"] == str(at)
        ]
        for at in (first.address, second.address)
    }
    lost = "dropped" if is_silent else "failed"
    assert by_address == {
        str(first.address): [("attempt", "ok"), ("tls", lost)],
        str(second.address): [("attempt", "ok"), ("tls", "ok")],
    }
    assert f"tls {first.address}" in timeline.to_text()


async def test_not_ready(port: int) -> None:
    async def ready(sock: socket.socket) -> bool:
        return False

    timeline = Timeline()
    with pytest.raises(aioconnect.ConnectAbortedError):
        await aioconnect.connect("127.0.0.1", port, ready=ready, observer=timeline)
    assert steps(timeline) == [
        ("attempt", "ok", ""),
        ("ready", "failed", "the ready check returned False"),
    ]


async def test_cancelled(black_hole: BlackHole) -> None:
    """A step that is not over is pending, even after the call is cancelled."""
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


# Two times are rounded to microseconds.
ROUNDED = 2e-6


async def test_one_clock(port: int) -> None:
    """A fraction of a millisecond is measured as such, on any loop."""
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
    """The start of the call is right, though uvloop's clock may be behind."""
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
    """The end of the call is right, though uvloop's clock may be behind."""
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
    """Events have the loop's times, but a timeline has all times from one clock."""

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
    """The record has the time of the cancellation, and before that the time so far."""
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
    """The headline gives the reason of the attempts, not only the timeout."""
    timeline = Timeline()
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await aioconnect.connect(
            "127.0.0.1", refused_port, timeout=5, retry=(9,), observer=timeline
        )
    where = f"127.0.0.1:{refused_port}"
    headline = str(timeline).splitlines()[0]
    assert headline.startswith(f"{where}: timed out after ")
    assert headline.endswith(", last error ECONNREFUSED")


async def test_several_calls(port: int, refused_port: int) -> None:
    """The call that began last is shown, whichever ends first."""
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
    """A hook's exception is recorded, though no event tells it; a later one is not."""
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
    """A call that returns without connecting is over, too."""
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
    """Endpoints tried one after the other are in one round."""
    timeline = Timeline()
    where = [("127.0.0.1", refused_port), ("127.0.0.1", port)]
    (await aioconnect.connect_any(where, observer=timeline)).close()
    first = f"127.0.0.1:{refused_port}"
    said = f"one of 2 servers ({first}, ...): connected to 127.0.0.1:{port} in "
    assert str(timeline).startswith(said)
    assert timeline.to_dict()["target"] == first
    assert steps(timeline) == [
        ("attempt", "failed", "connection refused"),
        ("attempt", "ok", ""),
    ]
    assert timeline.to_dict()["rounds"] == 1


async def test_name_of_several(refused_port: int) -> None:
    """The user's name for them is enough."""
    timeline = Timeline("the replicas")
    with pytest.raises(aioconnect.ConnectRefusedError):
        await aioconnect.connect_any(
            [("127.0.0.1", refused_port)] * 2, observer=timeline
        )
    assert str(timeline).startswith("the replicas: not connected, ECONNREFUSED, after ")


class Resolver(StaticResolver):
    """Knows a service, but fails at the first look-up."""

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
    """A service has a look-up step of its own, and its failure appears once."""
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
    """Each reconnect is a call, and begins with the lost connection as an attempt."""
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


def test_a_value() -> None:
    """A timeline can be pickled, also with its connector; a copy is not equal."""
    timeline = race()
    again = pickle.loads(pickle.dumps(Connector(observer=timeline))).observer
    assert again.to_dict() == timeline.to_dict()
    assert again != timeline
