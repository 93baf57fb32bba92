"""Show a value in an error's text, whatever it is.

Pure.
"""

from __future__ import annotations

from typing import Any

__all__ = ["shown"]

_MOST = 200


def shown(value: object) -> str:
    """Return *value* as an error's text can hold it."""
    # What is left out has no place in the text: it can be a list of millions.
    cut: Any = value
    if type(value) in (str, bytes, bytearray, list, tuple):
        cut = cut[:_MOST]
    try:
        text = repr(cut)
    except (RecursionError, ValueError):
        # Nested too deep, or an int of more digits than Python shows.
        return f"<{type(value).__name__}>"
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
