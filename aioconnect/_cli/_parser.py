"""Read the command line: the whole tree of commands.

The arguments of a command are in ``_<command>_arguments``, and what it does is
``run(arguments)`` in ``_<command>``, which is imported when it is run: no command needs
what another does.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from .. import __version__
from . import _demo_arguments
from ._commands import Commands, Help, Parser
from ._errors import CommandError

__all__ = ["make_parser", "parse"]

_COMMANDS = (_demo_arguments,)


def make_parser() -> Parser:
    """Return the whole tree."""
    parser = Parser(
        prog="aioconnect",
        description="Connect from asyncio: a socket that is returned is connected,"
        " or one error says why.",
        epilog="'aioconnect COMMAND --help' says more, with examples.",
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands: Commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=Parser
    )
    for command in _COMMANDS:
        command.add(commands)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments in *argv*; *module* says whose they are, if anybody's.

    Raises:
        CommandError: They cannot be.
    """
    arguments, unknown = make_parser().parse_known_args(argv)
    if unknown:
        command = getattr(arguments, "module", "").replace("_", " ")
        see = f"(see 'aioconnect{command} --help')"
        raise CommandError(f"unrecognized arguments: {shlex.join(unknown)} {see}")
    return arguments
