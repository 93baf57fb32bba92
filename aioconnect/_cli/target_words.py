"""Read a host and a port in two words as one target: ``db 5432``."""

from __future__ import annotations

from collections.abc import Sequence

from .._sansio.hosts import numeric_address

__all__ = ["host_and_port", "is_port"]


def host_and_port(words: Sequence[str]) -> str | None:
    """Return the text of the target that two *words* make, or None.

    The words have to be a host and a port.  A bare number is a port, and never a host.
    An IPv6 address needs no brackets here.
    """
    if len(words) != 2 or not is_port(words[1]) or not _is_host(words[0]):
        return None
    host, port = words
    needs_brackets = ":" in host and not host.startswith("[")
    return f"[{host}]:{port}" if needs_brackets else f"{host}:{port}"


def is_port(word: str) -> bool:
    """Tell whether *word* is a bare number."""
    return word.isascii() and word.isdecimal()


def _is_host(word: str) -> bool:
    """Tell whether *word* is a host without a port, and neither a path nor a target."""
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    if ":" in bare:
        return numeric_address(bare.partition("%")[0], 0) is not None
    return bool(word) and "/" not in word and not is_port(word)
