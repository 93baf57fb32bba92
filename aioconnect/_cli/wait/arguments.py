"""The arguments of ``aioconnect wait``."""

from __future__ import annotations

import argparse
from itertools import pairwise

from ..._io.service_targets import ServiceTarget
from ..._sansio.text import redacted_repr
from ..argument_types import duration, positive_duration, target
from ..check_flags import add_insecure_flag, add_status_flag
from ..connector_flags import add_resolver_flag, add_retry_flags
from ..errors import CommandError
from ..parser import Commands, Parser, add_command
from ..target_words import host_and_port, is_port
from .other_programs import refuse_wait4x_command

__all__ = ["add"]

_DESCRIPTION = (
    "Wait until every TARGET accepts a connection. Then run COMMAND, if you give one."
    " There is no default timeout: without --timeout, the wait never gives up on a"
    " server that may still start. While it waits, it shows why a TARGET is not up."
)

_EPILOG = """
A TARGET is host:port or tcp://host:port, [IPv6]:port, unix:/path, unix:@abstract,
vsock:cid:port or srv:_service._proto.name, which needs the extra aiodns. A URL asks the
service whether it is ready: http://host/path, https://, postgres://, redis://,
rediss://, amqp://, amqps://, mysql://, kafka:// and tls://host:port. dns://name waits
until the name has an address. aioconnect waits for all targets at the same time. It
also waits for a name that does not exist yet.

  $ aioconnect wait db:5432 cache:6379 --timeout 60 -- gunicorn app:main
  $ aioconnect wait postgres://db redis://cache http://web:8080/health --status 200
  $ aioconnect wait unix:/run/app.sock --settle 2 --interval 0.5
  $ aioconnect wait old:8080 --down --timeout 30 -- ./deploy
  $ aioconnect wait db 5432 -t 1m30s -q

If there is only one TARGET, it can be two words, a host and a port. TIME is a number of
seconds, such as 0.5 or 30, or has units, such as 500ms, 30s, 1m30s or 2h. Defaults are
in parentheses.

aioconnect does not start servers, and one target cannot wait for another. For that, use
depends_on in Compose, or After= in systemd.

COMMAND replaces aioconnect. It has the same process ID, receives the signals, and sets
the exit status. aioconnect checks that COMMAND exists before it waits.

Exit status: 0 the targets are up (with --down: down); 1 an error that waiting does not
fix; 124 the timeout expired; 2 an argument is wrong; 126 COMMAND cannot be run; 127
COMMAND is not found; 128 and more: ended by a signal, as a shell reports it.
"""


def _take_targets(arguments: argparse.Namespace, late: list[str]) -> list[str]:
    """Make targets of the words before the flags and of *late*, the words after one.

    Return the words that are left over: none.
    """
    words: list[str] = arguments.targets + late
    text = host_and_port(words)
    if text is None:
        refuse_wait4x_command(words)
        _refuse_second_pair(words)
        arguments.targets = [*map(_wait_target, words)]
    else:
        arguments.targets = [target(text)]
    return []


def _refuse_second_pair(words: list[str]) -> None:
    """Raise if there is a host and a port in two words among other words.

    The two could also be a command without ``--``: ``db:5432 sleep 10``.
    """
    for pair in pairwise(words):
        if (text := host_and_port(pair)) is not None:
            raise CommandError(
                f"target {redacted_repr(pair[0])} has no port; if {pair[1]} is the"
                f" port, write {redacted_repr(text)} (only a single target can be two"
                " words); a command goes after --"
            )


def _wait_target(text: str) -> ServiceTarget:
    """Return the target that *text* names.

    Raises:
        CommandError: *text* is not a target; it may be a command without ``--``.
    """
    try:
        return target(text)
    except CommandError as exc:
        if ":" in text or is_port(text):
            raise
        raise CommandError(f"{exc}; a command goes after --") from None


def _timeout(text: str) -> float:
    seconds = duration(text)
    if not seconds:
        # In wait-for-it and wait4x, 0 means no timeout.
        problem = "must be more than 0; to wait without a limit, leave --timeout out"
        raise argparse.ArgumentTypeError(problem)
    return seconds


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
        help="where to connect to, such as db:5432",
    )
    # `parse` calls `take_targets`, and puts the words after -- into `command`.
    command.set_defaults(command=[], take_targets=_take_targets)
    _add_wait_flags(command)
    add_status_flag(command)
    add_insecure_flag(command)
    add_retry_flags(command)
    add_resolver_flag(command)
    command.add_argument(
        *("-q", "--quiet"),
        action="store_true",
        help="write nothing, unless the wait fails",
    )


def _add_wait_flags(command: Parser) -> None:
    command.add_argument(
        *("-t", "--timeout"),
        metavar="TIME",
        type=_timeout,
        help="give up after TIME, with exit status 124 (never give up)",
    )
    command.add_argument(
        "--attempt-timeout",
        metavar="TIME",
        type=positive_duration,
        default=argparse.SUPPRESS,
        help="limit each attempt at an address to TIME (3; 5 for a URL that asks a"
        " service)",
    )
    command.add_argument(
        "--settle",
        metavar="TIME",
        type=duration,
        default=0.0,
        help="wait until a connection stays open for TIME (0); some ports accept"
        " connections and close them at once, because no server is behind them",
    )
    command.add_argument(
        "--any", action="store_true", help="wait until one TARGET is up, instead of all"
    )
    command.add_argument(
        "--down",
        action="store_true",
        help="wait until the targets refuse connections, or are gone",
    )
