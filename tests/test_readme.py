"""What the README shows is run as it stands there."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from programs import run_script
from proxies import proxying
from thrown import ROWS, rows_in

import aioconnect
from aioconnect.testing import echoing

# What a reader has imported, and made, by then.
BEFORE = """import asyncio
import socket
from typing import Any

import httpx

import aioconnect

connector = aioconnect.Connector()
fleet = [("db1", 5432), ("db2", 5432)]
client: Any = ...
"""

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """Return the README's code in *language*, block by block."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("example", [0, 1], ids=["streams", "protocol"])
def test_examples(example: int) -> None:
    """Both ways to write the length-prefixed protocol get their answer."""
    parts = [blocks("python")[0], blocks("python")[1]]
    program = parts[0]
    if example == 1:
        imports, call = parts[0].splitlines()[:2], parts[0].splitlines()[-1]
        program = "\n".join([*imports, parts[1], call])
    with echoing() as server:
        program = program.replace("9000", str(server.port))
        said = run_script(sys.executable, "-X", "dev", "-c", program)
    assert said.strip() == "b'is anybody there?'"


# The checkers, each with its flag for strict mode.
CHECKERS = {
    "mypy": ("--strict", "--no-incremental", "--cache-dir", os.devnull),
    "basedpyright": ("--level", "error", "--pythonpath", sys.executable),
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_examples_are_typed(checker: str, tmp_path: Path) -> None:
    """Every example passes, in a function of its own."""
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"needs {checker}, of the group dev")
    bodies = (
        f"async def example_{number}() -> None:\n{textwrap.indent(block, '    ')}"
        for number, block in enumerate(blocks("python"))
    )
    example = tmp_path / "examples.py"
    example.write_text("\n\n".join([BEFORE, *bodies]))
    settings = {"typeCheckingMode": "standard"}  # pyright's own
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = (sys.executable, "-m", checker, *CHECKERS[checker], "examples.py")
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_waiting_and_coming_back() -> None:
    """The examples of the section on it, one after the other."""
    text = README.read_text().partition("## Waiting, ")[2].partition("\n## ")[0]
    parts = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(parts) == 3
    body = textwrap.indent("".join(parts), "    ")
    program = (
        f"import asyncio, aioconnect\nasync def main():\n{body}"
        "    print(reader, sock)\n    sock.close()\nasyncio.run(main())\n"
    )
    with echoing() as server:
        program = program.replace("9000", str(server.port))
        said = run_script(sys.executable, "-X", "dev", "-c", program)
    assert "StreamReader" in said
    assert str(server.sockaddr) in said


def test_seeing_it() -> None:
    """The example shows a waterfall, and the picture is there."""
    text = README.read_text().partition("## Seeing it")[2].partition("\n## ")[0]
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    program = (
        f"import asyncio, aioconnect\nasync def main():\n"
        f"{textwrap.indent(example, '    ')}    sock.close()\nasyncio.run(main())\n"
    )
    with echoing() as server:
        program = program.replace("9000", str(server.port))
        said = run_script(sys.executable, "-X", "dev", "-c", program)
    assert f"✓ attempt {server.host}:{server.port}" in said
    (picture,) = re.findall(r"\]\((.*\.svg)\)", text)
    assert (README.parent / picture).is_file()


def test_under_code_that_exists() -> None:
    """The examples of `loop_factory`, and of the adapters."""
    text = README.read_text().partition("## Under code ")[2].partition("\n## ")[0]
    loops, adapters = re.findall(
        r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    program = (
        f"import asyncio, httpx, aioconnect\n{loops}"
        f"async def adapt():\n{textwrap.indent(adapters, '    ')}"
        "    await stream.aclose()\n    await client.aclose()\n"
        "    print(stream)\nasyncio.run(adapt())\n"
    )
    with echoing() as server:
        program = program.replace("9000", str(server.port))
        said = run_script(sys.executable, "-X", "dev", "-c", program)
    assert "StreamReader" in said
    assert "SocketStream" in said


async def test_through_a_proxy() -> None:
    """The example connects through the proxy with those credentials."""
    (example,) = (one for one in blocks("python") if "contrib import proxy" in one)
    with echoing() as server, proxying("socks5", credentials=("user", "p@ss")) as it:
        it.names["db.internal"] = server.host
        example = example.replace("5432", str(server.port))
        example = example.replace("10.0.0.1:1080", f"{it.host}:{it.port}")
        body = textwrap.indent(example, "    ")
        program = f"async def main():\n{body}    writer.transport.abort()\n"
        made: dict[str, Any] = {"aioconnect": aioconnect}
        exec(program, made)  # noqa: S102  # the README's own code
        await made["main"]()
        assert it.asked == [("db.internal", server.port)]


async def test_the_kit() -> None:
    """The example of aioconnect.testing is a test that passes."""
    (program,) = (text for text in blocks("python") if "aioconnect.testing" in text)
    scope: dict[str, Any] = {"aioconnect": aioconnect}
    exec(program, scope)  # noqa: S102  # the README is ours
    await scope["test_my_client_comes_back"]()


def test_never_the_strangers_package() -> None:
    """No text says to install from the index, where the name is a stranger's."""
    package = Path(aioconnect.__file__).parent
    for path in (README, *package.rglob("*.py")):
        told = re.findall(r"pip install\s+(?!'\.\[)(.*)", path.read_text())
        assert not told, path


def test_the_two_commands() -> None:
    """One command installs and shows it, one installs and tests it."""
    demo, tests = blocks("sh")
    assert demo.strip().endswith("aioconnect demo")
    assert tests.strip().endswith("-m pytest")


def test_the_commands_for_who_changes_the_code() -> None:
    """The first is the README's, and CI runs both as they stand there."""
    text = README.with_name("CONTRIBUTING.md").read_text()
    first, second, *_ = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert first == blocks("sh")[1]
    assert second.strip().endswith("-m pytest -m thorough")


def test_the_table_of_what_was_thrown() -> None:
    """It has the rows that a run of the fault suite writes, in their order."""
    assert rows_in() == list(ROWS.values())
