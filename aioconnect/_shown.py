"""Show a value in an error's text, whatever it is.

Pure.
"""

from __future__ import annotations

__all__ = ["shown"]

_MOST = 200


def shown(value: object) -> str:
    """Return *value* as an error's text can hold it."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        # Nested too deep, or an int of more digits than Python shows.
        return f"<{type(value).__name__}>"
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
