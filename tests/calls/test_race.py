"""The race on real sockets: who wins, what the losers leave, and which events come."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    Lookup,
    Recorder,
    ScriptedResolver,
    black_hole,
    flaky,
    full_backlog,
    leak_check,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
)

V6, V4 = socket.AF_INET6, socket.AF_INET


class Answering:
    """A resolver whose addresses have ports of their own."""

    def __init__(self, *addresses: Address) -> None:
        self.addresses = addresses
        self.asked: list[int] = []

    async def __call__(
        self, host: str, port: int, *, family: int, proto: int, flags: int
    ) -> Sequence[Address]:
        self.asked.append(family)
        return [one for one in self.addresses if one.family == family]


async def test_silent_first() -> None:
    """The second address is tried after the Connection Attempt Delay, and wins."""
    recorder = Recorder()
    with black_hole("::1") as hole, listening() as server:
        resolver = Answering(hole.address, server.address)
        async with leak_check():
            options: Any = {"resolver": resolver, "happy_eyeballs_delay": 0.05}
            sock = await aioconnect.connect("two", 1, observer=recorder, **options)
            with sock:
                assert sock.getpeername() == server.sockaddr
    assert sorted(resolver.asked) == sorted([V6, V4])
    first, second = recorder.of(aioconnect.AttemptStarted)
    assert (first.address, second.address) == (hole.address, server.address)
    # uvloop's clock counts milliseconds.
    assert second.at - first.at > 0.04
    recorder.assert_none(aioconnect.AttemptFailed)


async def test_the_delay_ends_no_attempt() -> None:
    """RFC 8305, 5: the first may still win when the second has been started."""
    with flaky(["hang", "accept"], host="::1") as server, black_hole() as hole:
        recorder = Recorder()

        def answer_when_both_are_tried(event: aioconnect.Event) -> None:
            recorder(event)
            if len(recorder.of(aioconnect.AttemptStarted)) == 2:
                server.advance()

        server.advance()
        sock = await aioconnect.connect(
            "two",
            1,
            resolver=Answering(server.address, hole.address),
            happy_eyeballs_delay=0.05,
            observer=answer_when_both_are_tried,
            timeout=60,
        )
        with sock:
            assert sock.getpeername()[:2] == server.sockaddr[:2]
        recorder.assert_none(aioconnect.AttemptFailed)


async def test_a_failure_starts_the_next_at_once() -> None:
    """Nothing waits for the delay when there is nothing else to wait for."""
    recorder = Recorder()
    with refusing("::1") as refused, listening() as server:
        resolver = Answering(refused.address, server.address)
        with await aioconnect.connect(
            "two", 1, resolver=resolver, happy_eyeballs_delay=60, observer=recorder
        ):
            pass
    failed = recorder.only(aioconnect.AttemptFailed)
    _, second = recorder.of(aioconnect.AttemptStarted)
    assert failed.attempt.address == refused.address
    assert second.at - failed.at < 30


async def test_all_refuse() -> None:
    """Each address is tried once, and the one error names them all."""
    with refusing() as four, refusing("::1") as six, refusing("127.0.0.2") as two:
        addresses = (four.address, six.address, two.address)
        recorder = Recorder()
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect(
                "three", 1, resolver=Answering(*addresses), observer=recorder
            )
    tried = [attempt.address for attempt in caught.value.attempts]
    assert sorted(map(str, tried)) == sorted(map(str, addresses))
    assert all(str(address) in str(caught.value) for address in addresses)
    assert len(recorder.of(aioconnect.AttemptStarted)) == 3
    recorder.assert_in_order("AttemptFailed", "GaveUp")


async def test_one_at_a_time() -> None:
    """Without a delay the next address waits for the one before to fail."""
    recorder = Recorder()
    with (
        black_hole("::1") as hole,
        listening() as server,
        await aioconnect.connect(
            "two",
            1,
            resolver=Answering(hole.address, server.address),
            happy_eyeballs_delay=None,
            attempt_timeout=0.1,
            observer=recorder,
        ),
    ):
        pass
    recorder.assert_in_order("AttemptStarted", "AttemptFailed", "AttemptStarted")
    failed = recorder.only(aioconnect.AttemptFailed).attempt
    assert failed.address == hole.address
    assert isinstance(failed.error, TimeoutError)


async def test_deadline_of_a_race() -> None:
    """K6: the error of a call whose time was up has what was under way in it."""
    with black_hole("::1") as six, black_hole() as four, refusing() as refused:
        addresses = (six.address, refused.address, four.address)
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(
                "three",
                1,
                resolver=Answering(*addresses),
                happy_eyeballs_delay=0.01,
                timeout=1,
            )
    error = caught.value
    assert {attempt.address for attempt in error.attempts} == set(addresses)
    assert error.elapsed >= 0.99  # uvloop's clock counts milliseconds


@pytest.mark.parametrize("others", [0, 1])
async def test_deadline_of_a_look_up(others: int) -> None:
    """A look-up that hangs is in the error only if nothing was found."""
    four = Lookup(["127.0.0.1"]) if others else Lookup(never=True)
    resolver = ScriptedResolver(
        {("name", V6): Lookup(never=True), ("name", V4): four},
    )
    with refusing() as refused, pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect("name", refused.port, resolver=resolver, timeout=1)
    phases = [attempt.phase for attempt in caught.value.attempts]
    assert phases == (["connect"] if others else ["resolve", "resolve"])
    await asyncio.sleep(0)
    assert resolver.pending == 0


async def test_late_answer_wins() -> None:
    """An AAAA answer that comes after the race has begun joins it."""
    resolver = ScriptedResolver(
        {
            ("name", V6): Lookup(["::1"], delay=0.2),
            ("name", V4): Lookup(["127.0.0.1"]),
        }
    )
    with on_one_port(black_hole, lambda port: listening("::1", port=port)) as (
        hole,
        server,
    ):
        sock = await aioconnect.connect(
            "name", hole.port, resolver=resolver, resolution_delay=0.01, timeout=60
        )
        with sock:
            assert sock.getpeername()[:2] == server.sockaddr[:2]


async def test_look_up_ends_with_the_race() -> None:
    """The race does not wait for an answer that is no longer needed."""
    resolver = ScriptedResolver(
        {("name", V6): Lookup(never=True), ("name", V4): Lookup(["127.0.0.1"])}
    )
    with listening() as server:
        async with leak_check():
            (await aioconnect.connect("name", server.port, resolver=resolver)).close()
    assert [call.family for call in resolver.cancelled] == [V6]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((socket.EAI_NONAME, socket.EAI_NONAME), socket.EAI_NONAME),
        ((socket.EAI_NODATA, socket.EAI_AGAIN), socket.EAI_AGAIN),
        ((socket.EAI_AGAIN, socket.EAI_NODATA), socket.EAI_AGAIN),
        ((None, None), socket.EAI_NONAME),
    ],
)
async def test_no_address(errors: tuple[int | None, ...], expected: int) -> None:
    """The error is one of the resolver's, and a temporary error comes first."""
    six, four = errors
    resolver = ScriptedResolver(
        {("name", V6): Lookup(error=six), ("name", V4): Lookup(error=four)}
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    assert caught.value.errno == expected
    assert caught.value.attempt_count == 2


@pytest.mark.parametrize("family", [V6, V4])
async def test_no_address_of_the_family(family: int) -> None:
    resolver = ScriptedResolver({"name": Lookup()})
    with pytest.raises(aioconnect.ResolveError, match=r"IPv[46]") as caught:
        await aioconnect.connect("name", 80, resolver=resolver, family=family)
    assert caught.value.attempt_count == 1


@pytest.mark.parametrize("bad", [None, ["127.0.0.1"], [("127.0.0.1", 80)], 7])
async def test_resolver_that_gives_no_addresses(bad: object) -> None:
    """A resolver's bug is named, and comes through as itself."""

    async def resolver(host: str, port: int, **_: int) -> Any:
        return bad

    with pytest.raises(TypeError, match="resolver"):
        await aioconnect.connect("name", 80, resolver=resolver)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), UnicodeError("a bug")])
