"""The cases, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..results import Measure
from ..running import Plan
from . import (
    answered,
    connects,
    counted,
    growth,
    herds,
    imports,
    names,
    pending,
    races,
    retries,
)

__all__ = ["CASES", "Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """What *run* measures, as the plan says."""

    name: str
    title: str
    run: Callable[[Plan], Sequence[Measure]]


CASES: Sequence[Case] = (
    Case("connect", "connect a socket over TCP, one address", connects.tcp),
    Case("ipv6", "connect a socket over TCP, one IPv6 address", connects.ipv6),
    Case("unix", "connect a Unix socket", connects.unix),
    Case("streams", "connect streams over TCP, one address", connects.streams),
    Case("answered", "connects that are answered later", answered.answered),
    Case("far", "connect to a host 1 ms and 30 ms away", answered.far),
    Case("tls", "connect streams over TLS", connects.tls),
    Case("three", "three addresses, of which the first answers", races.three),
    Case("silent", "two addresses, of which the first is silent", races.silent),
    Case(
        "stalled",
        "two addresses over TLS, of which the first stalls",
        races.stalled,
    ),
    Case("history", "the same again, with a history", races.remembered),
    Case("refused", "eight addresses, which all refuse", races.refused),
    Case("resolver", "a name that a resolver knows", names.known),
    Case("hosts", "a name in /etc/hosts", names.in_hosts),
    Case("aaaa", "a name whose AAAA is slow", names.slow_aaaa),
    Case("no-answer", "a name of which one family never comes", names.no_answer),
    Case("names", "a name, while 64 others hang", names.hung),
    Case("many-names", "a name, while 300 others hang", names.many_hung),
    Case("concurrency", "connect many at once", growth.concurrency),
    Case("pending", "connects that get no answer", pending.pending),
    Case("cancel", "cancel a connect that gets no answer", pending.cancel),
    Case("retry", "retry until the server is up", retries.retry),
    Case("import", "import what connects", imports.imports),
    Case("calls", "system calls of a connect", counted.calls),
    Case("instructions", "instructions of a connect", counted.instructions),
    Case("herd", "a herd that waits for one server", herds.herd),
)
