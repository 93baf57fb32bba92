"""Read the lines of a file, a pipe or a terminal, a few at a time.

A loop does not wait for them, and none is made non-blocking for it: whoever else has
the terminal would be surprised.
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

__all__ = ["Line", "lines", "text_of"]

# In bytes: no target is as long, and a file without line ends is not kept.
_LONGEST = 4096

_AT_ONCE = 65536

_NAME = "aioconnect-lines"

# A comment is a line of its own, or follows a blank: a path may have a # in it.
_COMMENT = re.compile(r"(^|\s)#.*")


class Line(NamedTuple):
    """A line that says something; *number* counts from 1.

    It has a *text*, or a *problem*: why it has none.  *size* is that of all that was
    read for it, in bytes.
    """

    number: int
    text: str
    problem: str
    size: int


async def lines(fd: int, name: str) -> AsyncGenerator[Line]:
    """Yield the lines of *fd*, called *name*, that are no comments, without blanks.

    It reads on when they are used up.  Cancelled, it leaves a thread that waits for
    more, and does not keep the program from ending.

    Raises:
        CommandError: It cannot be read.
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
                text = text_of(raw, number)
            except ValueError as exc:
                problem = str(exc)
            if text or problem:
                yield Line(number, text, problem, size)
                size = 0
        size += max(len(rest) - _LONGEST - 1, 0)
        rest = rest[: _LONGEST + 1]


def text_of(raw: bytes, number: int) -> str:
    """Return what line *number* says, perhaps nothing.

    Raises:
        ValueError: It is too long, or not UTF-8.
    """
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")  # as some editors mark UTF-8
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
    """Return the next bytes of *fd*, none at its end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()
    # One of the loop's own threads would have to end before the program can.
    work = (fd, loop, future)
    thread = threading.Thread(target=_work, args=work, name=_NAME, daemon=True)
    try:
        thread.start()
    except RuntimeError as exc:  # there are as many as there can be
        raise OSError(errno.EAGAIN, str(exc)) from None
    try:
        return await future
    finally:
        if not future.cancelled():  # or it waits for nobody
            thread.join()


def _work(
    fd: int, loop: asyncio.AbstractEventLoop, future: asyncio.Future[bytes]
) -> None:
    data: bytes = b""
    error: OSError | None = None
    try:
        # Whoever shares it may have made it non-blocking.
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll()
        data = os.read(fd, _AT_ONCE)
    except OSError as exc:
        error = exc
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(_settle, future, data, error)


def _settle(future: asyncio.Future[bytes], data: bytes, error: OSError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(data)
    else:
        future.set_exception(error)
