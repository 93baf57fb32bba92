"""Odd calls of a loop's methods: hosts, ports, keywords, paths and sockets.

No name goes to the network.  Hosts that might be names are passed as numeric
(``AI_NUMERICHOST``), and the real names are in ``/etc/hosts``.
"""

from __future__ import annotations

import asyncio
import decimal
import fractions
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "Make",
    "Result",
    "World",
    "alone",
    "sock_calls",
    "tcp_calls",
    "unix_calls",
]

NUMERIC = {"flags": socket.AI_NUMERICHOST}


@dataclass
class World:
    """A loop, and the endpoints: a port of 127.0.0.1 and ::1, and a path."""

    loop: Any
    port: int
    path: str


class Result(NamedTuple):
    """The result of a call: its error, and the timeout of its socket argument."""

    error: Exception | None
    timeout: float | None = 0.0


Make = Callable[[World], Awaitable[Any]]


class Index:
    """A whole number that is not an int, like numpy's."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Text(str):
    __slots__ = ()


def named(*values: Any) -> dict[str, Any]:
    """Return *values* by their names in a report."""
    return {repr(value): value for value in values}


def always(*values: Any) -> dict[str, Callable[[Any], Any]]:
    """Return *values* by their names, each as a function that ignores its argument."""
    return {repr(value): partial(_give, value) for value in values}


def each(option: str, *values: Any, **more: Any) -> list[dict[str, Any]]:
    """Return keyword arguments with each of *values* for *option*, and with *more*."""
    return [{option: value, **more} for value in values]


def _give(value: Any, _: Any) -> Any:
    return value


HOSTS: dict[str, Any] = {
    **named("127.0.0.1", b"127.0.0.1", "127.1", "2130706433", "0x7f.1", "0.0.0.0"),
    **named("::1", "::", "::1%1", "::1%0", "::1%lo", "::1%none", "[::1]"),
    **named(
        "::ffff:127.0.0.1",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",
        "256.0.0.1",
    ),
    **named("", b"", " ", "exa mple", "127.0.0.1 ", " ::1", "127.0.0.1\n", "::1\n"),
    **named("127.0.0.1\0", "a\0b", b"\xff", ".", "..", "a..b", ".a", "a.b..", "-a"),
    **named("127.0.0.1:80", "[::1]:80", "[127.0.0.1]", "http://127.0.0.1", "a_b"),
    **named("1.2.3.4.5", "127.0.0.1.", "bücher.example", "①.example", "\u00ad"),
    **named("\ud800", 5, 1.5, True, (), ("127.0.0.1",), ["127.0.0.1"]),
    "a label of 64": "a" * 64 + ".test",
    "5000 octets": "x" * 5000,
    "a bytearray": bytearray(b"127.0.0.1"),
    "a str of its own class": Text("127.0.0.1"),
    "an object": object(),
}

# Each function makes a port argument from the listener's port.
PORTS: dict[str, Callable[[int], Any]] = {
    "int": lambda port: port,
    "text": str,
    "bytes": lambda port: str(port).encode(),
    "a bytearray": lambda port: bytearray(str(port), "ascii"),
    "float": float,
    "a float with a fraction": lambda port: port + 0.5,
    "a Fraction": fractions.Fraction,
    "a Decimal": decimal.Decimal,
    "an index": Index,
    "white space around": lambda port: f" {port} ",
    "white space before": lambda port: f" {port}",
    "a plus": lambda port: f"+{port}",
    "zeros before": lambda port: f"000{port}",
    "an underscore": lambda port: f"{port // 10}_{port % 10}",
    "Arabic digits": lambda port: "".join(chr(0x660 + int(d)) for d in str(port)),
    "65536 more": lambda port: port + 65536,
    "2**32 more": lambda port: port + 2**32,
    "in a list": lambda port: [port],
    "5000 digits": lambda _: "9" * 5000,
    "5000 letters": lambda _: "x" * 5000,
    "an object": lambda _: object(),
    **always(None, "", b"", " ", "no-such-service", b"no-such-service", "ssh\n", ()),
    **always(70000, "70000", -1, "-1", 65536, 2**31, 2**64, 1e300, b"\xff", "80\0"),
    **always(float("nan"), float("inf"), "0x50", "1e3"),
}

KEYWORDS: tuple[dict[str, Any], ...] = (
    *each("ssl", 0, "", (), {}, False, None, 1, 5, "x"),
    *each("family", -1, 1, 2, 99, None, 2.0, True, "x"),
    *each("proto", -1, 6, 17, 99, 262, None, "x"),
    *each("flags", -1, 4, 2**20, 2**40, None, "x"),
    *each("local_addr", (), ("127.0.0.1",), ["127.0.0.1", 0], "127.0.0.1", 5, 0, {}),
    *each("local_addr", *(("127.0.0.1", port) for port in (0, None, "", "0", 0.0))),
    *each("local_addr", *(("127.0.0.1", port) for port in (70000, -1, "no-service"))),
    *each("local_addr", (None, 0), (None, None), (b"127.0.0.1", 0), ("192.0.2.1", 0)),
    *each("local_addr", ("127.0.0.1", 0, 0), ("127.0.0.1", 0, 0, 0), ("::1", 0)),
    *each("local_addr", [("127.0.0.1", 0)]),
    # The base looks these up, so they are passed as numeric.
    *each("local_addr", ("", 0), ("a b", 0), ("a..b", 0), **NUMERIC),
    *each("server_hostname", "x", "", 5),
    *each("ssl_handshake_timeout", 1, 0, "x"),
    *each("ssl_shutdown_timeout", 1, 0, "x"),
    *each("ssl_handshake_timeout", 0, -1, "x", ssl=True),
    *each("server_hostname", 5, ssl=True),
    *each("happy_eyeballs_delay", 0.1, 0, -1, None, "x"),
    *each("interleave", 1, 0, -1, None, True, False, 1.5, "x"),
    *each("all_errors", True, False, 1),
    *each("sock", None, 5, "x"),
    *({name: None} for name in ("timeout", "nonsense", "limit", "loop")),
)

FACTORIES: dict[str, Any] = {
    "None": None,
    "5": 5,
    "a protocol": asyncio.Protocol(),
    "one that gives None": lambda: None,
    "one that gives 5": lambda: 5,
    "one that gives a class": lambda: asyncio.Protocol,
    "one that divides by zero": lambda: 1 / 0,
}

# Each function makes a path argument from the listener's path.
PATHS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "bytes": os.fsencode,
    "a Path": Path,
    "a str of its own class": Text,
    "a bytearray": lambda path: bytearray(path, "ascii"),
    "a memoryview": lambda path: memoryview(path.encode()),
    "a NUL at its end": lambda path: path + "\0",
    "below a socket": lambda path: path + "/x",
    "beside it": lambda path: path + "x",
    "a directory": os.path.dirname,
    "an object": lambda _: object(),
    "a path of 400": lambda _: "/n" * 200,
    "an abstract name of 200": lambda _: "\0" + "n" * 200,
    "a path of 108": lambda _: "n" * 108,
    **always("", b"", "\0", "\0none", "/a\0b", "\ud800", None, 5, True, ("x",)),
}

UNIX_KEYWORDS: tuple[dict[str, Any], ...] = (
    *each("ssl", 0, "", False, True, 1, "x"),
    *each("server_hostname", "x", "", 5),
    *({"ssl_handshake_timeout": 1}, {"ssl_shutdown_timeout": 1}, {"sock": 5}),
    *({name: None} for name in ("timeout", "nonsense", "family", "local_addr")),
)

# Each function makes an address argument for sock_connect from the listener's port.
ADDRESSES: dict[str, Callable[[int], Any]] = {
    "a pair": lambda port: ("127.0.0.1", port),
    "a list": lambda port: ["127.0.0.1", port],
    "a name": lambda port: ("localhost", port),
    "no host": lambda port: (None, port),
    "bytes": lambda port: (b"127.0.0.1", port),
    "in brackets": lambda port: ("[::1]", port),
    "a text as port": lambda port: ("127.0.0.1", str(port)),
    "a float as port": lambda port: ("127.0.0.1", float(port)),
    "an index as port": lambda port: ("127.0.0.1", Index(port)),
    "a fraction as port": lambda port: ("127.0.0.1", port + 0.5),
    "three": lambda port: ("127.0.0.1", port, 0),
    "four": lambda port: ("127.0.0.1", port, 0, 0),
    "five": lambda port: ("127.0.0.1", port, 0, 0, 0),
    "another family's": lambda port: ("::1", port),
    "127.1": lambda port: ("127.1", port),
    "an empty host": lambda port: ("", port),
    "an empty label": lambda port: ("a..b", port),
    "a number as host": lambda port: (5, port),
    "a label of 64": lambda port: ("a" * 64, port),
    **always(("127.0.0.1",), (), None, 5, {}, {1: 2, 3: 4}, "127.0.0.1", "ab", b"ab"),
    **always(*(("127.0.0.1", port) for port in (None, "", 70000, -1, 2**64))),
    **always(("127.0.0.1", "no-such-service"), ("localhost", "no-such-service")),
    **always(("localhost", None), ("localhost", 70000)),
}

# The same for an IPv6 socket.
ADDRESSES6: dict[str, Callable[[int], Any]] = {
    "two": lambda port: ("::1", port),
    "three": lambda port: ("::1", port, 0),
    "four": lambda port: ("::1", port, 0, 0),
    "five": lambda port: ("::1", port, 0, 0, 0),
    "a list": lambda port: ["::1", port, 0, 0],
    "bytes": lambda port: (b"::1", port, 0, 0),
    "in brackets": lambda port: ("[::1]", port, 0, 0),
    "a scope": lambda port: ("::1%1", port),
    "a scope's name": lambda port: ("::1%lo", port),
    "a scope's name, and zero": lambda port: ("::1%lo", port, 0, 0),
    "a flow": lambda port: ("::1", port, 5, 0),
    "a scope apart": lambda port: ("::1", port, 0, 1),
    "a negative flow": lambda port: ("::1", port, -1, 0),
    "a flow of 21 bits": lambda port: ("::1", port, 2**20, 0),
    "a flow of letters": lambda port: ("::1", port, "x", 0),
    "a flow that is None": lambda port: ("::1", port, None, None),
    "a negative scope": lambda port: ("::1", port, 0, -1),
    "another family's": lambda port: ("127.0.0.1", port),
}


def connected(world: World, timeout: float | None = 0) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", world.port))
    sock.settimeout(timeout)
    return sock


def unconnected(
    family: int,
    world: World,
    *,
    timeout: float | None = 0,
    kind: int = socket.SOCK_STREAM,
) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.settimeout(timeout)
    return sock


def on_unix(world: World) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(world.path)
    sock.setblocking(False)
    return sock


def closed(world: World) -> socket.socket:
    sock = connected(world)
    sock.close()
    return sock


# The values for ``sock=``.
SOCKETS: dict[str, Callable[[World], socket.socket]] = {
    "connected": connected,
    "with a timeout": partial(connected, timeout=5),
    "blocking": partial(connected, timeout=None),
    "closed": closed,
    "of datagrams": partial(unconnected, socket.AF_INET, kind=socket.SOCK_DGRAM),
    "on Unix": on_unix,
    "not connected": partial(unconnected, socket.AF_INET),
}


def alone(error: Exception) -> Exception:
    """Return *error* without its frames, which hold sockets."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


