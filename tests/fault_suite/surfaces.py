"""List every parser, the inputs to throw at it, and what its results must satisfy.

To add a parser, add a line to `SURFACES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import pickle
import re
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import islice
from random import Random
from typing import Any, TypeAlias

from fault_suite.odd_values import (
    CLOSED,
    Draw,
    anything,
    argv,
    choice,
    host,
    literal,
    local_addr,
    one_of,
    path,
    port,
    proxy,
    seconds,
    several,
    sockaddr,
    target,
    text,
    whole,
)

import aioconnect
from aioconnect import (
    Address,
    Backoff,
    Connector,
    Target,
    checks,
    outcome,
    parse_target,
    sockopts,
)
from aioconnect._calls.arguments import endpoint_from_host
from aioconnect._cli.command_line import parse
from aioconnect._cli.connector_flags import connector_from
from aioconnect._cli.errors import CommandError
from aioconnect._cli.probe.connect_once import connect_once_from
from aioconnect._cli.sweep.line_reader import strip_comment
from aioconnect._io.resolver import check_port
from aioconnect._io.service_targets import ServiceTarget, parse_service
from aioconnect._io.targets import check_targets
from aioconnect._io.tls import TLSOptions
from aioconnect._loops.subclass import convert_loop
from aioconnect._sansio.addresses import unix_address
from aioconnect._sansio.endpoints import Endpoint
from aioconnect._sansio.hosts import check_host, numeric_address
from aioconnect._sansio.service_url import ServiceURL
from aioconnect._services import with_check
from aioconnect.contrib.anyio import Connectable
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.contrib.proxy import connect as connect_through
from aioconnect.testing import DNSReply, Lookup, StaticResolver
from aioconnect.testing._dns import _checked_entry as check_entry
from aioconnect.testing._flaky import _check_script as check_script

__all__ = ["SURFACES", "Drawn", "Surface"]

Drawn: TypeAlias = dict[str, Any]
Start: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Surface:
    """A parser of the arguments that *draw* draws.

    An error has to name one of the arguments, or one of *also*. *check* gets the result
    of accepted arguments.
    """

    call: Callable[..., Any]
    draw: Callable[[Random], Drawn]
    also: tuple[str, ...] = ()
    check: Callable[[Any, Drawn], object] | None = None


def each(**draws: Draw) -> Callable[[Random], Drawn]:
    """Return a function that draws all arguments."""
    return lambda rng: {name: draw(rng) for name, draw in draws.items()}


def some(most: int, **draws: Draw) -> Callable[[Random], Drawn]:
    """Return a function that draws a few of the arguments, at least one."""

    def draw(rng: Random) -> Drawn:
        names = rng.sample(sorted(draws), rng.randint(1, min(most, len(draws))))
        return {name: draws[name](rng) for name in names}

    return draw


def is_hashable(value: object) -> bool:
    try:
        hash(value)
    except (TypeError, RecursionError):
        return False
    return True


def travels(value: object) -> bool:
    """Tell whether *value* survives pickling unchanged."""
    try:
        return bool(pickle.loads(pickle.dumps(value)) == value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return False


def a_value(made: Any, given: Drawn) -> None:
    """Check that it is hashable and picklable if and only if its fields are."""
    fields = tuple(getattr(made, name) for name in made.__dataclass_fields__)
    assert is_hashable(made) == is_hashable(fields)
    assert travels(made) == travels(fields)


def packed(literal: str) -> bytes | None:
    """Return the bytes of an IPv4 or IPv6 address, or None if it is not one."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            return socket.inet_pton(family, literal)
    return None


def an_address(made: Address, given: Drawn) -> None:
    """Check that it fits on a line, and is what inet_pton says."""
    a_value(made, given)
    assert str(made)
    assert str(made).isprintable(), ascii(str(made))
    if made.family in (socket.AF_INET, socket.AF_INET6):
        literal, number = str(made.sockaddr[0]), made.sockaddr[1]
        assert len(packed(literal) or b"") == (
            4 if made.family == socket.AF_INET else 16
        )
        a_port(number, given)


def a_host(made: object, given: Drawn) -> None:
    """Check that C and the DNS can hold it, so that a resolver can be asked."""
    assert isinstance(made, str)
    assert made.encode("idna")
    assert not re.search(r"[\0\s]", made)


def a_port(made: object, given: Drawn) -> None:
    """Check that it is a plain int that the kernel accepts."""
    assert type(made) is int
    assert 0 <= made <= 65535


def in_numbers(made: Address | None, given: Drawn) -> None:
    """Check that numeric addresses are exactly what inet_pton accepts."""
    literal, percent, scope = given["host"].partition("%")
    if made is None:
        assert percent or packed(literal) is None
        return
    assert packed(str(made.sockaddr[0])) == packed(literal)
    assert made.sockaddr[3:] in ((), (int(scope or 0),))
    an_address(made, given)


