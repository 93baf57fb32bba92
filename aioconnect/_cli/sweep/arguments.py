"""The arguments of ``aioconnect sweep``."""

from __future__ import annotations

from ..argument_types import whole_number
from ..check_flags import add_insecure_flag, add_status_flag
from ..connector_flags import add_connector_flags
from ..parser import Commands, add_command

__all__ = ["add"]

_LIMIT = 100
_TIMEOUT = 10.0


_DESCRIPTION = (
    "Connect to each target of a list, many at once, and count the outcomes. A target"
    " that is listed twice is checked twice."
)

_EPILOG = f"""
The list has one target per line: host:port or tcp://host:port, [IPv6]:port, unix:/path,
unix:@abstract, vsock:cid:port or srv:_service._proto.name, which needs the extra
aiodns. A URL also asks the service whether it is ready: http://, https://, postgres://,
redis://, rediss://, amqp://, amqps://, mysql://, kafka:// and tls://. dns://name only
looks the name up. Empty lines and comments, which begin with #, are ignored. A line
that is not a target is reported with its number and the reason, and the other lines
are checked. Each target has {_TIMEOUT:g} s, unless --timeout says otherwise.

  $ aioconnect sweep fleet.txt --limit 500 --timeout 3
  $ grep web fleet.txt | aioconnect sweep --json - | jq -r 'select(.error).target'

A line can be two words, a host and a port. TIME is a number of seconds, such as 0.5 or
30, or has units, such as 500ms, 30s, 1m30s or 2h. Defaults are in parentheses.

--json writes each target as soon as it is checked, as an object on its own line. The
object is that of 'aioconnect probe --json', without the steps. The summary then goes to
standard error, and there is no progress bar if the objects go to a terminal or a pipe.
The progress bar needs the extra cli.

Exit status: 0 all targets are connected; 1 some are not; 2 a line is not a target, the
list cannot be read, or an argument is wrong; 128 and more: ended by a signal, after the
summary so far.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "sweep",
        summary="check many targets at once, and count the outcomes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    command.add_argument(
        "file", metavar="FILE", help="the list of targets; - is standard input"
    )
    command.add_argument(
        "--limit",
        metavar="N",
        type=whole_number,
        default=_LIMIT,
        help=f"connect to N targets at once ({_LIMIT})",
    )
    command.add_argument(
        "--json", action="store_true", help="write one JSON object per line"
    )
    add_status_flag(command)
    add_insecure_flag(command)
    add_connector_flags(command.add_argument_group("how to connect"))
    command.set_defaults(timeout=_TIMEOUT)
