"""What the README shows is run as it stands there."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aioconnect

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """Return the README's code in *language*, block by block."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
    )


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("example", [0, 1], ids=["streams", "protocol"])
async def test_examples(example: int) -> None:
    """Both ways to write the length-prefixed protocol get their answer."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parts = [blocks("python")[0], blocks("python")[1]]
    program = parts[0]
    if example == 1:
        imports, call = parts[0].splitlines()[:2], parts[0].splitlines()[-1]
        program = "\n".join([*imports, parts[1], call])
    program = program.replace("9000", str(port))
    command = [sys.executable, "-X", "dev", "-c", program]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done
    assert done.stdout.strip() == b"b'is anybody there?'"
    server.close()
    await server.wait_closed()


async def test_the_kit() -> None:
    """The example of aioconnect.testing is a test that passes."""
    (program,) = (text for text in blocks("python") if "aioconnect.testing" in text)
    scope: dict[str, Any] = {"aioconnect": aioconnect}
    exec(program, scope)  # noqa: S102  # the README is ours
    await scope["test_my_client_comes_back"]()


def test_never_the_strangers_package() -> None:
    """Nobody is told to install the package that has this name on the index."""
    assert not re.search(r"pip install ['\"]?aioconnect\b(?!-)", README.read_text())


def test_the_two_commands() -> None:
    """One command installs and shows it, one installs and tests it."""
    demo, tests = blocks("sh")
    assert demo.strip().endswith("aioconnect demo")
    assert tests.strip().endswith("-m pytest")
