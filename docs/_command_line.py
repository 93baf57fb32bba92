"""Write the tables of flags into docs/reference/command-line.md, from the parsers.

Run it in the top folder of a checkout: ``python -m docs._command_line``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from aioconnect._cli.command_line import make_parser

__all__ = ["PAGE", "main", "updated"]

PAGE = Path(__file__).parent / "reference" / "command-line.md"

# The text between these two is generated.
_TABLE = re.compile(r"(<!-- flags of (\w+) -->\n).*?(<!-- end of flags -->)", re.DOTALL)


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    for action in _actions(make_parser()):
        if isinstance(action.choices, dict):
            return action.choices
    raise AssertionError("there are no commands")


def updated(text: str) -> str:
    """Return the *text* of the page with the tables that the parsers say now."""
    parsers = commands()
    return _TABLE.sub(
        lambda match: match[1] + "".join(_rows(parsers[match[2]])) + match[3], text
    )


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001  # argparse has no public name for them


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield "\n| argument | what it does |\n|---|---|\n"
    for action in _actions(parser):
        if action.option_strings != ["-h", "--help"]:
            yield f"| {_syntax(action)} | {_sentence(action.help or '')} |\n"
    yield "\n"


def _syntax(action: argparse.Action) -> str:
    value = action.metavar or "\\|".join(map(str, action.choices or ()))
    if not action.option_strings:
        return f"`{value} ...`" if action.nargs == "+" else f"`{value}`"
    value = "" if action.nargs == 0 else f" {value}"
    return ", ".join(f"`{flag}{value}`" for flag in action.option_strings)


def _sentence(text: str) -> str:
    text = text.replace("|", "\\|").removeprefix("or ")
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def main() -> None:
    """Bring the page up to date."""
    PAGE.write_text(updated(PAGE.read_text()))


if __name__ == "__main__":
    main()
