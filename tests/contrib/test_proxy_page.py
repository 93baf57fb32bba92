"""What docs/howto/proxies.md shows is run as it stands there."""

from __future__ import annotations

import asyncio
import re
import ssl
import textwrap
from pathlib import Path
from typing import Any

import pytest
from proxies import proxying

import aioconnect
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import echoing, tls_echoing

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "proxies.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE.read_text())


def test_all_are_run() -> None:
    assert len(BLOCKS) == 4


async def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run *block* in a coroutine with these *names*, and return its own."""
    program = (
        f"async def main():\n{textwrap.indent(block, '    ')}    return locals()\n"
    )
    scope = {"aioconnect": aioconnect, "asyncio": asyncio, "ssl": ssl, **names}
    exec(program, scope)  # noqa: S102  # the page's own code
    made: dict[str, Any] = await scope["main"]()
    return made


async def test_one_proxy() -> None:
    with echoing() as echo, proxying("socks5", credentials=("user", "p@ss")) as it:
        it.names["db.internal"] = echo.host
        block = BLOCKS[0].replace("5432", str(echo.port))
        made = await run(block.replace("10.0.0.1:1080", f"{it.host}:{it.port}"), {})
        made["writer"].transport.abort()
        assert it.asked == [("db.internal", echo.port)]


async def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "x")
    with echoing() as echo, proxying("http") as it:
        monkeypatch.setenv("all_proxy", it.url())
        it.names.update(dict.fromkeys(["db.internal", "db1.internal"], echo.host))
        made = await run(BLOCKS[1].replace("5432", str(echo.port)), {})
        made["sock"].close()
        assert [host for host, _ in it.asked] == ["db.internal", "db1.internal"]


def test_a_loop() -> None:
    with echoing() as echo, proxying("http", names={"db.internal": echo.host}) as it:
        scope: dict[str, Any] = {"aioconnect": aioconnect, "asyncio": asyncio}
        scope["connector"] = ProxyConnector(proxy=it.url())
        exec(BLOCKS[2].replace("5432", str(echo.port)), scope)  # noqa: S102  # likewise
        assert it.asked == [("db.internal", echo.port)]


async def test_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contexts trust the certificates of the tests, not those of a company."""
    with (
        tls_echoing(names=["db.internal"]) as echo,
        proxying("socks5") as first,
        proxying("http", certified="127.0.0.1") as second,
    ):
        second.names["db.internal"] = echo.host
        block = BLOCKS[3].replace("10.0.0.1:1080", f"{first.host}:{first.port}")
        block = block.replace("proxy.internal:443", f"{second.host}:{second.port}")
        block = block.replace("5432", str(echo.port))
        contexts = iter((second.client_context, echo.client_context))
        make: Any = lambda **_: next(contexts)  # noqa: E731  # one expression
        monkeypatch.setattr(ssl, "create_default_context", make)
        made = await run(block, {"ProxyConnector": ProxyConnector})
        made["writer"].transport.abort()
        assert first.asked == [(second.host, second.port)]
        assert second.asked == [("db.internal", echo.port)]
