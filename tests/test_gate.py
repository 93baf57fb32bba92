"""What no clock is needed for is counted, and a growth fails with a line on it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import aioconnect
from benchmarks import counting, gate, tracing

pytestmark = pytest.mark.thorough

connect = aioconnect.connect


def test_what_fits() -> None:
    """What is at its limit has not grown."""
    assert gate.exceeded({name: one.most for name, one in gate.LIMITS.items()}) == []


@pytest.mark.parametrize("name", gate.LIMITS)
def test_each_limit(name: str) -> None:
    """The line says which, by how much, and where the limit stands."""
    counts = {name: one.most for name, one in gate.LIMITS.items()}
    counts[name] += 2
    (line,) = gate.exceeded(counts)
    assert line.startswith(f"{name}: {counts[name]:g}, which is 2 more than ")
    where = int(line.rpartition("gate.py:")[2])
    with open(gate.__file__) as source:
        assert f'"{name}": Limit' in source.readlines()[where - 1]


def test_what_is_not_counted() -> None:
    """A count that is missing does not pass for none."""
    counts = {name: one.most for name, one in gate.LIMITS.items()}
    del counts["tasks of a connect"]
    (line,) = gate.exceeded(counts)
    assert line.startswith(
        "tasks of a connect: not counted, though benchmarks/gate.py:"
    )


def test_a_growth_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task, a future, a timer, a callback and a kilobyte more are all seen."""
    kept: list[bytes] = []

    async def grown(*to: Any, **options: Any) -> socket.socket:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(60, loop.create_future().cancel)
        kept.append(bytes(1024))
        try:
            return await loop.create_task(connect(*to, **options))
        finally:
            timer.cancel()

    monkeypatch.setattr(counting, "is_traceable", lambda: False)
    before = counting.counted()
    monkeypatch.setattr(aioconnect, "connect", grown)
    more = counting.counted()
    assert before.keys() == gate.LIMITS.keys() - {*tracing.STRACED}
    for kind, count in (("futures", 1), ("timers", 1), ("tasks", 1), ("handles", 2)):
        name = f"{kind} of a connect"
        assert more[name] - before[name] >= count * 0.9, name
    bytes_more = (
        more["bytes of a connect that waits"] - before["bytes of a connect that waits"]
    )
    assert bytes_more > 1024
    assert any(
        line.startswith("tasks of a connect: 1,") for line in gate.exceeded(more)
    )


def test_a_count_is_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate takes the least of three: a first one may not be more by itself."""
    monkeypatch.setattr(counting, "is_traceable", lambda: False)
    first, again = counting.counted(), counting.counted()
    name = "bytes of a connect that waits"
    assert again[name] == pytest.approx(first[name], rel=0.03)
    assert {**again, name: 0.0} == {**first, name: 0.0}


@pytest.mark.strace
def test_system_calls() -> None:
    """Those of a connect are counted one by one."""
    if not tracing.is_traceable():
        pytest.skip("strace is not installed, or may not trace")
    calls = tracing.calls()
    assert calls.keys() == set(tracing.STRACED)
    assert calls["system calls of a connect"] >= 3


def test_modules() -> None:
    """The package's own and the standard library's are counted apart."""
    counts = tracing.modules()
    assert counts["modules of the package"] > 20