async def made_with(
    sock: socket.socket, call: Callable[[socket.socket], Awaitable[Any]]
) -> Result:
    """Return the result of *call* with *sock*, and the timeout of *sock* after it."""
    error = made = None
    try:
        made = await call(sock)
    except Exception as exc:  # the loop may raise anything
        error = alone(exc)
    timeout = sock.gettimeout()
    if made is not None:
        made[0].abort()
    sock.close()
    return Result(error, timeout)


def create(
    factory: Any,
    host: Any,
    port: Callable[[int], Any],
    keywords: dict[str, Any],
    world: World,
) -> Awaitable[Any]:
    given: Awaitable[Any] = world.loop.create_connection(
        factory, host, port(world.port), **keywords
    )
    return given


def create_unix(
    path: Callable[[str], Any], keywords: dict[str, Any], world: World
) -> Awaitable[Any]:
    given: Awaitable[Any] = world.loop.create_unix_connection(
        asyncio.Protocol, path(world.path), **keywords
    )
    return given


def create_with(
    method: str, sock: Callable[[World], socket.socket], where: Any, world: World
) -> Awaitable[Result]:
    create = getattr(world.loop, method)
    return made_with(
        sock(world), lambda given: create(asyncio.Protocol, *where, sock=given)
    )


def sock_connect(
    sock: Callable[[World], socket.socket],
    address: Callable[[World], Any],
    world: World,
) -> Awaitable[Result]:
    return made_with(
        sock(world), lambda given: world.loop.sock_connect(given, address(world))
    )


