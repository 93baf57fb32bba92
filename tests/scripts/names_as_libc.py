"""Connect to names as every libc client does: ``names_as_libc.py LOOP PART``.

The script runs in its own namespaces.  The names are in /etc/hosts, and on a DNS server
of its own.  Each part has its table of names.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from _loops import run
from _own_dns import own_dns

import aioconnect
from aioconnect import AttemptStarted, Resolved, ResolveFailed, ResolveStarted
from aioconnect._io.getaddrinfo import is_crowded
from aioconnect._io.getaddrinfo_pool import THREAD_NAMES
from aioconnect.testing import (
    DNSReply,
    DNSServer,
    Recorder,
    Zone,
    black_hole,
    listening,
)

# What getpeername returns.
Peer: TypeAlias = tuple[Any, ...]

UNSPEC, SIX, FOUR = socket.AF_UNSPEC, socket.AF_INET6, socket.AF_INET

# On PORT every machine listens, on LAST_PORT only the last one does.
PORT, LAST_PORT = 7000, 7001
MINE4, MINE6, OTHER4, OTHER6 = "127.0.0.4", "fd00::6", "127.0.0.44", "fd00::66"
LAST = "127.0.1.13"
REFUSING4 = [f"127.0.1.{number}" for number in range(1, 13)]
REFUSING6 = [f"fd00::1:{number}" for number in range(1, 13)]

# In seconds.  A machine may stall for a while, but not for as long as PATIENCE.  That
# is less than glibc's own longest patience ("silently capped to 30", resolv.conf(5)).
PATIENCE = 20
GLIBC_PATIENCE = 30
NEVER_LATE = GLIBC_PATIENCE
TOO_LATE = 25

SILENT = DNSReply(drop=True)
SERVFAIL, REFUSED = DNSReply(rcode="SERVFAIL"), DNSReply(rcode="REFUSED")
NXDOMAIN = DNSReply(rcode="NXDOMAIN")

Answer: TypeAlias = DNSReply | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A *name* to connect to, with its addresses in *hosts* and in the DNS *zone*.

    *others* are addresses that other sources have.  If the answers *differ*, glibc has
    another address when asked for one family than when asked for both.
    """

    name: str
    zone: Zone
    hosts: Sequence[str] = ()
    others: Sequence[str] = ()
    port: int = PORT
    differ: bool = False

    def addresses(self) -> Iterator[object]:
        """Yield each address that some source has."""
        yield from self.hosts
        yield from self.others
        for answer in self.zone.values():
            yield from answer.records if isinstance(answer, DNSReply) else answer


def dns(
    name: str, a: Answer | None = None, aaaa: Answer | None = None, **more: Any
) -> Case:
    """Return the case of a *name* whose addresses DNS has under this very name."""
    answers = (("A", a), ("AAAA", aaaa))
    zone: Zone = {(name, kind): each for kind, each in answers if each is not None}
    return Case(name=name, zone=zone, **more)


