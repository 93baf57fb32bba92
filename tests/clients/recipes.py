"""Run each recipe of docs/howto/clients.md: its server is late, and restarts once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from pathlib import Path

from clients.services import Base, Service

__all__ = ["RESTART", "recipe", "recipes", "run_recipe"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "howto" / "clients.md"

# The line of a recipe where the test kills the server.  The next connect comes too
# early, which starts the server again.
RESTART = "# The server restarts here."

# What a recipe shows, and what the test runs instead.
REPLACED = {
    RESTART: "server.kill()",
    "Connector(": "Connector(observer=server, ",
    "loop_factory(connector)": "loop_factory(connector, base=base)",
    "asyncio.run(": "run(",
}


def recipes() -> dict[str, list[str]]:
    """Return the programs of the page by the heading above them."""
    sections = re.split(r"^## (.*)\n", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {
        name: re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for name, text in zip(sections[::2], sections[1::2], strict=True)
    }


def recipe(name: str, number: int = 0) -> str:
    """Return a program of the section *name*: its first one, unless *number* is 1."""
    return recipes()[name][number]


def run_recipe(
    name: str, base: Base, host: str, server: Service, *, number: int = 0
) -> list[str]:
    """Run a recipe on a loop of *base*, and return the lines that it printed.

    *host* replaces "localhost".  The *server* observes the recipe's connector.
    """
    printed: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []

    def made() -> asyncio.AbstractEventLoop:
        loops.append(base())
        return loops[-1]

    def run(main: Coroutine[object, object, None]) -> None:
        with asyncio.Runner(loop_factory=made) as runner:
            runner.run(main)

    def show(*values: object) -> None:
        printed.append(" ".join(map(str, values)))

    program = recipe(name, number).replace("localhost", host)
    for shown, tried in REPLACED.items():
        program = program.replace(shown, tried)
    scope = {"base": made, "print": show, "run": run, "server": server}
    code = compile(program, f"<{name} in clients.md>", "exec")
    exec(code, scope)  # noqa: S102  # the page's own code
    assert len(loops) == 1, "the recipe did not run on a loop of base"
    return printed
