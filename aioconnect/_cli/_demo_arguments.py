"""The arguments of ``aioconnect demo``."""

from __future__ import annotations

from ._commands import Commands, add_command

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(
        commands,
        "demo",
        summary="connect to a server that starts late, on each loop, and show how",
        description="Start a server, in a process of its own, that listens only after"
        " a second; connect to it with a retry policy on asyncio and on uvloop;"
        " exchange bytes; and show what happens, next to what"
        " asyncio.open_connection makes of the same server.",
    )
