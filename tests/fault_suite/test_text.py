"""Text from outside is shown as plain characters, never obeyed as control or markup.

It comes from hooks, resolvers, peers, and everybody who chooses a host name or a file
name.  It is shown in errors, in log records, in every form of a timeline, in
OpenTelemetry's spans and on the command line.  Each is one line of printable
characters, and contains no password of a URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import logging
import socket
import subprocess
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

import pytest
from http_pairs import PAIRS, Pair
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from programs import AIOCONNECT, program, screen
from proxies import proxying

import aioconnect
from aioconnect import (
    Address,
    CallObserver,
    ConnectError,
    Connector,
    SRVRecord,
    Target,
    Timeline,
    log_events,
    parse_target,
    sockopts,
)
from aioconnect._calls.observing import Observer
from aioconnect._loops.subclass import convert_loop
from aioconnect.contrib import proxy
from aioconnect.contrib.anyio import Connectable
from aioconnect.contrib.opentelemetry import OpenTelemetryObserver
from aioconnect.testing import Server, tls_echoing

# One of each kind: line ends, terminal controls, invisible and direction characters,
# the bytes of a file's name, characters that XML forbids, markup, formats.
ODD = (
    "odd\nERROR:root: FORGED\r\x1b[2J\x1b]0;title\x07\x9b \u202e\u200b\u2028\u2029\x85"
    " \udcff\ud800 \0\ufffe [red]x[/red] :bomb: %s %(a)d {0} </text>&]]>"
)
SHOWN = (
    r"odd\nERROR:root: FORGED\r\x1b[2J\x1b]0;title\x07\x9b \u202e\u200b\u2028\u2029\x85"
    r" \udcff\ud800 \x00\ufffe [red]x[/red] :bomb: %s %(a)d {0} </text>&]]>"
)

# The same for a name, which cannot have white space.
ODD_NAME = "a\x1b[2J\x1b]0;title\x07.test"
SHOWN_NAME = r"a\x1b[2J\x1b]0;title\x07.test"


def texts(value: object) -> Iterator[str]:
    """Yield all texts within *value*, which is made of JSON types."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from texts(list(pair))
    elif isinstance(value, Sequence):
        for one in value:
            yield from texts(one)


class Told(CallObserver):
    """An observer that renders each call in every form, and collects the lines."""

    def __init__(self) -> None:
        self._log = io.StringIO()
        self._records = 0
        logger = logging.Logger("odd", logging.DEBUG)
        logger.addHandler(logging.StreamHandler(self._log))
        self._write = log_events(logger)
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._telemetry = OpenTelemetryObserver(provider)
        self._timeline = Timeline()

    @contextlib.contextmanager
    def call(self, host: str | None, port: int | None) -> Generator[Observer]:
        with (
            self._timeline.call(host, port) as draw,
            self._telemetry.call(host, port) as trace,
        ):

            def tell(event: aioconnect.Event) -> None:
                self._records += 1
                for observe in (self._write, draw, trace):
                    observe(event)

            yield tell

    def lines(self) -> list[str]:
        """Return what the observer was given, line by line."""
        return [*self._logged(), *self._drawn(), *self._traced()]

    def _logged(self) -> list[str]:
        logged = self._log.getvalue().split("\n")[:-1]
        assert len(logged) == self._records, "a record is no line"
        return logged

    def _drawn(self) -> Iterator[str]:
        timeline = self._timeline
        svg = timeline.to_svg()
        expat.ParserCreate().Parse(svg.encode(), True)
        drawn = "\n".join([timeline.to_text(20), str(timeline), svg])
        yield from (*drawn.split("\n"), repr(timeline))
        yield from texts(json.loads(json.dumps(timeline.to_dict())))

    def _traced(self) -> Iterator[str]:
        (span,) = self._spans.get_finished_spans()
        yield from (span.name, span.status.description or "")
        yield from texts(dict(span.attributes or {}))
        for event in span.events:
            yield from texts([event.name, dict(event.attributes or {})])
        json.dumps(
            span.to_json()
        ).encode()  # if this fails, an exporter drops the batch


def said_by(error: ConnectError) -> list[str]:
    """Return the texts of *error*."""
    fields = [str(error), repr(error), error.strerror, *map(str, error.args)]
    detail = getattr(error, "verify_message", "")
    return [str(one) for one in (*fields, *error.attempts, detail)]


def check(lines: Sequence[str]) -> None:
    """Check that each of *lines* is one printable line."""
    assert [ascii(one) for one in lines if not one.isprintable()] == []
    assert [one for one in lines if "hunter2" in one] == []


