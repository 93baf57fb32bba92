"""``aioconnect demo``: the main jobs, on real servers, beside what asyncio does.

What it prints is what happened; it claims nothing that it has not seen, and its
exit status is 0 only if all of it was so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator

from ...testing import listening
from . import late_scene as late
from . import name_scenes as names
from .stage import Stage, UntrueError

__all__ = ["run"]


def run(_: argparse.Namespace) -> int:
    """Run the demo on each loop there is; return the exit status."""
    stage = Stage()
    try:
        for name, factory in _loops(stage):
            stage.say(f"== A late server, on {name}")
            with late.starting() as port, asyncio.Runner(loop_factory=factory) as loop:
                loop.run(late.late_server(stage, port))
            stage.say("")
        _about_names(stage)
    except UntrueError as exc:
        stage.say(f"NOT SO: {exc}")
        return 1
    stage.say("All of it was so.")
    return 0


def _loops(
    stage: Stage,
) -> Iterator[tuple[str, Callable[[], asyncio.AbstractEventLoop]]]:
    yield "asyncio", asyncio.new_event_loop
    try:
        import uvloop  # noqa: PLC0415  # it is an extra
    except ImportError:
        stage.say("(uvloop is not installed: its turn is left out.)")
        stage.say("")
    else:
        yield "uvloop", uvloop.new_event_loop


def _about_names(stage: Stage) -> None:
    """Show what names can do, on asyncio's loop: uvloop's has no names of its own."""
    with contextlib.ExitStack() as stack:
        stage.say("== A silent IPv6 address, on asyncio")
        try:
            port = stack.enter_context(names.half_silent())
        except OSError as exc:
            stage.say(f"(There is no IPv6 on loopback: {exc.strerror}.)")
        else:
            _on_named(names.silent_ipv6(stage, port))
        stage.say("")
        stage.say("== A slow DNS answer, on asyncio")
        server = stack.enter_context(listening())
        _on_named(names.slow_answer(stage, server.port))
        stage.say("")


def _on_named(scene: Coroutine[object, object, None]) -> None:
    with asyncio.Runner(loop_factory=names.NamedLoop) as loop:
        loop.run(scene)
