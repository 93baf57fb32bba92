"""Tell users of other programs that wait for servers which flag they want here.

The programs are wait-for-it, dockerize, wait4x and wait-port.  A flag of theirs that
``aioconnect wait`` does not take gets an error that names the flag to use.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..errors import CommandError

__all__ = ["refuse_other_flags", "refuse_wait4x_command"]

_HOST_PORT = "write the target as HOST:PORT, such as db:5432"
_BACKOFF = "use --backoff INITIAL,MAXIMUM,FACTOR, such as --backoff 1,5,2"
_ONLY_WAITS = "leave it out: aioconnect fills in no templates, and follows no log files"

_HINTS = {
    # wait-for-it
    "--host": _HOST_PORT,
    "-p": _HOST_PORT,
    "--port": _HOST_PORT,
    "-s": "leave it out: COMMAND never runs after a wait that failed",
    "--strict": "leave it out: COMMAND never runs after a wait that failed",
    # dockerize.  Without this, argparse would take -timeout for -t with a value.
    "-wait": "leave it out: targets need no flag",
    "--wait": "leave it out: targets need no flag",
    "-timeout": "use --timeout",
    "-wait-retry-interval": "use --interval",
    "--wait-retry-interval": "use --interval",
    "-template": _ONLY_WAITS,
    "-stdout": _ONLY_WAITS,
    "-stderr": _ONLY_WAITS,
    # wait4x
    "-i": "use --interval",
    "-v": "use --down",
    "--invert-check": "use --down",
    "--backoff-policy": _BACKOFF,
    "--backoff-exponential-coefficient": _BACKOFF,
    "--backoff-exponential-max-interval": _BACKOFF,
    "--expect-status-code": "use --status",
    "--connection-timeout": "leave it out: --timeout limits the whole wait",
    "--no-color": "set the environment variable NO_COLOR",
    # wait-port
    "-o": "use --quiet",
    "--output": "use --quiet",
    "--wait-for-dns": "leave it out: aioconnect always waits for names",
}

# The commands of wait4x whose argument can be a target here.  They can be hosts, too:
# "redis 6379" is a target.
_WAIT4X = {
    "http",
    "influxdb",
    "kafka",
    "mongodb",
    "postgresql",
    "rabbitmq",
    "redis",
    "tcp",
}


def refuse_other_flags(argv: Sequence[str]) -> None:
    """Raise if *argv* has a flag that only another program has.

    This comes before argparse, because ``-h db`` would show the help and end with
    status 0, as if the server were up.

    Raises:
        CommandError: It has one; the error names the flag to use.
    """
    for word, following in pairwise([*argv, "-"]):
        flag = word.partition("=")[0]
        hint = _HINTS.get(flag)
        if word == "-h" and not following.startswith("-"):
            hint = f"{_HOST_PORT}; --help shows the help"
        if hint:
            raise CommandError(f"{flag}: {hint} (see 'aioconnect wait --help')")


def refuse_wait4x_command(words: Sequence[str]) -> None:
    """Raise if *words* begin with a command of wait4x, such as ``tcp db:5432``.

    Raises:
        CommandError: They do.
    """
    command, following, *_ = [*words, "", ""]
    if (command in _WAIT4X and "://" in following) or (
        command == "tcp" and ":" in following
    ):
        text = "leave it out: targets need no command before them"
        raise CommandError(f"{command}: {text} (see 'aioconnect wait --help')")