def resolver(error: OSError) -> Callable[..., Coroutine[Any, Any, NoReturn]]:
    """Return a resolver, or a *ready* hook, that raises *error*."""

    async def resolve(*_: object, **__: object) -> NoReturn:
        raise error

    return resolve


class Services:
    """A resolver that raises *error* for services and for unknown hosts."""

    def __init__(self, error: OSError | None = None) -> None:
        self._error = error

    async def services(self, _: str) -> Sequence[SRVRecord]:
        if self._error is not None:
            raise self._error
        return [SRVRecord(0, 0, 80, ODD_NAME)]

    async def __call__(self, *_: object, **__: object) -> Sequence[Address]:
        raise UNKNOWN


UNKNOWN = socket.gaierror(socket.EAI_NONAME, "unknown")
UNKNOWN_AND_ODD = socket.gaierror(socket.EAI_NONAME, ODD)
AGAIN = socket.gaierror(socket.EAI_AGAIN, ODD)

# Options for a call that would run for ever.
WAITING: dict[str, Any] = {"timeout": 0.2, "retry": (0.05,) * 99}


def prepare(*_: object) -> NoReturn:
    raise OSError(errno.EIO, ODD)


class UnsayableError(OSError):
    """An error whose text cannot be made."""

    def __str__(self) -> str:
        raise LookupError("a bug")


class Unshown:
    """A value whose repr cannot be made."""

    def __repr__(self) -> str:
        raise LookupError("a bug")


OddlyNamedError = type(ODD_NAME, (OSError,), {})

Call = Callable[[CallObserver, Server], Coroutine[Any, Any, object]]


def calling(name: str, *arguments: Any, **options: Any) -> Call:
    """Return a call of a connector's method *name*, with these *options*."""

    async def call(observer: CallObserver, _: Server) -> None:
        await getattr(Connector(observer=observer, **options), name)(*arguments)

    return call


def connecting(**options: Any) -> Call:
    """Return a call that connects to the server with these *options*."""

    async def call(observer: CallObserver, at: Server) -> None:
        connector = Connector(observer=observer, **options)
        await connector.open_connection(at.host, at.port)

    return call


async def through_a_proxy(observer: CallObserver, at: Server) -> None:
    url = f"socks5://app:hunter2@{at.host}:{at.port}"
    options: Any = {"observer": observer, "resolver": resolver(UNKNOWN_AND_ODD)}
    await proxy.connect("a.test", 80, proxy=url, **options)


async def by_a_certificate(observer: CallObserver, _: Server) -> None:
    with tls_echoing() as server:
        tls: Any = {"ssl": server.client_context, "server_hostname": ODD_NAME}
        connector = Connector(observer=observer)
        await connector.open_connection(server.host, server.port, **tls)


SERVICE = "srv:_a._tcp.test"
URLS = "redis://:hunter2@a:1 and http://b:hunter2@c"

