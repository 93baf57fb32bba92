"""Names: known, slow or silent.  What DNS does is arranged in a namespace."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ways_names
from ..machine import CLIENT, pin
from ..namespaces import in_namespace
from ..results import Measure, Row, row_of
from ..running import Plan, in_batches, take_turns
from ..servers import Endpoint, serving

__all__ = ["hung", "in_hosts", "known", "many_hung", "no_answer", "slow_aaaa"]

CONNECT = "time of a connect"
LATE = "time to connect"


def known(plan: Plan) -> Sequence[Measure]:
    """Connect to a name whose address a resolver of the caller's knows."""
    rounds, size = (2, 20) if plan.quick else (40, 200)
    with serving(Endpoint()) as endpoint:
        pin(CLIENT)
        contestants = plan.of(ways_names.KNOWN)
        rows = take_turns(contestants, endpoint, rounds, in_batches(size))
    return [Measure(CONNECT, "s", tuple(rows))]


def in_hosts(plan: Plan) -> Sequence[Measure]:
    """Connect to a name that the system knows from /etc/hosts."""
    return [Measure(CONNECT, "s", _in_namespace("hosts", plan))]


def slow_aaaa(plan: Plan) -> Sequence[Measure]:
    """Connect to a name whose AAAA takes 1 s, and whose A is there."""
    return [Measure(LATE, "s", _in_namespace("aaaa", plan))]


def no_answer(plan: Plan) -> Sequence[Measure]:
    """Connect to a name of which one family never comes, and the other is there."""
    return [
        Measure("time to connect, no AAAA", "s", _in_namespace("no-aaaa", plan)),
        Measure("time to connect, no A", "s", _in_namespace("no-a", plan)),
    ]


def hung(plan: Plan) -> Sequence[Measure]:
    """Connect to a name while 64 others hang, whose DNS server is silent."""
    return [Measure(LATE, "s", _in_namespace("names", plan))]


def many_hung(plan: Plan) -> Sequence[Measure]:
    """Connect to a name while 300 others hang."""
    return [
        Measure(LATE, "s", _in_namespace("many", plan)),
        Measure("time to connect, /etc/hosts", "s", _in_namespace("many-hosts", plan)),
    ]


def _in_namespace(case: str, plan: Plan) -> tuple[Row, ...]:
    return tuple(map(row_of, in_namespace("own_dns", case, plan=plan)))
