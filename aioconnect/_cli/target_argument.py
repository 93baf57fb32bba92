"""Take a target from the command line."""

from __future__ import annotations

from .._io.targets import Target, parse_target
from .._sansio.text import safe_repr
from .errors import CommandError

__all__ = ["target_of"]


def target_of(text: str) -> Target:
    """Return the target that *text* says: a ``type`` for argparse.

    Raises:
        CommandError: It says none; the text says what is wrong, and where.
    """
    try:
        target = parse_target(text)
    except ValueError as exc:
        raise CommandError(exc) from None
    if target.port == 0:
        # The kernel would say that it refuses, and a wait go on for ever.
        raise CommandError(f"target {safe_repr(text)}: nobody can listen on port 0")
    return target