def a_place(made: Endpoint, given: Drawn) -> None:
    """Check that it has all that a connect needs to start."""
    said, number, address, *_ = made
    a_port(number, given)
    if address is None:
        a_host(said, given)
    else:
        assert packed(str(address.sockaddr[0])) == packed(str(said).partition("%")[0])


def a_text(made: Target, given: Drawn) -> None:
    """Check that it is a value, and that its text gives the same value again."""
    a_value(made, given)
    assert str(made).isprintable()
    assert parse_target(str(made)) == made


def a_service(made: ServiceTarget, given: Drawn) -> None:
    """Check that it is a target, or has all that its check and its connect need."""
    if not isinstance(made, ServiceURL):
        a_text(made, given)
        return
    assert str(made).isprintable()
    assert "secret" not in str(made)
    a_host(made.host, given)
    if made.port is not None:
        a_port(made.port, given)
        with_check(Connector(), made)


def all_targets(made: tuple[Target, ...], given: Drawn) -> None:
    """Check that there is at least one."""
    assert made
    for one in made:
        assert isinstance(one, Target)
        assert str(one)


def a_proxy_connector(made: ProxyConnector, given: Drawn) -> None:
    """Check that it is a value, and shows everything except the secrets."""
    a_value(made, given)
    assert repr(made).count("***@") <= str(made.proxy).count("@")


def a_backoff(made: Backoff, given: Drawn) -> None:
    """Check that its delays stay within its bounds, even after many."""
    a_value(made, given)
    assert all(0 <= delay <= made.maximum for delay in islice(made, 80))


def handshake(**arguments: Any) -> TLSOptions:
    return TLSOptions(**arguments).checked()


def a_handshake(made: TLSOptions, given: Drawn) -> None:
    """Check that the ssl module accepts the name; else a connected socket is lost."""
    name = made.server_hostname or None  # as the loops pass it
    if name is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)


def a_connectable(made: Connectable, given: Drawn) -> None:
    """Check that its handshake could begin; else a connected socket is lost."""
    a_value(made, given)
    if made.ssl_context is not None:  # otherwise the system's certificates are read
        handshake = made._handshake()
        assert handshake is not None
        ends = ssl.MemoryBIO(), ssl.MemoryBIO()
        handshake.context.wrap_bio(*ends, server_hostname=handshake.hostname)


def settable(made: sockopts.SocketOptions, given: Drawn) -> None:
    """Check that the kernel can be asked for it, whatever it answers."""
    a_value(made, given)
    with contextlib.suppress(OSError), socket.socket() as sock:
        made(sock, Address(socket.AF_INET, ("127.0.0.1", 1)))


def until_a_loop(start: Start, **arguments: Any) -> None:
    """Run a function until it asks for a loop, which comes after all its checks."""
    with contextlib.closing(start(**arguments)) as call:
        try:
            call.send(None)
        except RuntimeError as exc:
            if str(exc) != "no running event loop":
                raise
        else:
            raise AssertionError("it found something to wait for, without a loop")


