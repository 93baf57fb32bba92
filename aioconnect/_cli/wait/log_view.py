"""Show the statuses of targets in a log: one line for each change."""

from __future__ import annotations

from typing import TextIO

from ..standard_streams import try_write
from .target_status import TargetStatus

__all__ = ["LogView"]


class LogView:
    """Write a line to *stream* for each change, where nothing can be redrawn."""

    shows_reasons = False

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._last_texts: dict[str, str] = {}

    def changed(self, status: TargetStatus, /) -> None:
        """Write a line, if *status* has something new to say."""
        text = status.done or status.reason
        if self._last_texts.get(status.name, "") != text:
            self._last_texts[status.name] = text
            try_write(self._stream, f"{status.name}: {text}\n")

    def close(self) -> None:
        """Do nothing: everything is already written."""