# By the lines in resolv.conf.
SAME_MACHINE: Mapping[str, Sequence[Case]] = {
    f"options timeout:{GLIBC_PATIENCE} attempts:1": (
        # /etc/hosts has one family, DNS has the other, or both, or is dead.
        dns("hosts4.test", aaaa=[OTHER6], hosts=[MINE4], differ=True),
        dns("hosts6.test", a=[OTHER4], hosts=[MINE6], differ=True),
        dns("hosts4-first.test", [OTHER4], [OTHER6], hosts=[MINE4], differ=True),
        dns("hosts6-first.test", [OTHER4], [OTHER6], hosts=[MINE6], differ=True),
        dns("hosts-alone.test", SILENT, SILENT, hosts=[MINE4, MINE6]),
        dns("HOSTS-Upper.test", aaaa=[OTHER6], hosts=[MINE4], differ=True),
        # DNS as it should be.
        dns("both.test", [MINE4], [MINE6]),
        dns("ipv4.test", a=[MINE4]),
        dns("ipv6.test", aaaa=[MINE6]),
        dns("DNS-Upper.Test", [MINE4], [MINE6]),
        # DNS that is slow for one family, and answers by TCP.
        dns("slow-a.test", DNSReply([MINE4], delay=1), [MINE6]),
        dns("slow-aaaa.test", [MINE4], DNSReply([MINE6], delay=1)),
        dns(
            "tcp.test",
            DNSReply([MINE4], truncate=True),
            DNSReply([MINE6], truncate=True),
        ),
        dns("tcp-a.test", DNSReply([MINE4], truncate=True), [MINE6]),
        dns("tcp-aaaa.test", [MINE4], DNSReply([MINE6], truncate=True)),
        # DNS that fails for one family.
        dns("no-a1.test", SERVFAIL, [MINE6]),
        dns("no-a2.test", REFUSED, [MINE6]),
        dns("no-a3.test", NXDOMAIN, [MINE6]),
        dns("no-aaaa1.test", [MINE4], SERVFAIL),
        dns("no-aaaa2.test", [MINE4], REFUSED),
        dns("no-aaaa3.test", [MINE4], NXDOMAIN),
        # Many addresses, of which the last one works.
        dns("twice.test", [*REFUSING4[:1] * 3, LAST], [MINE6] * 3, port=LAST_PORT),
        dns("many.test", [*REFUSING4, LAST], REFUSING6, port=LAST_PORT),
        dns("joins.test", DNSReply([LAST], delay=0.3), [MINE6], port=LAST_PORT),
    ),
    # A name without a dot is searched for, one with a dot is first taken as it is.
    "search one.test two.test": (
        Case(
            name="ipv4-in-one",
            zone={
                ("ipv4-in-one.one.test", "A"): [MINE4],
                ("ipv4-in-one.two.test", "AAAA"): [OTHER6],
            },
            differ=True,
        ),
        Case(
            name="ipv6-in-one",
            zone={
                ("ipv6-in-one.one.test", "AAAA"): [MINE6],
                ("ipv6-in-one.two.test", "A"): [OTHER4],
            },
            differ=True,
        ),
        Case(
            name="fails-in-one",
            zone={
                ("fails-in-one.one.test", "A"): [MINE4],
                ("fails-in-one.one.test", "AAAA"): SERVFAIL,
                ("fails-in-one.two.test", "AAAA"): [OTHER6],
            },
            differ=True,
        ),
        Case(
            name="has.dot",
            zone={
                ("has.dot", "A"): [MINE4],
                ("has.dot.two.test", "AAAA"): [OTHER6],
            },
            differ=True,
        ),
        Case(
            name="absolute.dot.",
            zone={
                ("absolute.dot", "A"): [MINE4],
                ("absolute.dot.two.test", "AAAA"): [OTHER6],
            },
        ),
    ),
    # Here one with a dot is searched for, too.
    "search one.test two.test\noptions ndots:2": (
        Case(
            name="one.dot",
            zone={
                ("one.dot", "A"): [OTHER4],
                ("one.dot.two.test", "AAAA"): [MINE6],
            },
            differ=True,
        ),
        Case(
            name="with.two.dots",
            zone={
                ("with.two.dots", "AAAA"): [MINE6],
                ("with.two.dots.one.test", "A"): [OTHER4],
            },
            differ=True,
        ),
    ),
    # Here glibc takes two or three seconds.  For want of an A it then gives up.
    "options timeout:1 attempts:1": (
        dns("silent-a.test", SILENT, [MINE6]),
        dns("silent-aaaa.test", [MINE4], SILENT),
    ),
}

# glibc waits for both families, longer than anybody may wait for the connection.
LATE = (
    dns("silent-a.test", SILENT, [MINE6]),
    dns("silent-aaaa.test", [MINE4], SILENT),
    dns("late-a.test", DNSReply([MINE4], delay=TOO_LATE), [MINE6]),
    dns("late-aaaa.test", [MINE4], DNSReply([MINE6], delay=TOO_LATE)),
    dns("silent-aaaa-tcp.test", DNSReply([MINE4], truncate=True), SILENT),
    dns("silent-aaaa-twice.test", [REFUSING4[0], LAST] * 2, SILENT, port=LAST_PORT),
)

