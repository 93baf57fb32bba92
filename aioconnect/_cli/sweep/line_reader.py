"""Read the lines of a file, a pipe or a terminal, a few at a time.

Reading never blocks the loop, and never makes the file non-blocking: that would
surprise other programs that share the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import select
import threading
from collections.abc import AsyncGenerator
from typing import NamedTuple

from ..errors import CommandError

__all__ = ["Line", "read_lines", "strip_comment"]

# The longest line, in bytes.  No target is longer, and so a file without line ends does
# not fill the memory.
_LONGEST = 4096

_CHUNK = 65536

_THREAD_NAME = "aioconnect-lines"

# A comment is a whole line, or follows a blank: a path may contain a #.
_COMMENT = re.compile(r"(^|\s)#.*")


class Line(NamedTuple):
    """A line that is neither empty nor a comment; *number* counts from 1.

    Either *text* or *problem* is set; *problem* says why there is no text.  *size* is
    the number of bytes read since the line before, skipped lines included.
    """

    number: int
    text: str
    problem: str
    size: int


async def read_lines(fd: int, name: str) -> AsyncGenerator[Line]:
    """Yield the lines of *fd*, without comments and outer blanks; skip empty ones.

    *name* is what errors call the file.  This reads on only when all lines are used.
    A cancelled read leaves a thread that waits for more.  The thread does not keep the
    program from ending.

    Raises:
        CommandError: The file cannot be read.
    """
    rest, data = b"", b"\n"
    number = size = 0
    while data:
        try:
            data = await _read(fd)
        except OSError as exc:
            raise CommandError(f"{name}: {exc.strerror}") from None
        *whole, rest = (rest + data).split(b"\n") if data else (rest, b"")
        for raw in whole:
            number += 1
            size += len(raw) + 1
            text = problem = ""
            try:
                text = strip_comment(raw, number)
            except ValueError as exc:
                problem = str(exc)
            if text or problem:
                yield Line(number, text, problem, size)
                size = 0
        size += max(len(rest) - _LONGEST - 1, 0)
        rest = rest[: _LONGEST + 1]


def strip_comment(raw: bytes, number: int) -> str:
    """Return the text of line *number* without its comment, perhaps an empty text.

    Raises:
        ValueError: The line is too long, or not UTF-8.
    """
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")  # some editors mark UTF-8 with it
    if raw.lstrip().startswith(b"#"):
        return ""
    if len(raw) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} bytes")
    try:
        return _COMMENT.sub("", raw.decode()).strip()
    except UnicodeDecodeError as exc:
        text = f"not UTF-8: byte {exc.start + 1} is {raw[exc.start]:#x}"
        raise ValueError(text) from None


async def _read(fd: int) -> bytes:
    """Return the next bytes of *fd*, or none at its end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()
    # The loop's own threads are no daemons: the program could not end before the read.
    arguments = (fd, loop, future)
    thread = threading.Thread(
        target=_read_in_thread, args=arguments, name=_THREAD_NAME, daemon=True
    )
    try:
        thread.start()
    except RuntimeError as exc:  # the system allows no more threads
        raise OSError(errno.EAGAIN, str(exc)) from None
    try:
        return await future
    finally:
        if not future.cancelled():  # a cancelled read may block for ever
            thread.join()


def _read_in_thread(
    fd: int, loop: asyncio.AbstractEventLoop, future: asyncio.Future[bytes]
) -> None:
    data: bytes = b""
    error: OSError | None = None
    try:
        # Another program that shares the file may have made it non-blocking.
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll()
        data = os.read(fd, _CHUNK)
    except OSError as exc:
        error = exc
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(_set_outcome, future, data, error)


def _set_outcome(
    future: asyncio.Future[bytes], data: bytes, error: OSError | None
) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(data)
    else:
        future.set_exception(error)