async def test_resolver_that_raises(error: Exception) -> None:
    resolver = ScriptedResolver({"name": Lookup(error=error)})
    with pytest.raises(type(error), match="a bug"):
        await aioconnect.connect("name", 80, resolver=resolver, retry=(0.01,) * 5)


async def test_resolver_that_gives_up() -> None:
    """A resolver whose own task was cancelled does not cancel the caller."""

    async def resolver(host: str, port: int, **_: int) -> Any:
        raise asyncio.CancelledError

    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    assert caught.value.errno == errno.ECANCELED


async def test_hook_that_raises() -> None:
    """A bug in prepare comes through when others of the race are under way."""

    def hook(sock: socket.socket, address: Address) -> None:
        if address.family == V4:
            raise ZeroDivisionError("a bug")

    with black_hole("::1") as hole, listening() as server:
        resolver = Answering(hole.address, server.address)
        options: Any = {"prepare": [hook], "happy_eyeballs_delay": 0.01}
        with pytest.raises(ZeroDivisionError):
            await aioconnect.connect("two", 1, resolver=resolver, **options)


async def test_numbers_ask_nobody() -> None:
    """An address in numbers, of any spelling, never reaches the resolver."""
    resolver = Answering()
    with refusing("::1") as refused:
        for host in ("::1", "::1%lo", "0:0::1"):
            with pytest.raises(aioconnect.ConnectRefusedError):
                await aioconnect.connect(host, refused.port, resolver=resolver)
        with pytest.raises(aioconnect.ResolveError):
            await aioconnect.connect("::1", 80, resolver=resolver, family=V4)
    assert not resolver.asked


