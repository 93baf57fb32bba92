"""Text of any length from outside is refused at once, and not kept.

Encoding a host of 100,000 characters as a name takes seconds, and blocks the loop.
Therefore each place that takes text checks its length first.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from http_pairs import PAIRS, Pair

import aioconnect
from aioconnect import Address, Connector, parse_target
from aioconnect._cli.argument_types import target
from aioconnect._cli.errors import CommandError
from aioconnect._loops.subclass import convert_loop
from aioconnect._sansio.srv_records import SRVRecord
from aioconnect._sansio.text import safe_repr
from aioconnect.contrib import proxy
from aioconnect.contrib.aiodns import AiodnsResolver
from aioconnect.contrib.anyio import Connectable

LENGTH = 100_000

# In seconds of CPU.  To walk along the text takes milliseconds; to encode it takes many
# seconds.
MOST = 1.0

TEXTS = {
    "letters": "x" * LENGTH,
    "that become eighteen": "\ufdfa" * LENGTH,
    "that differ": "".join(map(chr, range(0x4E00, 0x9000))) * (LENGTH // 0x4200),
    "with accents": "a\u0323\u0302" * (LENGTH // 3),
    "that become nothing": "\u00ad" * LENGTH,
    "labels": "ü." * (LENGTH // 2),
    "dots": "." * LENGTH,
    "colons": ":" * LENGTH,
    "digits": "9" * LENGTH,
    "zeros": "0" * LENGTH,
    "of Arabia": "٣" * LENGTH,
    "a scope": "fe80::1%" + "0" * LENGTH,
    "an interface": "fe80::1%" + "e" * LENGTH,
    "escapes": "%41" * (LENGTH // 3),
    "brackets": "[" * LENGTH,
    "a service": "_a." * (LENGTH // 3),
}


class Services:
    """A resolver whose SRV records have a long host."""

    def __init__(self, host: str) -> None:
        self.host = host

    async def services(self, service: str) -> Sequence[SRVRecord]:
        """Return the records."""
        return [SRVRecord(0, 0, 80, self.host)] * 2

    async def __call__(self, host: str, port: int, **_: Any) -> Sequence[Address]:
        """Know nothing."""
        return ()


async def said(check: Callable[[], object]) -> object:
    """Return the coroutine of a function, which is never awaited."""
    return check()


async def by_the_loop(method: str, *arguments: Any) -> Any:
    """Call *method* of a factory's loop."""
    loop = asyncio.get_running_loop()
    kind = type(loop)
    convert_loop(loop, Connector())
    try:
        return await getattr(loop, method)(*arguments)
    finally:
        loop.__class__ = kind


async def by_sock_connect(text: str) -> None:
    """Connect the caller's socket to *text*."""
    with socket.socket() as sock:
        sock.setblocking(False)
        await by_the_loop("sock_connect", sock, (text, 80))


CONNECT_ERRORS = tuple(pair.httpcore.ConnectError for pair in PAIRS.values())
REFUSED = (ValueError, OSError, CommandError, *CONNECT_ERRORS)

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

