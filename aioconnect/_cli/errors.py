"""End a command with an error: one line on standard error, and an exit status."""

from __future__ import annotations

from .._sansio.text import printable

__all__ = ["NOT_UP", "OUT_OF_TIME", "USAGE", "CommandError"]

# The exit statuses besides 0.  124 is timeout(1)'s.  For a command that cannot be run,
# `wait` has a shell's statuses, 126 and 127.
NOT_UP = 1
USAGE = 2
OUT_OF_TIME = 124


class CommandError(Exception):
    """End the program with *text* on standard error, and with exit status *status*.

    The *text* becomes one line of printable characters, whatever it quotes.
    """

    def __init__(self, text: object, status: int = USAGE) -> None:
        super().__init__(printable(str(text)))
        self.status = status