async def test_guard_in_a_race() -> None:
    """A blocked address is an attempt that failed, and was never tried."""
    asked: list[tuple[str, int]] = []

    def allow(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        asked.append((str(ip), port))
        return ip.version == 4

    recorder = Recorder()
    with (
        listening("::1") as six,
        listening() as four,
        await aioconnect.connect(
            "two",
            1,
            resolver=Answering(six.address, four.address),
            allow=allow,
            observer=recorder,
        ) as sock,
    ):
        assert sock.getpeername() == four.sockaddr
    assert asked == [("::1", six.port), ("127.0.0.1", four.port)]
    assert recorder.only(aioconnect.AttemptFailed).attempt.phase == "guard"
    assert len(recorder.of(aioconnect.AttemptStarted)) == 1


async def test_asynchronous_guard() -> None:
    """A coroutine is true, whatever it would say: it lets nothing through."""

    async def never(ip: object, port: int) -> bool:
        raise AssertionError("nobody awaits it")

    with listening() as server, pytest.raises(TypeError, match="allow"):
        await aioconnect.connect(server.host, server.port, allow=never)  # type: ignore[arg-type]  # as said


async def test_guard_sees_no_scope_that_the_kernel_ignores() -> None:
    """An address is refused by its numbers, however they are written."""
    asked: list[str] = []

    def refuse(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        asked.append(str(ip))
        return False

    for host in ("::1%1", "fe80::1%1"):
        with pytest.raises(aioconnect.AddressBlockedError):
            await aioconnect.connect(host, 80, allow=refuse)
    assert asked == ["::1", "fe80::1%1"]


async def test_time_that_the_observer_takes() -> None:
    """What is under way at the deadline is in the error, however late it is seen."""

    def slow(event: aioconnect.Event) -> None:
        if isinstance(event, aioconnect.AttemptStarted):
            time.sleep(0.7)

    with black_hole("::1") as six, black_hole() as four:
        addresses = (six.address, four.address)
        options: Any = {"resolver": Answering(*addresses), "observer": slow}
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(
                "two", 1, happy_eyeballs_delay=0.01, timeout=1.2, **options
            )
    assert {one.address for one in caught.value.attempts} == set(addresses)


async def test_addresses_of_another_family() -> None:
    """What a resolver gives besides what was asked for is left out."""

    async def both(host: str, port: int, **_: int) -> list[Address]:
        return [Address(V6, ("::1", port)), Address(V4, ("127.0.0.1", port))]

    with on_one_port(listening, lambda port: listening("::1", port=port)) as (
        server,
        _,
    ):
        for family in (V4, V6):
            sock = await aioconnect.connect(
                "name", server.port, resolver=both, family=family
            )
            with sock:
                assert sock.family == family


async def test_one_family_keeps_its_order() -> None:
    """A resolver has put it in order, or means to have it so."""
    recorder = Recorder()
    hosts = ["127.0.0.9", "127.0.0.1", "127.0.0.5"]
    with refusing() as refused:
        addresses = [Address(V4, (host, refused.port)) for host in hosts]
        resolver = Answering(*addresses)
        with pytest.raises(aioconnect.ConnectRefusedError):
            await aioconnect.connect("three", 1, resolver=resolver, observer=recorder)
    tried = [event.address for event in recorder.of(aioconnect.AttemptStarted)]
    assert tried == addresses


async def test_errors_of_a_resolvers_own_kind() -> None:
    """They are the cause, as they are."""

    class DoHError(OSError):
        def __init__(self, url: str, status: int) -> None:
            super().__init__(errno.ECONNREFUSED, f"{url}: {status}")

    refused = DoHError("https://dns.invalid", 503)
    resolver = ScriptedResolver({"name": Lookup(error=refused)})
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    assert caught.value.errno == errno.ECONNREFUSED
    assert {one.error for one in caught.value.attempts} == {refused}


async def test_the_loop_runs_in_between() -> None:
    """While many addresses fail at once, other tasks run."""
    ticks = 0
    loop = asyncio.get_running_loop()

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        handle[0] = loop.call_soon(tick)

    handle = [loop.call_soon(tick)]
    with refusing() as refused:
        addresses = [Address(V4, (f"127.1.0.{n}", refused.port)) for n in range(1, 101)]
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect("many", 1, resolver=Answering(*addresses))
    handle[0].cancel()
    assert caught.value.attempt_count == 100
    assert ticks > 4


async def test_each_look_up_has_its_own_time() -> None:
    resolver = ScriptedResolver(
        {
            ("name", V6): Lookup(error=socket.EAI_NONAME),
            ("name", V4): Lookup(error=socket.EAI_NONAME, delay=1.0),
        }
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    six, four = caught.value.attempts
    assert six.elapsed < four.elapsed
    assert four.elapsed >= 0.99


async def test_time_for_the_local_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt's time begins with the attempt, not with a local name's look-up."""
    loop = asyncio.get_running_loop()

    async def slow(*_: object) -> tuple[Address, ...]:
        await asyncio.sleep(0.2)
        return (Address(V4, ("127.0.0.1", 0)),)

    monkeypatch.setattr("aioconnect._calls.connect.resolve_local", slow)
    options: Any = {"local_addr": ("name", 0), "attempt_timeout": 0.1}
    with black_hole() as hole:
        started = loop.time()
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(hole.host, hole.port, **options)
    (attempt,) = caught.value.attempts
    assert attempt.started - started > 0.15
    assert attempt.elapsed > 0.05


async def test_sockets_of_another_kind() -> None:
    """A datagram socket has a peer at once, even if nothing listens there."""

    async def datagrams(host: str, port: int, **_: int) -> list[Address]:
        return [Address(V4, ("127.0.0.1", port), 0, socket.SOCK_DGRAM)]

    with pytest.raises(TypeError, match="stream"):
        await aioconnect.connect("name", 80, resolver=datagrams)


async def test_one_address_in_two_spellings() -> None:
    """It is tried once."""
    with refusing("::1") as refused:
        spelt = [Address(V6, (host, refused.port)) for host in ("::1", "0:0::1")]
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect("name", 1, resolver=Answering(*spelt))
    assert caught.value.attempt_count == 1


async def test_no_host_has_a_name() -> None:
    """In the error and the events, None is what it means."""
    recorder = Recorder()
    with refusing() as refused, pytest.raises(OSError, match="this machine") as caught:
        await aioconnect.open_connection(None, refused.port, observer=recorder)
    assert "None" not in str(caught.value)
    assert {event.host for event in recorder.of(aioconnect.Resolved)} == {"localhost"}


async def test_everything_blocked() -> None:
    """Numbers, names, Unix sockets: what only_public refuses is never dialled."""
    public = aioconnect.Connector(allow=aioconnect.only_public, retry=(0, 0))
    with listening() as server, full_backlog() as full:
        resolver = Answering(server.address)
        named = aioconnect.Connector(allow=aioconnect.only_public, resolver=resolver)
        for call in (
            public.connect("127.0.0.1", server.port),
            public.connect("localhost", server.port),
            named.connect("name", server.port),
            public.open_connection("127.0.0.1", server.port),
            public.connect_unix(full.path),
            public.connect_address(server.address),
            public.connect_any([server.address, str(full.address)]),
            public.connect_any([server.address, str(full.address)], race=True),
            public.wait_until_up("127.0.0.1", server.port, timeout=30),
            public.wait_until_down("127.0.0.1", server.port, timeout=30),
            anext(public.reconnecting("127.0.0.1", server.port)),
            anext(public.reconnecting_unix(full.path)),
        ):
            with pytest.raises(aioconnect.AddressBlockedError) as caught:
                await call
            assert isinstance(caught.value, PermissionError)
            assert {one.phase for one in caught.value.attempts} == {"guard"}
            assert caught.value.rounds == 1, "tried again"
        with pytest.raises(TimeoutError):
            server.accept(timeout=0)


async def test_local_address_of_the_family() -> None:
    """A family without a local address is skipped, and the error says so."""
    with listening("::1") as six, listening() as four:
        recorder = Recorder()
        with await aioconnect.connect(
            "two",
            1,
            resolver=Answering(six.address, four.address),
            local_addr=("127.0.0.1", 0),
            observer=recorder,
        ) as sock:
            assert sock.getsockname()[0] == "127.0.0.1"
    failed = recorder.only(aioconnect.AttemptFailed).attempt
    assert failed.phase == "bind"
    assert "IPv6" in str(failed.error)


async def test_tls_of_the_winner() -> None:
    """The race is for the connect; what comes after is the winner's alone."""
    with tls_echoing() as server, black_hole("::1") as hole:
        _, writer = await aioconnect.open_connection(
            "localhost",
            1,
            resolver=Answering(hole.address, server.address),
            happy_eyeballs_delay=0.01,
            ssl=server.client_context,
        )
        assert writer.get_extra_info("peername") == server.sockaddr
        writer.transport.abort()


async def test_no_task_for_an_attempt() -> None:
    """The only tasks of a race are the look-ups."""
    seen: list[int] = []
    with black_hole("::1") as hole, refusing() as refused, listening() as server:
        addresses = (hole.address, refused.address, server.address)
        before = len(asyncio.all_tasks())
        with await aioconnect.connect(
            "three",
            1,
            resolver=Answering(*addresses),
            happy_eyeballs_delay=0.01,
            observer=lambda _: seen.append(len(asyncio.all_tasks())),
        ):
            pass
    assert max(seen) <= before + 2
    assert seen[-1] == before


async def test_the_seventh_address() -> None:
    """Six are live at most: for each further one the oldest is given up, and says so.

    Without a timeout, too: each of the silent ones costs its delay, however many.
    """
    recorder = Recorder()
    with ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(9)]
        server = stack.enter_context(listening())
        addresses = [hole.address for hole in holes]
        sock = await aioconnect.connect(
            "ten",
            1,
            resolver=Answering(*addresses, server.address),
            happy_eyeballs_delay=0.05,
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    started = recorder.of(aioconnect.AttemptStarted)
    assert [event.address for event in started] == [*addresses, server.address]
    failed = [event.attempt for event in recorder.of(aioconnect.AttemptFailed)]
    # The tenth connects at once, so no attempt has to make room for it.
    assert [attempt.address for attempt in failed] == addresses[:3]
    for attempt in failed:
        assert "no answer yet, given up for the next address" in str(attempt)
        assert isinstance(attempt.error, TimeoutError)
        assert aioconnect.is_transient(attempt.error)
    live = 0
    for event in recorder.events:
        live += isinstance(event, aioconnect.AttemptStarted)
        live -= isinstance(event, aioconnect.AttemptFailed)
        assert live <= 7  # the event comes before the oldest is given up
    # uvloop's clock counts milliseconds.
    delays = [two.at - one.at for one, two in itertools.pairwise(started)]
    assert min(delays) > 0.04


async def test_an_address_that_was_given_up_is_no_end_of_the_time() -> None:
    """Without a timeout no call is out of time, whatever attempts were given up."""
    with ExitStack() as servers:
        holes = [servers.enter_context(black_hole()) for _ in range(7)]

        def observe(event: aioconnect.Event) -> None:
            if isinstance(event, aioconnect.AttemptFailed):
                servers.close()  # from now on they refuse

        with pytest.raises(aioconnect.ConnectError) as caught:
            await aioconnect.connect(
                "seven",
                1,
                resolver=Answering(*(hole.address for hole in holes)),
                happy_eyeballs_delay=0.01,
                observer=observe,
            )
    assert "within" not in str(caught.value)
    oldest, *others = [one.error for one in caught.value.attempts]
    assert isinstance(oldest, TimeoutError)
    assert [type(error) for error in others] == [ConnectionRefusedError] * 6


async def test_the_last_six_keep_their_time() -> None:
    """Nobody waits for them: what ends them is the time of the call."""
    with ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(8)]
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(
                "eight",
                1,
                resolver=Answering(*(hole.address for hole in holes)),
                happy_eyeballs_delay=0.01,
                timeout=1,
            )
    elapsed = [attempt.elapsed for attempt in caught.value.attempts]
    assert len(elapsed) == 8
    texts = [str(attempt.error) for attempt in caught.value.attempts]
    assert ["given up" in text for text in texts] == [True] * 2 + [False] * 6
    assert caught.value.elapsed >= 0.99


async def test_an_address_that_was_given_up_is_tried_again() -> None:
    """A retry policy takes it for a timeout, whatever became of the others."""

    def forbid(sock: socket.socket, address: Address) -> None:
        if address != found[0] and len(recorder.of(aioconnect.AttemptStarted)) > 7:
            raise PermissionError(errno.EPERM, "not this one")

    recorder = Recorder()
    with ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(7)]
        found = [hole.address for hole in holes]
        with pytest.raises(aioconnect.ConnectError) as caught:
            await aioconnect.connect(
                "seven",
                1,
                resolver=Answering(*found),
                happy_eyeballs_delay=0.01,
                prepare=[forbid],
                # The first alone, which was given up, is a reason to go on.
                retry_on=lambda error: "given up" in str(error),
                retry=(0,),
                attempt_timeout=1,
                observer=recorder,
            )
    first = [one for one in caught.value.attempts if one.round == 1]
    assert caught.value.rounds == 2
    assert ["given up" in str(one) for one in first] == [True] + [False] * 6


async def test_the_oldest_has_just_connected() -> None:
    """It is not given up: it has won, even if no event has come yet."""
    recorder = Recorder()
    socks: list[socket.socket] = []
    with flaky(["hang", "accept"]) as server, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(6)]

        def hold_the_loop(event: aioconnect.Event) -> None:
            recorder(event)
            if len(recorder.of(aioconnect.AttemptStarted)) == 6:
                server.advance()
                _wait_for_the_peer_of(socks[0])

        server.advance()
        sock = await aioconnect.connect(
            "seven",
            1,
            resolver=Answering(server.address, *(hole.address for hole in holes)),
            happy_eyeballs_delay=0.01,
            prepare=[lambda sock, _: socks.append(sock)],
            observer=hold_the_loop,
            timeout=60,
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    # The seventh has started, and leaves nothing.
    assert len(recorder.of(aioconnect.AttemptStarted)) == 7
    recorder.assert_none(aioconnect.AttemptFailed)


@pytest.mark.parametrize("by", ["allow", "prepare"])
async def test_nobody_is_given_up_for_an_address_that_cannot_be_dialled(
    by: str,
) -> None:
    """The oldest may still win, however many such addresses are due."""
    recorder = Recorder()
    with flaky(["hang", "accept"]) as server, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(5)]
        bad = [Address(V4, (f"127.0.0.{n}", server.port)) for n in range(200, 220)]

        def answer_when_all_have_failed(event: aioconnect.Event) -> None:
            recorder(event)
            if len(recorder.of(aioconnect.AttemptFailed)) == len(bad):
                server.advance()

        def forbid(sock: socket.socket, address: Address) -> None:
            if address in bad:
                raise PermissionError(errno.EPERM, "not this one")

        how: dict[str, Any] = {
            "allow": lambda ip, _: int(ip) & 255 < 200,
            "prepare": [forbid],
        }
        server.advance()
        found = [server.address, *(hole.address for hole in holes), *bad]
        sock = await aioconnect.connect(
            "many",
            1,
            resolver=Answering(*found),
            happy_eyeballs_delay=0.01,
            observer=answer_when_all_have_failed,
            timeout=60,
            **{by: how[by]},
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    failed = [event.attempt for event in recorder.of(aioconnect.AttemptFailed)]
    assert [attempt.address for attempt in failed] == bad


def _wait_for_the_peer_of(sock: socket.socket) -> None:
    for _ in range(3000):
        try:
            sock.getpeername()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("it was never connected")


async def test_one_that_proves_itself_is_not_given_up() -> None:
    """Connected is connected, however many wait for their turn."""
    recorder = Recorder()

    async def ready(sock: socket.socket) -> None:
        await asyncio.sleep(0.2)

    with listening() as server, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(8)]
        found = [hole.address for hole in holes]
        sock = await aioconnect.connect(
            "nine",
            1,
            resolver=Answering(*found[:5], server.address, *found[5:]),
            happy_eyeballs_delay=0.01,
            ready=ready,
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    recorder.assert_none(aioconnect.AttemptFailed)


async def test_the_time_is_up_before_an_address_is_tried() -> None:
    """Looked up is not "nothing was tried": the error has what was known, and not."""
    resolver = ScriptedResolver(
        {("name", V6): Lookup(never=True), ("name", V4): Lookup(["127.0.0.1"])}
    )
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            "name", 1, resolver=resolver, resolution_delay=60, timeout=0.2
        )
    assert [attempt.phase for attempt in caught.value.attempts] == ["resolve"] * 2
    assert "the time was up before its addresses could be tried" in str(caught.value)
    assert "the resolver has not answered yet" in str(caught.value)