def tcp_calls() -> Iterator[tuple[str, Make]]:
    """Yield calls with one odd host, port, keyword, factory or socket each."""
    port, protocol = PORTS["int"], asyncio.Protocol
    for name, host in HOSTS.items():
        yield f"host {name}", partial(create, protocol, host, port, NUMERIC)
    for name, one in PORTS.items():
        for host in ("127.0.0.1", "localhost", None):
            yield f"port {name} of {host}", partial(create, protocol, host, one, {})
    for keywords in KEYWORDS:
        for host in ("127.0.0.1", "localhost"):
            call = partial(create, protocol, host, port, keywords)
            yield f"{keywords} for {host}", call
    for name, factory in FACTORIES.items():
        yield f"factory {name}", partial(create, factory, "127.0.0.1", port, {})
    for name, sock in SOCKETS.items():
        method = "create_connection"
        yield f"sock {name}", partial(create_with, method, sock, ())
        yield f"sock {name}, and a port", partial(create_with, method, sock, (None, 80))


def unix_calls() -> Iterator[tuple[str, Make]]:
    """Yield calls with one odd path, keyword or socket each."""
    for name, path in PATHS.items():
        yield f"path {name}", partial(create_unix, path, {})
    for keywords in UNIX_KEYWORDS:
        yield f"{keywords}", partial(create_unix, str, keywords)
    for name, sock in SOCKETS.items():
        method = "create_unix_connection"
        yield f"sock {name}", partial(create_with, method, sock, ())
        yield f"sock {name}, and a path", partial(create_with, method, sock, ("/x",))


