"""``aioconnect completion``: write a script that completes the command line."""

from __future__ import annotations

import argparse
from typing import Any

from ..commands import Parser
from ..errors import CommandError
from ..parser import make_parser

try:
    import shtab
except ModuleNotFoundError:
    raise CommandError(
        "completion needs shtab: in a checkout, pip install '.[cli]'"
    ) from None

__all__ = ["run"]

# Where an argument can be anything, zsh lists the flags that fit and inserts none,
# unless it is told that there is nothing else.
_NOTHING = {"zsh": "()"}


def run(arguments: argparse.Namespace) -> int:
    """Write the script for the shell that *arguments* name."""
    parser = make_parser()
    _prepare(parser)
    print(shtab.complete(parser, arguments.shell))
    return 0


def _prepare(parser: Parser) -> None:
    """Say to shtab what it does not see in *parser*."""
    # A list of commands has no room for more.
    parser.description = parser.summary or parser.description
    actions: list[Any] = parser._actions  # noqa: SLF001  # argparse gives them to nobody
    for action in actions:
        if action.nargs == argparse.PARSER:
            for command in action.choices.values():
                _prepare(command)
        elif action.metavar == "FILE":
            action.complete = shtab.FILE
        elif not action.option_strings and action.choices is None:
            action.complete = _NOTHING
