"""The command ``aioconnect``.  Needs nothing but the standard library."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .. import __version__
from ._demo import demo

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (`sys.argv` if None); return its exit status."""
    parser = argparse.ArgumentParser(
        prog="aioconnect",
        description="Connect from asyncio: a socket that is returned is connected,"
        " or one error says why.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "demo",
        help="connect to a server that starts late, on each loop, and show how",
        description="Start a server, in a process of its own, that listens only after"
        " a second; connect to it with a retry policy on asyncio and on uvloop;"
        " exchange bytes; and show what happens, next to what"
        " asyncio.open_connection makes of the same server.",
    )
    command.set_defaults(run=demo)
    arguments = parser.parse_args(argv)
    status: int = arguments.run()
    return status