SURFACES: dict[str, Callable[[str], Awaitable[object]]] = {
    "connect": lambda text: aioconnect.connect(text, 80),
    "connect: octets": lambda text: aioconnect.connect(
        text.encode("utf-8", "replace"),  # type: ignore[arg-type]  # that is the test
        80,
    ),
    "connect: port": lambda text: aioconnect.connect("127.0.0.1", text),
    "connect: local_addr": lambda text: aioconnect.connect(
        "127.0.0.1", 80, local_addr=(text, 0)
    ),
    "connect_unix": aioconnect.connect_unix,
    "open_connection: server_hostname": lambda text: aioconnect.open_connection(
        "127.0.0.1", 80, ssl=CONTEXT, server_hostname=text
    ),
    "connect_any": lambda text: aioconnect.connect_any([(text, 80)]),
    "connect_any: a target": lambda text: aioconnect.connect_any([text]),
    "connect_any: SRV": lambda text: aioconnect.connect_any(
        ["srv:_a._b.c"], resolver=Services(text)
    ),
    "wait_until_up": lambda text: aioconnect.wait_until_up(text, 80, timeout=1),
    "system_resolver": lambda text: aioconnect.system_resolver(text, 80),
    "AiodnsResolver": lambda text: AiodnsResolver()(text, 80),
    "AiodnsResolver: a service": lambda text: AiodnsResolver().services(text),
    "AiodnsResolver: a server": lambda text: said(lambda: AiodnsResolver([text])),
    "loop.create_connection": lambda text: by_the_loop(
        "create_connection", asyncio.Protocol, text, 80
    ),
    "loop.sock_connect": by_sock_connect,
    "Address": lambda text: said(lambda: Address(socket.AF_INET6, (text, 80))),
    "parse_target": lambda text: said(lambda: parse_target(text)),
    "parse_target: host": lambda text: said(lambda: parse_target(f"{text}:80")),
    "parse_target: [host]": lambda text: said(lambda: parse_target(f"[{text}]:80")),
    "parse_target: port": lambda text: said(lambda: parse_target(f"a:{text}")),
    "parse_target: srv": lambda text: said(lambda: parse_target(f"srv:_a._b.{text}")),
    "parse_target: unix": lambda text: said(lambda: parse_target(f"unix:{text}")),
    "parse_target: vsock": lambda text: said(
        lambda: parse_target(f"vsock:{text}:{text}")
    ),
    "proxy: URL": lambda text: proxy.connect("127.0.0.1", 80, proxy=text),
    "proxy: its host": lambda text: proxy.connect(
        "127.0.0.1", 80, proxy=f"http://{text}:80"
    ),
    "proxy: its port": lambda text: proxy.connect(
        "127.0.0.1", 80, proxy=f"http://a:{text}"
    ),
    "proxy: credentials": lambda text: proxy.connect(
        "127.0.0.1", 80, proxy=f"socks5://{text}@a:80"
    ),
    "proxy: host": lambda text: proxy.connect(text, 80, proxy="socks5h://127.0.0.1:9"),
    "anyio": lambda text: Connectable((text, 80)).connect(),
    "anyio: tls_hostname": lambda text: said(
        lambda: Connectable("127.0.0.1:80", tls=True, tls_hostname=text)
    ),
    "command line": lambda text: said(lambda: target(f"{text}:80")),
}


async def over_httpcore(pair: Pair, host: str, port: int, **options: str) -> object:
    """Connect as a pool of httpcore does."""
    return await pair.backend().connect_tcp(host, port, **options)


async def over_httpcore_from(pair: Pair, text: str) -> object:
    """Connect from the local address *text*."""
    return await over_httpcore(pair, "127.0.0.1", 80, local_address=text)


for pair in PAIRS.values():
    name = pair.httpcore.__name__
    SURFACES[name] = partial(over_httpcore, pair, port=80)
    SURFACES[f"{name}: local_address"] = partial(over_httpcore_from, pair)


@pytest.mark.parametrize("name", SURFACES)
async def test_a_long_text_is_refused_at_once(name: str) -> None:
    """Its length costs little time, and the message quotes only its beginning."""
    for kind, text in TEXTS.items():
        begun = time.thread_time()
        with pytest.raises(REFUSED) as caught:
            await SURFACES[name](text)
        assert time.thread_time() - begun < MOST, kind
        assert len(str(caught.value)) < 3000, kind


@pytest.mark.parametrize(
    "name",
    ["connect", "connect_unix", "loop.sock_connect", "Address", "parse_target"],
)
async def test_a_long_text_is_not_kept(name: str) -> None:
    """No cache keeps it, however often it comes."""
    text = "x" * LENGTH
    count = sys.getrefcount(text)
    with contextlib.suppress(*REFUSED):
        await SURFACES[name](text)
    gc.collect()
    assert sys.getrefcount(text) == count


def test_only_the_beginning_of_a_long_value_is_shown() -> None:
    """The part that an error's text has no room for is not even made."""
    looked_at: list[object] = []

    class Member:
        def __repr__(self) -> str:
            looked_at.append(self)
            return "member"

    values: list[object] = [[Member()] * LENGTH, (Member(),) * LENGTH]
    for value in values:
        looked_at.clear()
        assert safe_repr(value).endswith("...")
        assert len(looked_at) < 1000
    assert safe_repr("x" * LENGTH) == f"'{'x' * 199}..."