# The calls, and what the text of their errors has to contain.
CASES: dict[str, tuple[Call, str]] = {
    "resolver": (
        calling("connect", "a.test", 80, resolver=resolver(UNKNOWN_AND_ODD)),
        SHOWN,
    ),
    "resolver's error without a code": (
        calling("connect", "a.test", 80, resolver=resolver(OSError(ODD))),
        SHOWN,
    ),
    "resolver's error that cannot say it": (
        calling("connect", "a.test", 80, resolver=resolver(UnsayableError())),
        "UnsayableError",
    ),
    "resolver's text that cannot be said": (
        calling(
            "connect",
            "a.test",
            80,
            resolver=resolver(socket.gaierror(socket.EAI_NONAME, Unshown())),
        ),
        "a.test:80: gaierror (",
    ),
    "service": (
        calling("connect_any", [SERVICE], resolver=Services(UNKNOWN_AND_ODD)),
        SHOWN,
    ),
    "service's name": (
        calling(
            "connect_any",
            [Target(service=f"_a._tcp.{ODD_NAME}")],
            resolver=Services(UNKNOWN),
        ),
        f"srv:_a._tcp.{SHOWN_NAME}",
    ),
    "service's host": (
        calling("connect_any", [SERVICE], resolver=Services()),
        f"{SHOWN_NAME}: unknown",
    ),
    "one host of many": (
        calling(
            "connect_any", [("a\x1b\x07", 80), "b.test:1"], resolver=resolver(UNKNOWN)
        ),
        r"any of a\x1b\x07:80, b.test:1: a\x1b\x07: unknown",
    ),
    "host": (
        calling("connect", ODD_NAME, 80, resolver=resolver(UNKNOWN)),
        f"cannot connect to {SHOWN_NAME}:80: ",
    ),
    "host that is not down": (
        calling("wait_until_down", ODD_NAME, 80, resolver=resolver(AGAIN), **WAITING),
        f"is not down within 0.2 s: {SHOWN_NAME}: {SHOWN}",
    ),
    "scope": (
        calling("connect", "fe80::1%\x1b[2J", 80),
        r"[fe80::1%\x1b[2J]:80: no interface \x1b[2J",
    ),
    "local address": (
        connecting(local_addr=("fe80::1%\x1b[2J", 0)),
        r"bind: no interface \x1b[2J",
    ),
    "prepare": (connecting(prepare=[prepare]), SHOWN),
    "ready": (connecting(ready=resolver(OSError(ODD))), f"ready: {SHOWN}"),
    "error without a text": (
        connecting(ready=resolver(OddlyNamedError())),
        f"ready: {SHOWN_NAME}",
    ),
    "error that cannot say it": (
        connecting(ready=resolver(UnsayableError())),
        "ready: UnsayableError",
    ),
    "error that says too much": (
        connecting(ready=resolver(OSError("x" * 100_000))),
        f"ready: {'x' * 300}... (1 attempt",
    ),
    "errno that is none": (
        connecting(ready=resolver(OSError([ODD], ODD)), retry=(0,)),
        SHOWN,
    ),
    "certificate": (by_a_certificate, f"is not valid for '{SHOWN_NAME}'"),
    "proxy": (through_a_proxy, SHOWN),
    "path": (
        calling("connect_unix", f"/nowhere/{ODD_NAME}\n\udcff"),
        rf"unix:/nowhere/{SHOWN_NAME}\n\udcff",
    ),
    "path of bytes": (
        calling("open_unix_connection", b"/nowhere/\x1b\xff"),
        r"unix:/nowhere/\x1b\udcff",
    ),
    "abstract name": (
        calling("open_unix_connection", "\0no\x1b\0where"),
        r"unix:@no\x1b\x00where",
    ),
    "password in an error": (
        connecting(ready=resolver(OSError(URLS))),
        "ready: redis://***@a:1 and http://***@c (",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_shown_is_one_printable_line(name: str, listener: Server) -> None:
    """A text is escaped to one line in an error, a log, a timeline and a span."""
    call, says = CASES[name]
    told = Told()
    with pytest.raises(ConnectError) as caught:
        await call(told, listener)
    assert says in str(caught.value)
    lines = told.lines()
    check([*said_by(caught.value), *lines])
    # It is in the log, in the timeline's dict, and in the status of the span.
    assert sum(says in line for line in lines) >= 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 \x1b[2J\xe2\x80\xae\r\n\r\n",
        b"HTTP/1.1 \x1b[2J\r\n\r\n",
        b"\x1b[2J\r\n\r\n",
    ],
)
async def test_what_a_proxy_says(answer: bytes) -> None:
    """None of the proxy's words is repeated."""
    told = Told()
    with proxying("http", answers=(answer,)) as server:
        url = server.url("app:hunter2")
        with pytest.raises(ConnectError, match="proxy: ") as caught:
            await proxy.connect("a.test", 80, proxy=url, observer=told)
    check([*said_by(caught.value), *told.lines()])
    assert "2J" not in str(caught.value)


async def _by_the_loop(connector: Connector) -> None:
    loop = asyncio.get_running_loop()
    base = type(loop)
    convert_loop(loop, connector)
    try:
        await loop.create_connection(asyncio.Protocol, "a.test", 80)
    finally:
        loop.__class__ = base


# The functions.  Each calls the resolver, whose error has an odd text.
ENTRY_POINTS: dict[str, Callable[[Connector], Coroutine[Any, Any, object]]] = {
    "connect": lambda to: to.connect("a.test", 80),
    "open_connection": lambda to: to.open_connection("a.test", 80),
    "create_connection": lambda to: to.create_connection(
        asyncio.Protocol, "a.test", 80
    ),
    "connect_any": lambda to: to.connect_any([("a.test", 80), ("b.test", 80)]),
    "connect_any: a race": lambda to: to.connect_any(
        [("a.test", 80), ("b.test", 80)], race=True
    ),
    "wait_until_up": lambda to: to.wait_until_up("a.test", 80),
    "wait_until_down": lambda to: to.wait_until_down("a.test", 80),
    "reconnecting": lambda to: anext(aiter(to.reconnecting("a.test", 80))),
    "loop.create_connection": _by_the_loop,
    "anyio": lambda to: Connectable(("a.test", 80), to).connect(),
}


@pytest.mark.parametrize("name", ENTRY_POINTS)
async def test_every_function(name: str) -> None:
    """Each function reports the text, and raises it, as one line."""
    told = Told()
    options = WAITING if name.startswith(("wait", "reconnecting")) else {}
    connector = Connector(observer=told, resolver=resolver(AGAIN), **options)
    with pytest.raises(ConnectError) as caught:
        await ENTRY_POINTS[name](connector)
    assert SHOWN in str(caught.value)
    check([*said_by(caught.value), *told.lines()])


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
async def test_a_certificate_of_a_client_of_httpcore(pair: Pair) -> None:
    """The name comes from a URL, and so from a server that redirects to it."""
    with tls_echoing() as server:
        plain = await pair.backend().connect_tcp(server.host, server.port)
        expected = pair.httpcore.ConnectError
        with pytest.raises(expected, match="is not valid for") as caught:
            await plain.start_tls(server.client_context, ODD_NAME)
    check([str(caught.value)])
    assert SHOWN_NAME in str(caught.value)


async def test_a_resolver_that_leads_to_a_path() -> None:
    """The answer is shown as a whole, although it is not a numeric address."""
    told = Told()
    address = Address(socket.AF_UNIX, b"/nowhere/\x1b\xff")
    with pytest.raises(ConnectError) as caught:
        await aioconnect.connect(
            "a.test", 80, resolver=lambda *_, **__: [address], observer=told
        )
    lines = told.lines()
    check([*said_by(caught.value), *lines])
    assert lines.count(r"/nowhere/\x1b\udcff") >= 3  # in an answer, and twice as a peer


async def test_the_system_resolver() -> None:
    """An error of the system's resolver is shown as one line too."""
    with pytest.raises(socket.gaierror, match="no interface") as caught:
        await aioconnect.system_resolver("fe80::1%\x1b[2J", 80)
    check([str(caught.value)])


async def test_all_errors(listener: Server) -> None:
    """A group of errors has its own text; its errors are as the hook raised them."""
    told = Told()
    with pytest.raises(ExceptionGroup) as caught:
        await aioconnect.create_connection(
            asyncio.Protocol,
            listener.host,
            listener.port,
            all_errors=True,
            prepare=[prepare],
            observer=told,
        )
    (error,) = caught.value.exceptions
    assert error.args == (errno.EIO, ODD)
    check([str(caught.value), *told.lines()])


async def test_a_hook_that_raises_another_error(listener: Server) -> None:
    """It is raised unchanged; what is shown of it is one line."""
    told = Told()
    error = type(ODD_NAME, (LookupError,), {})(ODD)

    async def bug(*_: object) -> NoReturn:
        raise error

    with pytest.raises(LookupError) as caught:
        await aioconnect.connect(listener.host, listener.port, ready=bug, observer=told)
    assert caught.value is error
    check(told.lines())


# -- bad values, which are quoted


class Odd:
    """A value whose repr is odd."""

    def __repr__(self) -> str:
        return f"{ODD} redis://:hunter2@a"


URL = "postgres://app:hunter2@db:5432/app"

REFUSED: dict[str, Callable[[Any], object]] = {
    "timeout": lambda odd: Connector(timeout=odd),
    "prepare": lambda odd: Connector(prepare=odd),
    "local_addr": lambda odd: Connector(local_addr=(odd, 0)),
    "observer": lambda odd: Connector(observer=odd),
    "log_events": log_events,
    "Address": lambda odd: Address(socket.AF_INET, (odd, 80)),
    "Address of a path": lambda odd: Address(socket.AF_UNIX, odd),
    "Target": lambda odd: Target(odd, 80),
    "Target of a service": lambda odd: Target(service=odd),
    "parse_target": parse_target,
    "bind_device": sockopts.bind_device,
    "Connectable": Connectable,
    "ProxyConnector": lambda odd: proxy.ProxyConnector(proxy=odd),
    "Timeline's width": lambda odd: Timeline().to_text(odd),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(
    "odd",
    [ODD, ODD.encode("utf-8", "surrogatepass"), f"{URL}\0", Odd()],
    ids=["text", "bytes", "URL", "repr"],
)
def test_a_value_that_is_refused(name: str, odd: object) -> None:
    """The error quotes the value in one line, without the password."""
    with pytest.raises((TypeError, ValueError)) as caught:
        REFUSED[name](odd)
    check([str(caught.value)])


@pytest.mark.parametrize(
    "target",
    [
        Target("a\x1b\x07", 80),
        Target(service=f"_a._tcp.{ODD_NAME}"),
        Target(address=Address(socket.AF_UNIX, f"/{ODD_NAME}\n\udcff")),
        Target(address=Address(socket.AF_UNIX, b"\0\xff\x1b\n")),
    ],
    ids=ascii,
)
def test_a_target_that_no_text_makes(target: Target) -> None:
    """A target that no text can give is shown as one line too."""
    check([str(target)])


@pytest.mark.parametrize("path", ["", "/", ":1", "?a=/@b", " @", "'@"])
def test_a_url_that_is_no_target(path: str) -> None:
    """Its password is not repeated, even if it is not escaped as it should be."""
    url = f"postgres://app:/@hunter2@db{path}"
    with pytest.raises(ValueError, match=r"postgres://\*\*\*@") as caught:
        parse_target(url)
    check([str(caught.value)])


def test_a_value_that_cannot_be_shown() -> None:
    """The error is about the value, and not about its repr."""
    with pytest.raises(TypeError, match=r"timeout must be .*, not <Unshown>"):
        Connector(timeout=Unshown())  # type: ignore[arg-type]  # for that


@pytest.mark.parametrize("host", [ODD, f"a\u202eb{ODD_NAME}", "\ud800.test", URL])
async def test_a_host_that_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="host") as caught:
        await aioconnect.connect(host, 80)
    check([str(caught.value)])


# -- the command line


# An argument of a program has no NUL.  Undecodable bytes are surrogates.
ARGUMENT = ODD.replace("\0", "").replace("\ud800", "")

SHOWN_ARGUMENT = r"odd\nERROR:root: FORGED\r\x1b[2J\x1b]0;title\x07\x9b \u202e"


@pytest.fixture
def odd_path(tmp_path: Path) -> str:
    """Give the path of a missing file with an odd name."""
    return str(tmp_path / ARGUMENT.replace("/", ""))


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that the program wrote to standard error."""
    assert done.stdout == ""
    line, end = done.stderr.split("\n")
    assert end == ""
    check([line])
    return line


@pytest.mark.parametrize("command", ["sweep", "probe", "wait"])
def test_a_missing_file(command: str, odd_path: str) -> None:
    """Every command that takes a file reports its name in one line."""
    arguments = {
        "sweep": ["sweep", odd_path],
        "probe": ["probe", "127.0.0.1:1", "--json", "--svg", f"{odd_path}/a"],
        "wait": ["wait", f"unix:{odd_path}"],
    }
    done = program(*arguments[command])
    assert done.returncode == 2
    assert SHOWN_ARGUMENT in one_line(done)


def test_lines_of_an_odd_file(odd_path: str) -> None:
    """The file's name precedes each message about a line that is not a target."""
    odd = ODD.replace("\n", "").encode("utf-8", "replace")
    Path(odd_path).write_bytes(b"bad\n" + odd + b"\n" + URL.encode() + b"\n\xff\n")
    done = program("sweep", odd_path, "--json")
    assert done.returncode == 2
    said = done.stderr.split("\n")
    assert sum(SHOWN_ARGUMENT in line for line in said) == 4
    check([*said, *done.stdout.split("\n")])


def test_a_terminal_shows_an_odd_file(tmp_path: Path) -> None:
    """Above the bar its name is plain text: no control character, markup or emoji."""
    path = tmp_path / "odd\x1b[2J\n[red]x:bomb:"
    path.write_text("bad\n")
    with screen(*AIOCONNECT, "sweep", str(path), columns=200) as shown:
        lines = shown.wait(lambda rows: "status 2" in rows)
    assert any(r"odd\x1b[2J\n[red]x:bomb::1: target" in line for line in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ["wait", URL],
        ["probe", URL],
        ["wait", "db:1", "--local-addr", URL],
        ["wait", "db:1", "--timeout", ARGUMENT],
        ["wait", "db:1", "--resolver", ARGUMENT],
        ["wait", "db:1", "--odd", ARGUMENT],
        ["wait", "db:1", "--", ARGUMENT],
        [ARGUMENT],
    ],
    ids=ascii,
)
def test_a_bad_argument(arguments: list[str]) -> None:
    """The message is one line, without the password."""
    done = program(*arguments, timeout=20)
    assert done.returncode in (2, 127)
    assert one_line(done)
