"""Generate values on which parsers have failed before, and mutations of them.

Every function takes the `random.Random` that it draws from, so a seed fixes them all.
"""

from __future__ import annotations

import asyncio
import decimal
import enum
import fractions
import functools
import itertools
import math
import pathlib
import socket
import ssl
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from aioconnect import Backoff, is_refused, outcome, sockopts

__all__ = [
    "CLOSED",
    "Draw",
    "anything",
    "argv",
    "choice",
    "host",
    "literal",
    "local_addr",
    "one_of",
    "path",
    "port",
    "proxy",
    "seconds",
    "several",
    "sockaddr",
    "target",
    "text",
    "whole",
]

Draw: TypeAlias = Callable[[Random], Any]


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Raw(bytes):
    pass


class Pair(tuple[Any, ...]):
    __slots__ = ()


class Index:
    """A whole number that is not an int, like numpy's."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Where:
    """A path that is neither str nor `pathlib.Path`."""

    def __init__(self, value: str | bytes) -> None:
        self.value = value

    def __fspath__(self) -> str | bytes:
        return self.value


class Colour(enum.Enum):
    RED = "red"


HOSTS = (
    *("", ".", "..", ".a", "a.", "a..b", "a.b.", "-a", "a-", "_a._tcp", "*.a", "a*"),
    *("localhost", "example.org", "EXAMPLE.org", "no-such-name.invalid"),
    *("127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "127.0.0.01"),
    *("0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "1.2.3.4%1"),
    *("::", "::1", "[::1]", ":::", "::ffff:1.2.3.4", "::ffff:1.2.3.4%lo", "::1%0"),
    *("fe80::1%1", "fe80::1%lo", "fe80::1%", "fe80::1%%1", "fe80::1%4294967296"),
    *("fe80::1%٣", "fe80::1%-1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "::12345"),
    *("x" * 63, "x" * 64, "x" * 63 + ".org", ".".join(["x" * 63] * 4), "x" * 5000),
    *("ü" * 63, "ß.de", "bücher.example", "xn--bcher-kva.example", "xn--", "xn--a-ü"),
    *(
        "ﬁ.example",
        "a。b",
        "a\uff0eb",
        "İ",
        "\u0644\u0627",
        "a\u200b",
        "\u00ad",
        "\u0301",
    ),
    *("a b", " a", "a\t", "a\n", "a\r\n", "\u00a0", "\u3000", "a\0", "\0", "\u2028"),
    *("\ud800", "a\udcff.b", "\U0001f600.example", "\ufffe", "a/b", "a@b", "a:80"),
)

NUMBERS = ("127.0.0.1", "0.0.0.0", "::1", "::ffff:1.2.3.4", "fe80::1", b"::1")

PATHS = (
    *("", "/run/x", "x", "\0x", "\0", "/run/\0x", "x" * 107, "x" * 108, "\0" * 108),
    *("\0" + "x" * 107, "\0" + "x" * 108, "ü" * 54, "/a\nb", "\0a\nb", "\udcff"),
    *("\ud800", "/\u202e/x", "x" * 70_000, "unix:/run/x", "@x", "~/x", "/\x7f", "."),
)

PORTS = (
    *("80", "0080", "http", "HTTP", "", " ", "-1", "+80", "8 0", "65536", "0x50"),
    *("٣", "²", "80\0", "http\0", "\ud800", "9" * 5000, "x" * 5000, "80.0", "1e3"),
    *("8_0", "nosuch", "ssh\n", "\u00ff", "ssh"),
)

WHOLES = (
    *(0, 1, -1, 2, 80, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32),
    *(2**63, 2**64, -(2**63), 10**400, -(10**400), 10**5000, Whole(80), Whole(-1)),
    *(Index(80), Index(-1), Index(2**64), socket.AF_INET6, socket.AF_UNIX),
)

SECONDS = (
    *(0.0, -0.0, 0.25, 1, 60, 5e-324, 1e-9, 1e11, 1e12, 1e13, 1e308, -1e-9, Real(1)),
    *(math.nan, -math.nan, math.inf, -math.inf, decimal.Decimal("0.1")),
    *(fractions.Fraction(1, 3), decimal.Decimal("NaN"), 1j, "1", b"1", 10**5000),
)

# Far more levels than a repr can recurse into.
NESTED: list[Any] = functools.reduce(lambda inside, _: [inside], range(20_000), [])

CYCLE: list[Any] = []
CYCLE.append(CYCLE)

with socket.socket() as CLOSED, socket.socket(socket.AF_UNIX) as CLOSED_UNIX:
    pass

OBJECTS: tuple[Any, ...] = (
    *(None, True, False, ..., object(), object, int, Colour.RED),
    *((), [], {}, set(), frozenset(), range(3), range(10**9), {0.1: 1}, {0.1, 0.2}),
    *(CYCLE, NESTED, bytearray(b"80"), memoryview(b"80"), Raw(b"x"), Text("x")),
    *(iter(()), itertools.repeat(1), itertools.count, map(int, "1"), Pair((1, 2))),
    *(Backoff(), Backoff(attempts=0), print, is_refused, outcome.so_error, len),
    *(functools.partial(print), Index.__index__, OSError(1, "x"), ValueError),
    *(sockopts.nodelay(), [sockopts.nodelay()], (print,), [print, 1], "print"),
    *(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.PROTOCOL_TLS, asyncio.Protocol),
    *(CLOSED, CLOSED_UNIX, pathlib.Path("/run/x"), pathlib.Path("a\nb"), Where("x")),
    *(Where(b"\xff"), Where("a\nb"), Colour, socket, lambda: None),
)

# Characters to insert: separators, white space, and their variants in Unicode.
_PIECES = (
    *".:%@/-_[]#?*0123456789aFxXnN",
    *("\0", " ", "\t", "\n", "\u00a0", "\u200b", "\u202e", "\u2028", "\ufeff", "xn--"),
    *(
        "ß",
        "İ",
        "\u0131",
        "ﬁ",
        "。",
        "\uff0e",
        "①",
        "²",
        "٣",
        "\u0301",
        "\ud800",
        "\udcff",
    ),
    *("\U0001f600", "::", "..", "%1", "%lo", "1.2.3.4", "fe80::", "x" * 64, "ü" * 60),
)


_TEXTS = (*HOSTS, *PATHS, *PORTS)


def one_of(*draws: Draw) -> Draw:
    """Return a function that uses one of *draws*, the first twice as often."""
    return lambda rng: rng.choice((draws[0], *draws))(rng)


def choice(*values: object) -> Draw:
    """Return a function that draws one of *values* mostly, or anything."""
    return lambda rng: rng.choice(values) if rng.random() < 0.7 else anything(rng)


def text(rng: Random) -> str:
    """Draw a host or a path, mutated."""
    return mutated(rng, rng.choice(_TEXTS))


def mutated(rng: Random, given: str) -> str:
    """Return *given* after up to four changes."""
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        at, end = sorted(rng.randrange(len(given) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0:
                given = given[:at] + rng.choice(_PIECES) + given[at:]
            case 1:
                given = given[:at] + given[end:]
            case 2:
                given = given[:end] + given[at:]
            case 3:
                given = given[:at] + chr(rng.randrange(0x110000)) + given[end:]
            case _:
                given = given.swapcase()
    return given


def typed(rng: Random, given: str) -> Any:
    """Return *given* as one of the types that texts can have."""
    match rng.randrange(12):
        case 0:
            return Text(given)
        case 1:
            return Raw(given.encode("utf-8", "surrogatepass"))
        case _:
            return given


def anything(rng: Random) -> Any:
    """Draw a value of any type, or a container of such values."""
    match rng.randrange(10):
        case 0 | 1 | 2:
            return rng.choice(OBJECTS)
        case 3:
            return rng.choice(WHOLES)
        case 4:
            return rng.choice(SECONDS)
        case 5 | 6:
            return typed(rng, text(rng))
        case 7:
            return rng.choice((1, -1)) * rng.getrandbits(rng.choice((7, 17, 33, 70)))
        case _:
            made = [anything(rng) for _ in range(rng.randrange(4))]
            return rng.choice((tuple, list, Pair))(made)


def host(rng: Random) -> Any:
    """Draw a host, or a value similar to one."""
    if rng.random() < 0.1:
        return anything(rng)
    return typed(rng, mutated(rng, rng.choice(HOSTS)))


def literal(rng: Random) -> Any:
    """Draw a numeric address mostly, or a host."""
    return rng.choice(NUMBERS) if rng.random() < 0.7 else host(rng)


def path(rng: Random) -> Any:
    """Draw a path, or a value similar to one."""
    if rng.random() < 0.2:
        return anything(rng)
    made = typed(rng, mutated(rng, rng.choice(PATHS)))
    return Where(made) if rng.random() < 0.1 else made


def port(rng: Random) -> Any:
    """Draw a port, or a value similar to one."""
    match rng.randrange(4):
        case 0:
            return rng.randrange(70_000)
        case 1:
            return rng.choice(WHOLES)
        case 2:
            return typed(rng, mutated(rng, rng.choice(PORTS)))
        case _:
            return anything(rng)


def whole(rng: Random) -> Any:
    """Draw a whole number, or a value similar to one."""
    return rng.choice(WHOLES) if rng.random() < 0.8 else anything(rng)


def seconds(rng: Random) -> Any:
    """Draw a duration, or a value similar to one."""
    return rng.choice(SECONDS) if rng.random() < 0.8 else anything(rng)


def several(draw: Draw, most: int = 4) -> Draw:
    """Return a function that draws a sequence of values of *draw*."""

    def draw_several(rng: Random) -> Any:
        made = [draw(rng) for _ in range(rng.randrange(most + 1))]
        return rng.choice((list, tuple, tuple, Pair))(made)

    return draw_several


def sockaddr(rng: Random) -> Any:
    """Draw an address in a form of the socket module, of any family."""
    match rng.randrange(8):
        case 0 | 1 | 2:
            return (literal(rng), port(rng))
        case 3 | 4:
            made = (literal(rng), port(rng), whole(rng), whole(rng))
            return made[: rng.randint(2, 4)]
        case 5:
            return path(rng)
        case 6:
            return (whole(rng), whole(rng))
        case _:
            return anything(rng)


TARGETS = (
    *("host:5432", "[::1]:80", "[fe80::1%lo]:80", "unix:/run/x", "unix:@x", "unix:x"),
    *("vsock:2:1024", "srv:_a._b.example.org", "::1:80", "[::1]80", "[::1", "x:"),
    *("unix:", "unix:@", "vsock:2", "vsock:x:1", "srv:a", "http://x:80", ":80", "[]:1"),
    *("vsock:4294967296:1", "vsock:1:" + "9" * 5000, "srv:_a._b.c:80", "[1.2.3.4]:1"),
    *("postgres://db", "redis://u:secret@db:1", "https://[::1]:1/a?b=%41", "dns://a.b"),
    *(
        "http://x/@secret",
        "tls://x:443",
        "tls://x",
        "amqp://x:0",
        "kafka://x/y",
        "a://",
    ),
)


def target(rng: Random) -> Any:
    """Draw the text of a target, or a value similar to one."""
    if rng.random() < 0.1:
        return anything(rng)
    return typed(rng, mutated(rng, rng.choice(TARGETS)))


PROXIES = (
    *("socks5h://user:secret@host:1080", "socks5://10.0.0.1:1", "socks4a://user@h:1"),
    *("socks4://[::1]:1", "http://us%40r:s%3Acret@proxy.example:3128/", "http://h:"),
    *(
        "https://h:1",
        "environment",
        "socks5://user@h:1",
        "http://user:@h:1",
        "http://u:%zz@h:1",
    ),
    *("http://h", "http://[::1", "http://:1", "http://h:65536", "//h:1", "h:1080"),
    *("http://u:p@ss@h:1", "http://h:1/x", "http://h:1?x", "http://h:http", "http:h:1"),
    *(
        "socks5://u:%C3%B6@h:1",
        "http://u:%C3%B6@h:1",
        "socks4://%00@h:1",
        "http://1.2:1",
    ),
)


def proxy(rng: Random) -> Any:
    """Draw the URL of a proxy, several of them, or a value similar to one."""
    if rng.random() < 0.1:
        return anything(rng)
    if rng.random() < 0.2:
        return several(proxy)(rng)
    return typed(rng, mutated(rng, rng.choice(PROXIES)))


def local_addr(rng: Random) -> Any:
    """Draw a local address, several of them, or anything."""
    if rng.random() < 0.1:
        return anything(rng)
    made = [[host(rng), port(rng)] for _ in range(rng.randrange(4))]
    return rng.choice((*made, made, tuple(made), tuple(map(tuple, made))))


def argv(rng: Random) -> list[str]:
    """Draw the arguments of a program."""
    commands = ("wait", "probe", "sweep", "demo", "completion")
    typed = (
        *("--version", "--help", "-h", "--vers", "--", "-", "=", "db:1", "bash", "-1"),
        *("--timeout", "--settle", "--any", "--down", "--interval", "--backoff"),
        *("--status", "200-299", "204", "http://x/", "tls://x:1", "dns://x"),
        *("--quiet", "-q", "-t", "1m30s", "--resolver", "system", "0.5", "1,5"),
        *("1,5,2,0", "unix:/x"),
        *("--count", "--tls", "--insecure", "--server-name", "--attempts", "--loop"),
        *(
            "--limit",
            "--json",
            "7",
            "--family",
            "6",
            "--local-addr",
            "::1",
            "--interleave",
            "--only-public",
        ),
        mutated(rng, rng.choice(TARGETS)),
        rng.choice(("nan", "inf", "-0", "1e999", "1e-9", "9" * 5000, "٣", "1_0")),
        text(rng),
    )
    words = [rng.choice(typed) for _ in range(rng.randrange(6))]
    if rng.random() < 0.9:
        words.insert(0, rng.choice(commands))
    # execve(2) ends each argument at its first NUL.
    return [word.partition("\0")[0] for word in words]
