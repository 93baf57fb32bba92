"""Write to standard output, and let the loop run while its reader is slow."""

from __future__ import annotations

import asyncio
import os
import select

from .errors import NOT_UP, CommandError

__all__ = ["Output"]

# So much a pipe that polls writable takes at once (POSIX: PIPE_BUF, on Linux a page).
_AT_ONCE = select.PIPE_BUF

# Seconds between two looks at a reader that is slower than we are.
_PAUSE = 0.01


class Output:
    """The descriptor *fd*; who writes to it waits for its turn, and for its reader."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._turn = asyncio.Lock()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    async def write(self, text: str) -> None:
        """Write all of *text*.

        Raises:
            BrokenPipeError: The reader has gone.
            CommandError: It cannot be written.
        """
        data = text.encode("utf-8", "backslashreplace")
        async with self._turn:
            while data:
                if self._poll.poll(0) and (written := self._write(data[:_AT_ONCE])):
                    data = data[written:]
                else:
                    await asyncio.sleep(_PAUSE)

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0  # it was made non-blocking, and has filled meanwhile
        except BrokenPipeError:
            raise
        except OSError as exc:
            text = f"standard output: {exc.strerror}"
            raise CommandError(text, NOT_UP) from None
