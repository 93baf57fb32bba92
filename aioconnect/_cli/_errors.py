"""Say why a command ends: one line on standard error, and its exit status."""

from __future__ import annotations

__all__ = ["NOT_UP", "OUT_OF_TIME", "USAGE", "CommandError", "one_line"]

# The exit statuses, beside 0; 124 is that of timeout(1), and a command that cannot be
# run gives what a shell does: 126 and 127.
NOT_UP = 1
USAGE = 2
OUT_OF_TIME = 124


class CommandError(Exception):
    """Ends the program with *text* on standard error, and *status*.

    The *text* is one line, as `one_line` makes it of anything.
    """

    def __init__(self, text: object, status: int = USAGE) -> None:
        super().__init__(one_line(str(text)))
        self.status = status


def one_line(text: str) -> str:
    """Return *text* as it can be shown: in one line, without control characters.

    What a name server said, or stands in an argument, could else move the cursor.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii")
        for one in text
    )
