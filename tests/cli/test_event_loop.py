"""Run work on an event loop until a signal arrives."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from aioconnect._cli.event_loop import run_until_signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_until_signal(
    number: signal.Signals, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The signal cancels the work, and the handlers are restored."""
    ended: list[str] = []

    async def work(sends: bool) -> None:
        try:
            if sends:
                os.kill(os.getpid(), number)
                await asyncio.get_running_loop().create_future()
        finally:
            ended.append("ended")

    before = signal.getsignal(number)
    assert run_until_signal(work(sends=True), loop_factory) == number
    assert run_until_signal(work(sends=False), loop_factory) is None
    assert ended == ["ended", "ended"]
    assert signal.getsignal(number) == before

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_until_signal(cancelled(), loop_factory)


def test_an_ignored_signal(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """A signal that was ignored when the program started stays ignored."""

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_until_signal(work(), loop_factory) is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
