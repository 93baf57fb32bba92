"""Write to standard output without blocking the loop, even if its reader is slow."""

from __future__ import annotations

import asyncio
import os
import select

from ..errors import NOT_UP, CommandError

__all__ = ["OutputWriter"]

# A pipe that polls writable takes this many bytes at once without blocking (POSIX:
# PIPE_BUF, on Linux a page).
_CHUNK = select.PIPE_BUF

# Seconds between two polls while the reader is slower than the writer.
_POLL_INTERVAL = 0.01


class OutputWriter:
    """Write texts to the descriptor *fd*, each whole, one after the other."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = asyncio.Lock()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    async def write(self, text: str) -> None:
        """Write all of *text*, after earlier texts; wait for the reader if necessary.

        Raises:
            BrokenPipeError: The reader has gone.
            CommandError: Writing failed.
        """
        data = text.encode("utf-8", "backslashreplace")
        async with self._lock:
            while data:
                if self._poll.poll(0) and (written := self._write_some(data[:_CHUNK])):
                    data = data[written:]
                else:
                    await asyncio.sleep(_POLL_INTERVAL)

    def _write_some(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0  # another process made it non-blocking, or has filled it meanwhile
        except BrokenPipeError:
            raise
        except OSError as exc:
            text = f"standard output: {exc.strerror}"
            raise CommandError(text, NOT_UP) from None
