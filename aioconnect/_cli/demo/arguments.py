"""The arguments of ``aioconnect demo``."""

from __future__ import annotations

from ..parser import Commands, add_command

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(
        commands,
        "demo",
        summary="connect to difficult servers, and compare with asyncio",
        description="Connect to a server that starts late, on asyncio and on uvloop; to"
        " a name whose IPv6 address is silent; and to a name whose DNS answer is slow."
        " The demo shows what happens, next to what asyncio.open_connection does in the"
        " same case. Everything is on loopback, and takes about seven seconds.",
    )
