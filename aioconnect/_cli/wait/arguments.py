"""The arguments of ``aioconnect wait``."""

from __future__ import annotations

from ..._io.service_targets import ServiceTarget
from ..argument_types import duration, positive_duration, target
from ..check_flags import add_insecure_flag, add_status_flag
from ..connector_flags import add_resolver_flag, add_retry_flags
from ..errors import CommandError
from ..parser import Commands, Parser, add_command

__all__ = ["add", "wait_target"]

_DESCRIPTION = (
    "Wait until every TARGET accepts a connection, and show meanwhile why it does not."
    " Then run COMMAND, if there is one."
)

_EPILOG = """
A TARGET is host:port or tcp://host:port, [IPv6]:port, unix:/path, unix:@abstract,
vsock:cid:port or srv:_service._proto.name, which needs the extra aiodns. A URL asks the
service whether it is ready: http://host/path, https://, postgres://, redis://,
rediss://, amqp://, mysql://, kafka:// and tls://host:port. dns://name waits until the
name has an address. aioconnect waits for all targets at the same time. It waits for a
name that does not exist yet, as it does for a port that refuses.

  $ aioconnect wait db:5432 cache:6379 --timeout 60 -- gunicorn app:main
  $ aioconnect wait postgres://db redis://cache http://web:8080/health --status 200
  $ aioconnect wait unix:/run/app.sock --settle 2 --interval 0.5
  $ aioconnect wait old:8080 --down --timeout 30 -- ./deploy

COMMAND replaces aioconnect: it keeps the process id, gets the signals, and sets the
exit status. Before the wait, aioconnect checks that COMMAND exists.

Exit status: 0 the targets are up (with --down: down); 1 gave up, after an error that
waiting does not mend; 124 the time ran out; 2 an argument is wrong; 126 COMMAND cannot
be run; 127 COMMAND is not found; 128 and more: ended by a signal, as a shell reports
it.
"""


def wait_target(text: str) -> ServiceTarget:
    """Return the target that *text* names: a ``type`` of argparse.

    Raises:
        CommandError: It names none, and may be a command without ``--``.
    """
    try:
        return target(text)
    except CommandError as exc:
        if ":" in text:
            raise
        raise CommandError(f"{exc}; a command goes after --") from None


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
        type=wait_target,
        help="where to connect to, such as db:5432",
    )
    command.set_defaults(command=[])  # `parse` puts the words after -- there
    _add_wait_flags(command)
    add_status_flag(command)
    add_insecure_flag(command)
    add_retry_flags(command)
    add_resolver_flag(command)
    command.add_argument(
        "--quiet", action="store_true", help="write nothing, unless the wait fails"
    )


def _add_wait_flags(command: Parser) -> None:
    command.add_argument(
        "--timeout",
        metavar="S",
        type=positive_duration,
        help="give up with status 124 after S seconds (never)",
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
        "--down", action="store_true", help="wait until the targets refuse, or are gone"
    )