HANGING = "fd00::bad"
REPLACED = Case(
    name="replaced",
    zone={
        ("replaced.one.test", "A"): DNSReply([MINE4], delay=0.4),
        ("replaced.two.test", "AAAA"): [HANGING, OTHER6],
    },
)

# With one thread for each, and two more while half of the 1,024 are free, they take
# more than that half.
DEAD = [dns(f"dead{number}.test", SILENT, SILENT) for number in range(300)]
FIRST_DEAD, SECOND_DEAD = (dns(f"{n}-dead.test", SILENT, SILENT) for n in (1, 2))
ALIVE = (
    dns("alive.test", [MINE4], [MINE6]),
    dns("in-hosts.test", SILENT, SILENT, hosts=[MINE4]),
    dns("slow-aaaa.test", [MINE4], DNSReply([MINE6], delay=0.5)),
)

# The lines of gai.conf(5) that prefer IPv4.
PREFERENCE = """\
precedence ::1/128 50
precedence ::/0 40
precedence ::ffff:0:0/96 100
"""
PREFERRED = (
    dns("both.test", [MINE4], [MINE6]),
    dns("hosts-both.test", hosts=[MINE6, MINE4]),
)

# nss-myhostname gives these for the machine's own name, with the interface only when it
# is asked for both families.
LINK_LOCAL = "fe80::5"
OWN_NAME = Case(
    name=socket.gethostname(),
    zone={},
    others=[LINK_LOCAL, "127.0.0.2", "::1"],
    differ=True,
)


def configure(text: str) -> None:
    """Have the system's resolver ask the script's server in the way of *text*."""
    Path("/etc/resolv.conf").write_text(f"nameserver 127.0.0.1\n{text}\n")


async def check_same_machine(server: DNSServer) -> None:
    for text, cases in SAME_MACHINE.items():
        configure(text)
        await compare(cases)
    asked = {(query.name, query.transport) for query in server.queries}
    assert ("tcp.test", "tcp") in asked
    assert "hosts-alone.test" not in {name for name, _ in asked}


async def compare(cases: Sequence[Case]) -> None:
    """Check that `aioconnect` connects to the machines that asyncio connects to."""
    theirs, in_time, by_default, _ = await asyncio.gather(
        # On asyncio's own loop, whichever this one is.
        asyncio.to_thread(asyncio.run, their_ends(cases)),
        asyncio.gather(*(connect(case, NEVER_LATE) for case in cases)),
        asyncio.gather(*map(connect, cases)),
        asyncio.gather(*map(check_answers, cases)),
    )
    for case, their, ours in zip(cases, theirs, in_time, strict=True):
        check_in_time(case, their, *ours)
    for case, their, (our, recorder) in zip(cases, theirs, by_default, strict=True):
        if families_asked(recorder) == [UNSPEC]:
            check_in_time(case, their, our, recorder)
        else:  # the answer for both families was late, or an error that may pass
            assert our[0] in case.addresses(), (case.name, our)


def check_in_time(
    case: Case, their: Peer | socket.gaierror, our: Peer, recorder: Recorder
) -> None:
    """Compare *our* end with *their* end, after an answer that was in time."""
    said = case.name, their, our, recorder.events
    tried = [event.address for event in recorder.of(AttemptStarted)]
    assert len(tried) == len(set(tried)), said
    if isinstance(their, socket.gaierror):
        # One family's answer may be missing.  The other has an address.
        assert their.errno == socket.EAI_AGAIN, said
        assert our[0] in case.addresses(), said
        return
    assert our == their, said
    assert families_asked(recorder) == [UNSPEC], said


async def their_ends(cases: Sequence[Case]) -> Sequence[Peer | socket.gaierror]:
    """Return what asyncio connects to, or why it does not."""
    return await asyncio.gather(*map(their_end, cases))


