"""Connect to one address that answers: TCP, IPv6, Unix, streams, TLS."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ways, ways_streams
from ..machine import CLIENT, pin
from ..results import Measure
from ..running import (
    NONE,
    TRIO,
    Contestant,
    Plan,
    Skipped,
    both,
    in_batches,
    take_turns,
)
from ..servers import Endpoint, serving

__all__ = ["ipv6", "streams", "tcp", "tls", "unix"]

LIMITS = (
    Contestant("blocking socket.connect", NONE, ways.blocking, ways.reset),
    Contestant("non-blocking connect and epoll", NONE, ways.epoll, ways.reset),
    Contestant("the checked system calls", NONE, ways.checked, ways.reset),
)

SOCKETS = (
    *LIMITS,
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("aioconnect.connect(timeout=5)", ways.ours_timeout, ways.reset),
    *both("loop.sock_connect", ways.sock_connect, ways.reset),
    *both("aiohappyeyeballs", ways.aiohappyeyeballs, ways.reset),
    *both("async_stagger", ways.async_stagger, ways.reset),
    Contestant("trio.socket", TRIO, ways.trio_socket, ways.reset),
)

UNIX = (
    *LIMITS,
    *both("aioconnect.connect_unix", ways.unix_ours, ways.reset),
    *both("loop.sock_connect", ways.sock_connect, ways.reset),
    *both("the loop, a checked socket", ways_streams.floor_streams, ways_streams.abort),
    *both(
        "aioconnect.open_unix_connection", ways_streams.ours_streams, ways_streams.abort
    ),
    *both(
        "asyncio.open_unix_connection", ways_streams.asyncio_streams, ways_streams.abort
    ),
    *both("anyio.connect_unix", ways_streams.anyio_streams, ways_streams.abort_anyio),
    Contestant(
        "anyio.connect_unix", TRIO, ways_streams.anyio_streams, ways_streams.abort_anyio
    ),
    Contestant("trio.socket", TRIO, ways.trio_socket, ways.reset),
    Contestant(
        "trio.open_unix_socket",
        TRIO,
        ways_streams.trio_streams,
        ways_streams.abort_trio,
    ),
)

TLS = (
    Contestant("blocking socket and ssl", NONE, ways_streams.blocking_tls, ways.reset),
    *both("aioconnect.open_connection", ways_streams.ours_streams, ways_streams.abort),
    *both("the loop, a checked socket", ways_streams.floor_streams, ways_streams.abort),
    *both("asyncio.open_connection", ways_streams.asyncio_streams, ways_streams.abort),
    *both("aioconnect Connectable", ways_streams.connectable, ways_streams.abort_anyio),
    *both("anyio.connect_tcp", ways_streams.anyio_streams, ways_streams.abort_anyio),
    Contestant(
        "anyio.connect_tcp", TRIO, ways_streams.anyio_streams, ways_streams.abort_anyio
    ),
    Contestant(
        "trio.open_tcp_stream", TRIO, ways_streams.trio_streams, ways_streams.abort_trio
    ),
)

STREAMS = (*LIMITS, *TLS[1:])


def tcp(plan: Plan) -> Sequence[Measure]:
    """Connect a socket."""
    return _connect(SOCKETS, Endpoint(), "tcp", plan)


def ipv6(plan: Plan) -> Sequence[Measure]:
    """Connect a socket to ::1."""
    return _connect(SOCKETS, Endpoint("::1"), "tcp", plan)


def unix(plan: Plan) -> Sequence[Measure]:
    """Connect to a path."""
    return _connect(UNIX, Endpoint(), "unix", plan)


def streams(plan: Plan) -> Sequence[Measure]:
    """Connect streams."""
    return _connect(STREAMS, Endpoint(), "tcp", plan)


def tls(plan: Plan) -> Sequence[Measure]:
    """Connect streams over TLS."""
    return _connect(TLS, Endpoint(), "tls", plan, 5)


def _connect(
    contestants: Sequence[Contestant],
    endpoint: Endpoint,
    kind: str,
    plan: Plan,
    count: int = 100,
) -> Sequence[Measure]:
    pin(CLIENT)
    rounds = 7 if plan.quick else 41
    try:
        with serving(endpoint, kind) as endpoint:
            rows = take_turns(plan.of(contestants), endpoint, rounds, in_batches(count))
    except EOFError as exc:
        raise Skipped(f"the server could not serve {kind} at {endpoint.host}") from exc
    return [Measure("time of a connect", "s", tuple(rows))]
