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
from .._sansio.text import redact_urls
from .commands import Commands, Help, Parser
from .completion import arguments as _completion_arguments
from .demo import arguments as _demo_arguments
from .errors import CommandError
from .probe import arguments as _probe_arguments
from .sweep import arguments as _sweep_arguments
from .wait import arguments as _wait_arguments
from .wait.arguments import waited

__all__ = ["make_parser", "parse"]

_COMMANDS = (
    _wait_arguments,
    _probe_arguments,
    _sweep_arguments,
    _demo_arguments,
    _completion_arguments,
)


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
        title="commands", metavar="COMMAND", parser_class=Parser, prog=parser.prog
    )
    for command in _COMMANDS:
        command.add(commands)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments in *argv*; *module* says whose they are, if anybody's.

    Raises:
        CommandError: They cannot be.
    """
    argv, command = _parted(argv)
    arguments, unknown = make_parser().parse_known_args(argv)
    # argparse takes the positional ones in one run; those behind a flag are left.
    late = [one for one in unknown if not one.startswith("-")]
    if late and "targets" in arguments and len(late) == len(unknown):
        arguments.targets += map(waited, late)
    elif unknown:
        name = getattr(arguments, "subcommand", "")
        see = f"(see '{f'aioconnect {name}'.strip()} --help')"
        said = shlex.join(redact_urls(one, strict=True) for one in unknown)
        raise CommandError(f"unrecognized arguments: {said} {see}")
    if command:
        arguments.command = command
    return arguments


def _parted(argv: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """Return the arguments in *argv*, and the command behind ``--``, if there is one.

    argparse never sees the command.  It would take a target behind a flag for the
    command's name, from Python 3.12.8 and 3.13.1 on.
    """
    if list(argv[:1]) != ["wait"] or "--" not in argv:
        return argv, []
    at = argv.index("--")
    if at + 1 == len(argv):
        raise CommandError("there is no command behind --")
    return argv[:at], [*argv[at + 1 :]]
