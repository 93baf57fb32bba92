"""Parse the whole command line: all commands and their arguments.

Each command is a folder.  Its arguments are in ``<command>/arguments.py``, which is
always imported.  What it does is ``run(arguments)`` in ``<command>/command.py``, which
is imported only when that command runs.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from .. import __version__
from .._sansio.text import redact_urls
from .completion import arguments as _completion_arguments
from .demo import arguments as _demo_arguments
from .errors import CommandError
from .parser import Commands, HelpFormatter, Parser
from .probe import arguments as _probe_arguments
from .sweep import arguments as _sweep_arguments
from .wait import arguments as _wait_arguments
from .wait.other_programs import refuse_other_flags

__all__ = ["make_parser", "parse"]

_COMMANDS = (
    _wait_arguments,
    _probe_arguments,
    _sweep_arguments,
    _demo_arguments,
    _completion_arguments,
)


def make_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="aioconnect",
        description="Wait until servers are up, see why a connect is slow or fails, and"
        " check many servers at once.",
        epilog="Run 'aioconnect COMMAND --help' for details and examples.",
        formatter_class=HelpFormatter,
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
    """Return the arguments in *argv*; *subcommand* names the command, if there is one.

    Raises:
        CommandError: An argument is wrong.
    """
    argv, command = _split_at_dashes(argv)
    if list(argv[:1]) == ["wait"]:
        refuse_other_flags(argv[1:], has_command=bool(command))
    arguments, unknown = make_parser().parse_known_args(argv)
    # argparse takes positional arguments in one run only.  Targets after a flag
    # are left over.
    take_targets = vars(arguments).pop("take_targets", None)
    if take_targets and not any(one.startswith("-") for one in unknown):
        unknown = take_targets(arguments, unknown)
    if unknown:
        name = getattr(arguments, "subcommand", "")
        see = f"(see '{f'aioconnect {name}'.strip()} --help')"
        quoted = shlex.join(redact_urls(one, strict=True) for one in unknown)
        raise CommandError(f"unrecognized arguments: {quoted} {see}")
    if command:
        arguments.command = command
    return arguments


def _split_at_dashes(argv: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """Return the arguments in *argv*, and the command after ``--``, if there is one.

    argparse never sees that command.  Since Python 3.12.8 and 3.13.1, argparse would
    take a target after a flag for the command's name.
    """
    if list(argv[:1]) != ["wait"] or "--" not in argv:
        return argv, []
    at = argv.index("--")
    if at + 1 == len(argv):
        raise CommandError("there is no command after --")
    return argv[:at], [*argv[at + 1 :]]
