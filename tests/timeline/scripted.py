"""Make timelines from scripted events, and simplify them for comparisons."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any
from xml.parsers import expat

import aioconnect
from aioconnect import Address, Attempt, Event, Timeline

__all__ = [
    "ONE",
    "REFUSED",
    "TWO",
    "Steps",
    "failed",
    "many_rounds",
    "race",
    "steps",
    "tags",
    "tcp",
    "told",
]

Steps = list[tuple[str, str, str]]


def steps(timeline: Timeline) -> Steps:
    """Return the kind, the outcome and the reason of each step."""
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


def tags(svg: str) -> list[str]:
    """Return the tags in *svg*, which must be well-formed."""
    found: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, _: found.append(name)
    parser.Parse(svg.encode(), True)
    return found


def race() -> Timeline:
    """Return the timeline of a race by a name whose whole answer never comes."""
    family = {"": socket.AF_UNSPEC, "A": socket.AF_INET, "AAAA": socket.AF_INET6}
    return told(
        aioconnect.ResolveStarted(10.0, "db.test", 5432, family[""]),
        aioconnect.ResolveStarted(10.05, "db.test", 5432, family["AAAA"]),
        aioconnect.ResolveStarted(10.05, "db.test", 5432, family["A"]),
        aioconnect.Resolved(10.1, "db.test", 5432, family["AAAA"], (TWO,), 0.05),
        aioconnect.AttemptStarted(10.1, TWO, 1),
        aioconnect.Resolved(10.2, "db.test", 5432, family["A"], (ONE,), 0.15),
        aioconnect.AttemptStarted(10.35, ONE, 1),
        aioconnect.PhaseStarted(10.4, ONE, 1, "tls"),
        failed(10.6, ONE, ssl.SSLError(1, "[SSL] wrong version number"), phase="tls"),
        aioconnect.RetryScheduled(10.6, 1, 0.2),
    )


def many_rounds(count: int) -> Timeline:
    """Return the timeline of *count* rounds: two timed out, the others were refused."""
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