async def their_end(case: Case) -> Peer | socket.gaierror:
    try:
        _, writer = await asyncio.open_connection(case.name, case.port)
    except socket.gaierror as exc:
        return exc.with_traceback(None)
    peer: Peer = writer.get_extra_info("peername")
    writer.close()
    await writer.wait_closed()
    return peer


async def connect(
    case: Case, resolution_delay: float = 0.05, **options: Any
) -> tuple[Peer, Recorder]:
    """Return what `aioconnect` connects to, and its events."""
    recorder = Recorder()
    with await aioconnect.connect(
        case.name,
        case.port,
        resolution_delay=resolution_delay,
        timeout=PATIENCE,
        observer=recorder,
        **options,
    ) as sock:
        peer: Peer = sock.getpeername()
    return peer, recorder


async def check_answers(case: Case) -> None:
    """Check that glibc has another address for one family, if the case says so.

    Otherwise the case would pass whatever is asked.
    """
    if case.differ:
        answers = [asyncio.to_thread(answer, case, one) for one in (UNSPEC, SIX, FOUR)]
        both, *apart = await asyncio.gather(*answers)
        assert not set().union(*apart) <= both, (case.name, both, apart)


def answer(case: Case, family: int) -> set[Peer]:
    """Return glibc's addresses of *family*."""
    try:
        found = socket.getaddrinfo(case.name, case.port, family, socket.SOCK_STREAM)
    except socket.gaierror:
        return set()
    return {sockaddr for *_, sockaddr in found}


def families_asked(recorder: Recorder) -> list[int]:
    return [event.family for event in recorder.of(ResolveStarted)]


def families_answered(recorder: Recorder) -> list[int]:
    """Return the families of which there was an answer, if only an error."""
    found = [event.family for event in recorder.of(Resolved)]
    return found + [event.family for event in recorder.of(ResolveFailed)]


async def check_late(server: DNSServer) -> None:
    """Check that a late answer is not waited for, and that it counts when it comes."""
    configure(f"options timeout:{GLIBC_PATIENCE} attempts:1")
    ends = await asyncio.gather(*map(connect, LATE))
    for case, (peer, recorder) in zip(LATE, ends, strict=True):
        said = case.name, peer, recorder.events
        assert peer[0] in case.addresses(), said
        assert families_asked(recorder) == [UNSPEC, SIX, FOUR], said
        assert UNSPEC not in families_answered(recorder), said
    configure("search one.test two.test")
    await check_replaced()


async def check_replaced() -> None:
    """Let the late answer lack an address that is next.  It is not tried any more.

    The first one, which hangs, has begun.
    """
    with black_hole(HANGING) as hole, ExitStack() as stack:
        for host in MINE4, OTHER6:
            stack.enter_context(listening(host, port=hole.port))
        case = Case(name=REPLACED.name, zone={}, port=hole.port)
        peer, recorder = await connect(case, happy_eyeballs_delay=1.0, interleave=2)
    first, *later = recorder.of(AttemptStarted)
    answered = [event.at for event in recorder.of(Resolved) if event.family == UNSPEC]
    # A machine that stalls may start the next attempt before the answer comes.
    if later and answered and answered[0] < later[0].at:
        assert first.address.sockaddr[0] == HANGING, recorder.events
        assert [event.address.sockaddr[0] for event in later] == [MINE4]
        assert peer[0] == MINE4, recorder.events


async def check_dead(server: DNSServer) -> None:
    configure(f"options timeout:{GLIBC_PATIENCE} attempts:1")
    await check_threads(server)
    # A packet may be lost when so many are sent.
    configure("options timeout:5 attempts:3")
    await check_crowd()


