"""The arguments of ``aioconnect sweep``."""

from __future__ import annotations

from ._commands import Commands, add_command
from ._connector import add_connector, count

__all__ = ["add"]

_LIMIT = 100
_TIMEOUT = 10.0


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "sweep",
        summary="check a list of targets, many at once, and sum up",
        description="Connect to each target of a list, close the connection, and say"
        " how many ended how. A target that is there twice is checked twice."
        f" Unless --timeout says otherwise, each has {_TIMEOUT:g} seconds.",
        epilog="""
The list has a target a line: host:port, [IPv6]:port, unix:/path, vsock:cid:port or
srv:_service._proto.name. Empty lines and what follows a # are left out. A line that
is no target is reported with its number, and the others are checked.

Exit status: 0 all connected, 1 some not, 2 there was a line that is no target, or the
list could not be read.

Examples:

  $ aioconnect sweep fleet.txt --limit 500 --timeout 3
  $ aioconnect sweep --json - < fleet.txt | jq -r 'select(.error).target'
""",
    )
    command.add_argument("file", metavar="FILE", help="the list; - is standard input")
    command.add_argument(
        "--limit",
        metavar="N",
        type=count,
        default=_LIMIT,
        help=f"how many to connect to at once ({_LIMIT})",
    )
    command.add_argument(
        "--json",
        action="store_true",
        help="write a line for each target as it ends, as 'aioconnect probe --json'"
        " does but for the steps, and the summary to standard error",
    )
    add_connector(command)
    command.set_defaults(timeout=_TIMEOUT)
