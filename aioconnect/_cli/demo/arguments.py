"""The arguments of ``aioconnect demo``."""

from __future__ import annotations

from ..commands import Commands, add_command

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(
        commands,
        "demo",
        summary="show on real servers how connecting goes, and how asyncio's does",
        description="Connect to a server that starts late, on asyncio and on uvloop; to"
        " a name whose IPv6 address is silent; and to one whose DNS answer is slow."
        " Shown is what happens, next to what asyncio.open_connection makes of the"
        " same. All of it is on loopback, and takes about seven seconds.",
    )
