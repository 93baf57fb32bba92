"""Measure how many columns a text takes."""

from __future__ import annotations

from aioconnect._sansio.text_width import display_width


def test_cells() -> None:
    """An East Asian character takes two columns, a combining mark none."""
    assert [display_width(text) for text in ("abc", "例え", "e\u0301", "é", "✓━…")] == [
        3,
        4,
        1,
        1,
        3,
    ]
