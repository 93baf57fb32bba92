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
        description="Connect to difficult servers: one that starts late (on asyncio and"
        " on uvloop), a name whose IPv6 address is silent, a name whose DNS answer is"
        " slow, and an address whose TLS handshake stalls. For each, the demo shows"
        " what asyncio.open_connection does, and then what aioconnect does. Everything"
        " runs on this machine, and takes about ten seconds.",
    )
