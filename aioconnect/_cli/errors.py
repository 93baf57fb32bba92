"""Say why a command ends: one line on standard error, and its exit status."""

from __future__ import annotations

from .._sansio.text import printable

__all__ = ["NOT_UP", "OUT_OF_TIME", "USAGE", "CommandError"]

# The exit statuses, beside 0; 124 is that of timeout(1), and a command that cannot be
# run gives what a shell does: 126 and 127.
NOT_UP = 1
USAGE = 2
OUT_OF_TIME = 124


class CommandError(Exception):
    """Ends the program with *text* on standard error, and *status*.

    The *text* is made one line of printable characters, whatever it quotes.
    """

    def __init__(self, text: object, status: int = USAGE) -> None:
        super().__init__(printable(str(text)))
        self.status = status