def command_line(argv: list[str]) -> object:
    """Parse the command line; an error has to be one printable line."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            arguments = parse(argv)
        if "tls" in arguments:
            return connect_once_from(arguments)
        return connector_from(arguments, getattr(arguments, "targets", ()))
    except SystemExit as exc:
        assert exc.code == 0  # --help or --version
    except CommandError as exc:
        assert exc.status == 2
        assert str(exc).isprintable()
        raise ValueError(f"argv: {exc}") from None
    return None


def line_of_a_list(raw: bytes) -> Target | None:
    """Parse a line as ``aioconnect sweep`` does."""
    try:
        text = strip_comment(raw, 7)
    except ValueError as exc:
        raise ValueError(f"list: {exc}") from None
    return parse_target(text) if text else None


def raw_line(rng: Random) -> bytes:
    """Draw a line with a target and what may surround it, perhaps undecodable."""
    said = rng.choice(("{}", " {}\r", "{} # {}", "#{}", "\t{}#", "{} {}"))
    raw = said.replace("{}", text(rng)).encode("utf-8", "surrogatepass")
    return raw + rng.choice((b"", b"", b"\xff", b"\0"))


def a_target_at_most(made: Target | None, given: Drawn) -> None:
    """Check that the result is a target, if there is one."""
    if made is not None:
        a_text(made, given)


def reply(rng: Random) -> Any:
    """Draw the entry for a name in a zone of `dns_server`."""
    record = one_of(host, several(one_of(whole, host), 5), anything)
    records = one_of(several(record), anything)(rng)
    return records if rng.random() < 0.4 else DNSReply(records, delay=seconds(rng))


def socket_address(rng: Random) -> Drawn:
    """Draw the arguments of an `Address`."""
    may = some(1, proto=whole, type=choice(*socket.SocketKind))
    needs = each(family=choice(*FAMILIES), sockaddr=sockaddr)
    return needs(rng) | (may(rng) if rng.random() < 0.2 else {})


FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_VSOCK)
WORDS = choice("accept", "accept_close", "accept_silent", "hang", "refuse", "reset")

OPTIONS: dict[str, Draw] = {
    "timeout": seconds,
    "attempt_timeout": seconds,
    "retry": one_of(several(seconds), choice(Backoff(), Backoff(attempts=0))),
    "retry_on": choice(aioconnect.is_refused, print),
    "happy_eyeballs_delay": seconds,
    "interleave": whole,
    "family": choice(socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6),
    "proto": whole,
    "flags": whole,
    "local_addr": local_addr,
    "prepare": one_of(several(choice(sockopts.nodelay(), print)), anything),
    "outcome": choice(outcome.so_error, outcome.default),
    "observer": choice(None, print),
    "ready": one_of(choice(None, print), anything),
}

TLS: dict[str, Draw] = {
    "ssl": choice(None, False, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
    "server_hostname": one_of(host, choice(None)),
    "ssl_handshake_timeout": seconds,
    "ssl_shutdown_timeout": seconds,
}

ADDRESS = choice(Address(socket.AF_INET, ("127.0.0.1", 1)))
SOCK = choice(None, CLOSED)
PROTOCOL = choice(asyncio.Protocol)


def entry(start: Start, *needs: str, **more: Draw) -> Surface:
    """Return a function of the package, with what it *needs* and some options."""
    known = {"host": host, "port": port, "path": path, "address": ADDRESS} | more
    always = each(**{name: known[name] for name in needs})
    options = {name: more[name] for name in more if name not in needs}
    may = some(2, **options) if options else each()

    def draw(rng: Random) -> Drawn:
        return always(rng) | (may(rng) if rng.random() < 0.7 else {})

    # asyncio too says this about arguments that exclude each other.
    also = ("host", "port", "path", "sock", "ssl", "Socket", "target", "targets")
    return Surface(partial(until_a_loop, start), draw, also)


# An error about a target names its host, port or path.
WRONG_TARGET = ("host", "port", "path", "service")


def pair(rng: Random) -> Any:
    """Draw a host and a port as one target."""
    return host(rng), port(rng)


# A factory's loop that does nothing: only its checks are needed.
_Loop: Any = asyncio.AbstractEventLoop
LOOP = _Loop()
convert_loop(LOOP, Connector())
OF_ASYNCIO = (
    "protocol_factory",
    "family",
    "proto",
    "flags",
    "sock",
    "local_addr",
    *TLS,
)

STREAMS = OPTIONS | TLS | {"sock": SOCK, "limit": whole}
TRANSPORT = OPTIONS | TLS | {"sock": SOCK, "protocol_factory": PROTOCOL}

SURFACES: dict[str, Surface] = {
    "host": Surface(check_host, each(host=host), (), a_host),
    "port": Surface(check_port, each(port=port), (), a_port),
    "numeric": Surface(
        partial(numeric_address, port=80), each(host=text), check=in_numbers
    ),
    "endpoint": Surface(
        partial(endpoint_from_host, Connector()),
        each(host=host, port=port),
        check=a_place,
    ),
    "target": Surface(parse_target, each(text=target), ("target",), a_text),
    "service": Surface(parse_service, each(text=target), ("target",), a_service),
    "checks.http": Surface(
        checks.http,
        some(
            3,
            path=one_of(text, choice("/", "/a?b=%41", "/a b", "/a\n"), anything),
            host=one_of(host, choice("x:1", "[::1]:80", "a\r\nb"), anything),
            status=one_of(choice(range(200, 300), range(0), range(9**9)), anything),
        ),
        check=a_value,
    ),
    "checks.tls": Surface(
        partial(checks.tls, ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
        each(check=choice(None, checks.redis, print), host=host),
        ("host", "ssl"),
    ),
    "line of a list": Surface(
        line_of_a_list, each(raw=raw_line), ("target", "list"), a_target_at_most
    ),
    "targets": Surface(
        check_targets,
        each(targets=one_of(several(one_of(target, pair, anything)), anything)),
        ("target", *WRONG_TARGET),
        all_targets,
    ),
    "address": Surface(Address, socket_address, ("port", "path"), an_address),
    "unix": Surface(unix_address, each(path=path), check=an_address),
    "option": Surface(Connector, some(1, **OPTIONS), check=a_value),
    "options": Surface(Connector, some(6, **OPTIONS), check=a_value),
    "tls": Surface(handshake, some(4, **TLS), ("ssl",), a_handshake),
    "backoff": Surface(
        Backoff,
        some(
            5,
            initial=seconds,
            factor=seconds,
            maximum=seconds,
            jitter=one_of(seconds, lambda rng: rng.random()),
            attempts=whole,
        ),
        check=a_backoff,
    ),
    "keepalive": Surface(
        sockopts.keepalive,
        each(idle=seconds, interval=seconds, count=whole),
        check=settable,
    ),
    "user_timeout": Surface(sockopts.user_timeout, each(seconds=seconds), (), settable),
    "bind_device": Surface(sockopts.bind_device, each(name=host), check=settable),
    "mark": Surface(sockopts.mark, each(n=whole), check=settable),
    "tos": Surface(sockopts.tos, each(value=whole), check=settable),
    "buffers": Surface(
        sockopts.buffers, each(send=whole, receive=whole), check=settable
    ),
    "connect": entry(aioconnect.connect, "host", "port", **OPTIONS),
    "connect_unix": entry(aioconnect.connect_unix, "path", kind=whole, **OPTIONS),
    "connect_address": entry(
        aioconnect.connect_address, "address", timeout=seconds, local_addr=local_addr
    ),
    "connect_sock": entry(
        aioconnect.connect_sock, "sock", "sockaddr", sock=SOCK, sockaddr=sockaddr
    ),
    "open_connection": entry(aioconnect.open_connection, "host", "port", **STREAMS),
    "open_unix_connection": entry(aioconnect.open_unix_connection, "path", **STREAMS),
    "create_connection": entry(
        aioconnect.create_connection, "protocol_factory", "host", "port", **TRANSPORT
    ),
    "create_unix_connection": entry(
        aioconnect.create_unix_connection, "protocol_factory", "path", **TRANSPORT
    ),
    "connect_any": entry(
        aioconnect.connect_any,
        "targets",
        targets=several(one_of(target, pair)),
        race=choice(True, False),
        **OPTIONS,
    ),
    "proxy": Surface(ProxyConnector, each(proxy=proxy), ("host",), a_proxy_connector),
    "connect through a proxy": entry(
        connect_through, "host", "port", "proxy", proxy=proxy, **OPTIONS
    ),
    "wait_until_up": entry(
        aioconnect.wait_until_up,
        "host",
        "port",
        "timeout",
        settle=seconds,
        **OPTIONS,
    ),
    "wait_until_up: a target": entry(
        aioconnect.wait_until_up,
        "host",
        "timeout",
        **{"host": one_of(target, pair), "settle": seconds, **OPTIONS},
    ),
    "wait_until_down": entry(
        aioconnect.wait_until_down, "host", "port", "timeout", **OPTIONS
    ),
    "reconnecting": Surface(
        aioconnect.reconnecting,
        lambda rng: (
            each(host=host, port=port)(rng)
            | some(3, stable_after=seconds, limit=whole, **OPTIONS, **TLS)(rng)
        ),
        ("host", "port", "ssl"),
    ),
    "loop_factory": Surface(
        aioconnect.loop_factory,
        some(
            2,
            connector=one_of(choice(Connector()), anything),
            base=one_of(
                choice(asyncio.new_event_loop, asyncio.SelectorEventLoop), anything
            ),
        ),
    ),
    "loop.create_connection": entry(
        LOOP.create_connection,
        "protocol_factory",
        "host",
        "port",
        **{name: draw for name, draw in TRANSPORT.items() if name in OF_ASYNCIO},
    ),
    "loop.sock_connect": entry(
        LOOP.sock_connect,
        "sock",
        "address",
        sock=choice(CLOSED, None),
        address=one_of(sockaddr, pair),
    ),
    "connectable": Surface(
        Connectable,
        lambda rng: (
            each(remote=one_of(target, pair, anything))(rng)
            | some(
                4,
                tls=choice(True, False),
                ssl_context=TLS["ssl"],
                tls_hostname=one_of(host, choice(None)),
                tls_standard_compatible=choice(True, False),
            )(rng)
        ),
        ("target", "tls_hostname", *WRONG_TARGET),
        a_connectable,
    ),
    "flaky": Surface(check_script, each(script=several(WORDS))),
    "zone": Surface(
        lambda kind, reply: check_entry(("a.test", kind), reply),
        each(kind=choice("A", "AAAA", "SRV"), reply=reply),
        ("zone", "delay", "records", "A", "AAAA", "SRV"),
    ),
    "lookup": Surface(
        Lookup, some(2, addresses=one_of(several(literal), anything), delay=seconds)
    ),
    "static": Surface(
        StaticResolver,
        each(names=lambda rng: {text(rng): several(literal)(rng)}),
        ("addresses",),
    ),
    "command line": Surface(command_line, each(argv=argv)),
}
