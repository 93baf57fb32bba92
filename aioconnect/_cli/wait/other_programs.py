"""Tell users of other programs that wait for servers which flag they want here.

The programs are wait-for-it, dockerize, wait4x and wait-port.  A flag of theirs that
``aioconnect wait`` does not take gets an error that names the flag to use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import CommandError

__all__ = ["refuse_other_flags", "refuse_wait4x_command"]

_HOST_PORT = "write the target as HOST:PORT, such as db:5432"
_BACKOFF = "use --backoff INITIAL,MAXIMUM,FACTOR, such as --backoff 1,5,2"
_ONLY_WAITS = "leave it out: aioconnect fills in no templates, and follows no log files"

_NO_BODY = "leave it out: the check of http:// looks at the status only"
_NO_HEADER = "leave it out: the check of http:// sends no headers of yours"
_NO_DATA = "leave it out: the check only asks whether the service is ready"

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
    "-wait-http-header": _NO_HEADER,
    "--wait-http-header": _NO_HEADER,
    "-skip-tls-verify": "use --insecure",
    "--skip-tls-verify": "use --insecure",
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
    "--expect-body-regex": _NO_BODY,
    "--expect-body-json": _NO_BODY,
    "--expect-body-xpath": _NO_BODY,
    "--expect-header": _NO_BODY,
    "--expect-key": _NO_DATA,
    "--expect-table": _NO_DATA,
    "--no-redirect": "leave it out: redirects are not followed",
    "--request-body": "leave it out: the check of http:// sends no body",
    "--request-header": _NO_HEADER,
    "--insecure-skip-tls-verify": "use --insecure",
    "--connection-timeout": "use --attempt-timeout",
    "--no-color": "set the environment variable NO_COLOR",
    # wait-port
    "-o": "use --quiet",
    "--output": "use --quiet",
    "--wait-for-dns": "leave it out: aioconnect always waits for names",
}

# The commands of wait4x whose argument can be a target here.  They can be hosts, too:
# "redis 6379" is a target.
_WAIT4X = {
    "dns",
    "http",
    "influxdb",
    "kafka",
    "mongodb",
    "mysql",
    "postgresql",
    "rabbitmq",
    "redis",
    "tcp",
}


_RECORDS = ("A", "AAAA", "CNAME", "MX", "NS", "TXT")

# A long word is another flag: -insecure, -status.
_JOINED = re.compile("-q*([psivo])(?![a-z-]{3}).*")


def refuse_other_flags(argv: Sequence[str], *, has_command: bool) -> None:
    """Raise if *argv*, without the command, has a flag that only another program has.

    This comes before argparse, because ``-h db`` would show the help and end with
    status 0, as if the server were up.

    Raises:
        CommandError: It has one; the error names the flag to use.
    """
    for word in argv:
        flag = word.partition("=")[0]
        hint = _HINTS.get(flag)
        # As in -p5432, -st1 or -qs: a flag with its value, or several flags.
        joined = _JOINED.fullmatch(word)
        if hint is None and joined is not None:
            flag = f"-{joined[1]}"
            hint = _HINTS[flag]
        # Also without a host: in a script, the variable that names it may be empty.
        # For argparse, -hq is -h, too.
        is_alone = word == "-h" and len(argv) == 1 and not has_command
        if re.match("-q*h", word) and not is_alone:
            hint = f"{_HOST_PORT}; --help shows the help"
        if hint:
            raise CommandError(f"{flag}: {hint} (see 'aioconnect wait --help')")


def refuse_wait4x_command(words: Sequence[str]) -> None:
    """Raise if *words* begin with a command of wait4x, such as ``tcp db:5432``.

    Raises:
        CommandError: They do.
    """
    command, following, *_ = [*words, "", ""]
    if command == "dns" and following in _RECORDS:
        text = "write dns://NAME"
    elif command in _WAIT4X and re.search("://|@", following):
        text = "leave it out: a target is a URL without user and password"
    elif command == "tcp" and ":" in following:
        text = "leave it out: targets need no command before them"
    else:
        text = ""
    if text:
        raise CommandError(f"{command}: {text} (see 'aioconnect wait --help')")
