"""The arguments of ``aioconnect probe``."""

from __future__ import annotations

import argparse

from ..argument_types import target, whole_number
from ..check_flags import add_status_flag
from ..connector_flags import add_connector_flags
from ..event_loop import add_loop_flag
from ..parser import Commands, add_command
from ..target_words import host_and_port

__all__ = ["add"]

_DESCRIPTION = (
    "Connect to TARGET, and show what happened and when. Each look-up, attempt, wait or"
    " handshake has a line, with its times on one axis, its outcome and the reason."
)

_EPILOG = """
A TARGET is host:port or tcp://host:port, [IPv6]:port, unix:/path, unix:@abstract,
vsock:cid:port or srv:_service._proto.name, which needs the extra aiodns. A URL also
asks the service whether it is ready: http://, https://, postgres://, redis://,
rediss://, amqp://, amqps://, mysql://, kafka:// and tls://. dns://name only looks the
name up.

  $ aioconnect probe db.internal:5432
  $ aioconnect probe example.org:443 --tls --svg connect.svg
  $ aioconnect probe db:5432 --backoff 0.1,2 --timeout 30
  $ aioconnect probe db:5432 --count 100 --loop uvloop
  $ aioconnect probe db:5432 --json | jq .elapsed

TARGET can be two words, a host and a port. TIME is a number of seconds, such as 0.5 or
30, or has units, such as 500ms, 30s, 1m30s or 2h. Defaults are in parentheses.

--count connects N times, one after the other, and shows how long the connects took and
the slowest one. --json writes each connect as an object on its own line; the docstring
of aioconnect.Timeline.to_dict describes it. Everything except --json needs the extra
cli. --tls trusts the certificates that Python trusts, or those in the file that
SSL_CERT_FILE names.

Exit status: 0 every connect succeeded; 1 a connect failed; 2 an argument is wrong; 128
and more: ended by a signal, after showing the results so far.
"""


def _take_target(arguments: argparse.Namespace, late: list[str]) -> list[str]:
    """Make a target of the first word, and of the second in *late* if it is a port.

    Return the words that are left over.
    """
    words: list[str] = [arguments.target, *late]
    text = host_and_port(words)
    arguments.target = target(words[0] if text is None else text)
    return words[1:] if text is None else []


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "probe",
        summary="connect, and show what happened and when",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    command.add_argument(
        "target",
        metavar="TARGET",
        help="where to connect to, such as db:5432",
    )
    command.set_defaults(take_targets=_take_target)
    command.add_argument(
        "--count", metavar="N", type=whole_number, default=1, help="connect N times (1)"
    )
    command.add_argument(
        "--json", action="store_true", help="write one JSON object per line"
    )
    command.add_argument("--svg", metavar="FILE", help="also write a picture to FILE")
    add_loop_flag(command)
    add_status_flag(command)
    tls = command.add_argument_group("TLS")
    tls.add_argument("--tls", action="store_true", help="also do a TLS handshake")
    tls.add_argument(
        "--server-name", metavar="NAME", help="verify this name (the TARGET's host)"
    )
    tls.add_argument("--insecure", action="store_true", help="accept any certificate")
    add_connector_flags(command.add_argument_group("how to connect"))