async def check_threads(server: DNSServer) -> None:
    """Let two dead names take one thread until the delay is over, and then three."""

    def asked(case: Case) -> int:
        return [query.name for query in server.queries].count(case.name)

    one = asyncio.create_task(connect(FIRST_DEAD, NEVER_LATE))
    await until(lambda: asked(FIRST_DEAD) == 2)
    assert resolver_threads() == 1
    three = asyncio.create_task(connect(SECOND_DEAD))
    await until(lambda: asked(SECOND_DEAD) == 4)
    assert resolver_threads() == 1 + 3
    await cancel([one, three])


async def check_crowd() -> None:
    """Connect to other names while 300 dead ones are looked up.

    So many threads hang that no further name is asked for one family.
    """
    dead = [asyncio.create_task(connect(case)) for case in DEAD]
    await until(is_crowded)
    for case in ALIVE:
        peer, recorder = await connect(case)
        assert peer[0] in case.addresses(), (case.name, peer)
        assert families_asked(recorder) == [UNSPEC], (case.name, recorder.events)
    assert is_crowded()
    await cancel(dead)


def resolver_threads() -> int:
    names = [thread.name for thread in threading.enumerate()]
    return len([name for name in names if name.startswith(THREAD_NAMES)])


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.01)


async def cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel *tasks*, none of which has ended yet."""
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def check_order(server: DNSServer) -> None:
    """Connect to the address that the system's configuration prefers."""
    for case in PREFERRED:
        assert await their_end(case) == (MINE4, PORT)
    await compare(PREFERRED)


async def check_scope(server: DNSServer) -> None:
    """Connect to a link-local address, which needs the number of its interface."""
    Path("/etc/nsswitch.conf").write_text("hosts: files myhostname dns\n")
    their = await their_end(OWN_NAME)
    assert isinstance(their, tuple), their
    assert their[0] == LINK_LOCAL, their
    assert their[3] == socket.if_nametoindex("a0"), their
    await compare([OWN_NAME])


PARTS: Mapping[
    str,
    tuple[Callable[[DNSServer], Coroutine[Any, Any, None]], Sequence[Case]],
] = {
    "same": (check_same_machine, [c for cases in SAME_MACHINE.values() for c in cases]),
    "late": (check_late, [*LATE, REPLACED]),
    "dead": (check_dead, [FIRST_DEAD, SECOND_DEAD, *DEAD, *ALIVE]),
    "order": (check_order, PREFERRED),
    "scope": (check_scope, [OWN_NAME]),
}


def add_addresses(part: str) -> None:
    """Give the machine its addresses, but for 127.0.0.0/8, which it has."""
    hosts = [] if part == "scope" else [MINE6, OTHER6, HANGING, *REFUSING6]
    commands = [f"addr add {host}/128 dev lo nodad" for host in hosts]
    if part == "scope":
        commands += [
            "link add a0 type veth peer name a1",
            *(f"link set {end} addrgenmode none" for end in ("a0", "a1")),
            *(f"link set {end} up" for end in ("a0", "a1")),
            f"addr add {LINK_LOCAL}/64 dev a0 nodad",
        ]
    batch = "\n".join(commands)
    subprocess.run(["ip", "-6", "-batch", "-"], input=batch, text=True, check=True)


def prefer_ipv4() -> None:
    """Configure glibc, which reads the file when it is asked for the first time."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(PREFERENCE)
        file.flush()
        # The mount keeps the file.
        subprocess.run(["mount", "--bind", file.name, "/etc/gai.conf"], check=True)


def main(part: str) -> None:
    check, cases = PARTS[part]
    zone = {key: reply for case in cases for key, reply in case.zone.items()}
    with own_dns(zone, GLIBC_PATIENCE) as server, ExitStack() as stack:
        add_addresses(part)
        if part == "order":
            prefer_ipv4()
        with Path("/etc/hosts").open("a") as file:
            for case in cases:
                file.writelines(f"{host} {case.name}\n" for host in case.hosts)
        for host, port in (("0.0.0.0", PORT), ("::", PORT), (LAST, LAST_PORT)):
            # Nobody accepts the connections.
            stack.enter_context(listening(host, port=port, backlog=1024))
        run(check(server))


if __name__ == "__main__":
    main(sys.argv[2])
