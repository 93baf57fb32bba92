"""The arguments of ``aioconnect probe``."""

from __future__ import annotations

from ..commands import Commands, add_command
from ..connector_flags import add_connector, count
from ..running import add_loop
from ..target_argument import target_of

__all__ = ["add"]

_DESCRIPTION = (
    "Connect to TARGET, and show what was done when: a line for each look-up, attempt,"
    " wait and handshake, on one time axis, with what came of it, and why."
)

_EPILOG = """
A TARGET is host:port or tcp://host:port, [IPv6]:port, unix:/path, unix:@abstract,
vsock:cid:port or srv:_service._proto.name, which needs the extra aiodns.

  $ aioconnect probe db.internal:5432
  $ aioconnect probe example.org:443 --tls --svg connect.svg
  $ aioconnect probe db:5432 --backoff 0.1,2 --timeout 30
  $ aioconnect probe db:5432 --count 100 --loop uvloop
  $ aioconnect probe db:5432 --json | jq .elapsed

With --count they are made one after the other, and shown are how long they took, and
the one that took longest. With --json each is an object in a line of its own, as the
docstring of aioconnect.Timeline.to_dict says; that needs no extra, the rest the extra
cli. What --tls trusts is what Python does, or the file that SSL_CERT_FILE names.

Exit status: 0 connected, each time; 1 not; 2 an argument is wrong; 128 and more: ended
by a signal, when what was seen so far has been shown.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "probe",
        summary="connect, and show what was done when",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    command.add_argument(
        "target",
        metavar="TARGET",
        type=target_of,
        help="where to connect to, such as db:5432",
    )
    command.add_argument(
        "--count", metavar="N", type=count, default=1, help="connect N times (1)"
    )
    command.add_argument(
        "--json", action="store_true", help="write a JSON object a line"
    )
    command.add_argument("--svg", metavar="FILE", help="write the picture to FILE, too")
    add_loop(command)
    tls = command.add_argument_group("TLS")
    tls.add_argument("--tls", action="store_true", help="make the handshake, too")
    tls.add_argument(
        "--server-name", metavar="NAME", help="the name to verify (the TARGET's host)"
    )
    tls.add_argument("--insecure", action="store_true", help="accept any certificate")
    add_connector(command.add_argument_group("how to connect"))
