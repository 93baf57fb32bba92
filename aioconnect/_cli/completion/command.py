"""``aioconnect completion``: write a script that completes the command line."""

from __future__ import annotations

import argparse
from typing import Any

from ..command_line import make_parser
from ..errors import CommandError
from ..parser import Parser

try:
    import shtab
except ModuleNotFoundError:
    raise CommandError(
        "completion needs shtab: in a checkout, pip install '.[cli]'"
    ) from None

__all__ = ["run"]

# For an argument that can be anything, zsh lists the matching flags and inserts none.
# This tells zsh that there is nothing else to complete, and then it inserts the flag.
_NOTHING_TO_COMPLETE = {"zsh": "()"}


def run(arguments: argparse.Namespace) -> int:
    """Write the script for the shell in *arguments*."""
    parser = make_parser()
    _annotate(parser)
    print(shtab.complete(parser, arguments.shell))
    return 0


def _annotate(parser: Parser) -> None:
    """Tell shtab what it cannot find out from *parser* by itself."""
    # A shell's list of commands has only room for the summary.
    parser.description = parser.summary or parser.description
    actions: list[Any] = parser._actions  # noqa: SLF001  # argparse has no public way
    for action in actions:
        if action.nargs == argparse.PARSER:
            for command in action.choices.values():
                _annotate(command)
        elif action.metavar == "FILE":
            action.complete = shtab.FILE
        elif not action.option_strings and action.choices is None:
            action.complete = _NOTHING_TO_COMPLETE
