"""The chain in docs/howto/proxies.md is run, with certificates of the tests.

The other programs of the page are run as those of all pages are.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from proxies import proxying

from aioconnect.testing import tls_echoing

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "proxies.md"
BLOCK = re.compile(
    r"<!-- not run: .* -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL
)


async def test_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contexts trust the certificates of the tests, not those of a company."""
    (block,) = BLOCK.findall(PAGE.read_text())
    with (
        tls_echoing(names=["db.internal"]) as echo,
        proxying("socks5") as first,
        proxying("http", certified="127.0.0.1") as second,
    ):
        second.names["db.internal"] = echo.host
        block = block.replace("10.0.0.1:1080", f"{first.host}:{first.port}")
        block = block.replace("proxy.internal:443", f"{second.host}:{second.port}")
        block = block.replace("5432", str(echo.port))
        contexts = iter((second.client_context, echo.client_context))
        make: Any = lambda **_: next(contexts)  # noqa: E731  # one expression
        monkeypatch.setattr(ssl, "create_default_context", make)
        scope: dict[str, Any] = {}
        exec(block.removesuffix("asyncio.run(main())\n"), scope)  # noqa: S102  # the page's own code
        await scope["main"]()
        assert first.asked == [(second.host, second.port)]
        assert second.asked == [("db.internal", echo.port)]