def sock_calls() -> Iterator[tuple[str, Make]]:
    """Yield calls with one odd address, path, timeout or socket each."""
    tables = {socket.AF_INET: ADDRESSES, socket.AF_INET6: ADDRESSES6}
    for family, addresses in tables.items():
        sock = partial(unconnected, family)
        for name, one in addresses.items():
            yield f"{family.name} {name}", partial(sock_connect, sock, _of_port(one))
    for name, path in PATHS.items():
        sock = partial(unconnected, socket.AF_UNIX)
        yield f"path {name}", partial(sock_connect, sock, _of_path(path))
    for timeout in (0.0, 0.5, None):
        sock = partial(unconnected, socket.AF_INET, timeout=timeout)
        for where in ("127.0.0.1", "localhost"):
            name = f"timeout {timeout}, {where}"
            here = _of_port(partial(_pair, where))
            yield name, partial(sock_connect, sock, here)
            gone = partial(_give, (where, 1))
            yield f"{name}, refused", partial(sock_connect, sock, gone)
        sock = partial(unconnected, socket.AF_UNIX, timeout=timeout)
        yield f"timeout {timeout}, Unix", partial(sock_connect, sock, _of_path(str))
    for name, given in SOCKETS.items():
        here = _of_port(partial(_pair, "127.0.0.1"))
        yield f"sock {name}", partial(sock_connect, given, here)


def _pair(host: str, port: int) -> tuple[str, int]:
    return (host, port)


def _of_port(make: Callable[[int], Any]) -> Callable[[World], Any]:
    return lambda world: make(world.port)


def _of_path(make: Callable[[str], Any]) -> Callable[[World], Any]:
    return lambda world: make(world.path)
