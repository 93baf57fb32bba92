"""Run a command's work on a loop, until it is done or a signal comes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from .commands import Container
from .errors import CommandError

__all__ = ["LoopFactory", "add_loop", "loop_factory_of", "run_until_signal"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

_ENDING = (signal.SIGINT, signal.SIGTERM)


def add_loop(options: Container) -> None:
    """Add the flag that says which loop."""
    options.add_argument(
        "--loop",
        choices=("asyncio", "uvloop"),
        default="asyncio",
        help="whose event loop (asyncio)",
    )


def loop_factory_of(name: str) -> LoopFactory:
    """Return what makes loops of that *name*.

    Raises:
        CommandError: It is not installed.
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
    """Run *work*, which is cancelled by SIGINT and SIGTERM; return which one came.

    One that was ignored when the program was started stays so.
    """
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, None]) -> int | None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    came: list[int] = []

    def end(number: int) -> None:
        came.append(number)
        task.cancel()

    heard = [one for one in _ENDING if signal.getsignal(one) != signal.SIG_IGN]
    for number in heard:
        loop.add_signal_handler(number, end, number)
    try:
        await work
    except asyncio.CancelledError:
        if not came:
            raise
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
    return came[0] if came else None
