"""Run a command's work on an event loop, until it is done or a signal arrives."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from .errors import CommandError
from .parser import Container

__all__ = ["LoopFactory", "add_loop_flag", "loop_factory_for", "run_until_signal"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

_CANCELLING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def add_loop_flag(options: Container) -> None:
    """Add the flag that chooses the event loop."""
    options.add_argument(
        "--loop",
        choices=("asyncio", "uvloop"),
        default="asyncio",
        help="use this event loop (asyncio)",
    )


def loop_factory_for(name: str) -> LoopFactory:
    """Return the function that makes event loops of the kind *name*.

    Raises:
        CommandError: The package is not installed.
    """
    if name == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop  # noqa: PLC0415  # it is an extra
    except ModuleNotFoundError:
        extra = "in a checkout, pip install '.[uvloop]'"
        raise CommandError(f"--loop uvloop needs uvloop: {extra}") from None
    factory: LoopFactory = uvloop.new_event_loop
    return factory


def run_until_signal(
    work: Coroutine[Any, Any, None], factory: LoopFactory
) -> int | None:
    """Run *work*; return the number of the signal that cancelled it, or None.

    SIGINT and SIGTERM cancel *work*.  A signal that was ignored when the program
    started stays ignored.
    """
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, None]) -> int | None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    received: list[int] = []

    def cancel(number: int) -> None:
        received.append(number)
        task.cancel()

    handled = [
        number
        for number in _CANCELLING_SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    for number in handled:
        loop.add_signal_handler(number, cancel, number)
    try:
        await work
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
    return received[0] if received else None
