"""The arguments of ``aioconnect wait``."""

from __future__ import annotations

from ..._io.targets import Target
from ..commands import Commands, add_command
from ..connector_flags import add_delays, add_resolver, duration, patience
from ..errors import CommandError
from ..target_argument import target_of

__all__ = ["add", "waited"]

_DESCRIPTION = (
    "Wait until each TARGET has accepted a connection, and show until then why it has"
    " not; then become COMMAND, if there is one."
)

_EPILOG = """
A TARGET is host:port or tcp://host:port, [IPv6]:port, unix:/path, unix:@abstract,
vsock:cid:port or srv:_service._proto.name, which needs the extra aiodns. All
are waited for at once. A name that does not exist may come later, and is waited for,
as a port that refuses is.

  $ aioconnect wait db:5432 cache:6379 --timeout 60 -- gunicorn app:main
  $ aioconnect wait unix:/run/app.sock --settle 2 --interval 0.5
  $ aioconnect wait old:8080 --down --timeout 30 -- ./deploy

COMMAND takes the place of aioconnect: it has its process id, and its signals and its
exit status are its own. That it is there is looked at before the wait.

Exit status: 0 up, or with --down down; 1 given up, for an error that no wait mends;
124 the time ran out; 2 an argument is wrong; 126 COMMAND cannot be run; 127 it is not
there; 128 and more: ended by a signal, as a shell says it.
"""


def waited(text: str) -> Target:
    """Return the target that *text* says: a ``type`` for argparse.

    Raises:
        CommandError: It says none, and may be a command.
    """
    try:
        return target_of(text)
    except CommandError as exc:
        if ":" in text:
            raise
        raise CommandError(f"{exc}; a command goes behind --") from None


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "wait",
        summary="wait until servers are up, and then run a command",
        usage="%(prog)s [OPTION ...] TARGET [TARGET ...] [-- COMMAND ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    command.add_argument(
        "targets",
        metavar="TARGET",
        nargs="+",
        type=waited,
        help="where to connect to, such as db:5432",
    )
    command.set_defaults(command=[])  # `parse` puts there what stands behind --
    command.add_argument(
        "--timeout",
        metavar="S",
        type=patience,
        help="end with status 124 after S seconds (never)",
    )
    command.add_argument(
        "--settle",
        metavar="S",
        type=duration,
        default=0.0,
        help="a connection has to stay open for S seconds: not every port that accepts"
        " has a server behind it",
    )
    command.add_argument(
        "--any", action="store_true", help="one TARGET is enough, instead of all"
    )
    command.add_argument(
        "--down", action="store_true", help="wait until they refuse, or are gone"
    )
    add_delays(command)
    add_resolver(command)
    command.add_argument(
        "--quiet", action="store_true", help="say nothing, unless it fails"
    )
