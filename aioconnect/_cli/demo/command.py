"""``aioconnect demo``: connect to difficult servers, and compare with asyncio.

It prints what really happened, and checks each claim.  The exit status is 0 only if
every check has passed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine, Iterator

from ...testing import listening
from . import dns_scenes, late_server_scene, tls_scene
from .stage import Stage, UntrueError

__all__ = ["run"]


def run(_: argparse.Namespace) -> int:
    """Run all scenes, the first on each event loop; return the exit status."""
    stage = Stage()
    try:
        for name, factory in _loops(stage):
            stage.say(f"== A late server, on {name}")
            with (
                late_server_scene.starting() as port,
                asyncio.Runner(loop_factory=factory) as runner,
            ):
                runner.run(late_server_scene.late_server(stage, port))
            stage.say("")
        _run_dns_scenes(stage)
        _run_tls_scene(stage)
    except UntrueError as exc:
        stage.say(f"CHECK FAILED: {exc}")
        return 1
    stage.say("All checks passed.")
    return 0


def _loops(
    stage: Stage,
) -> Iterator[tuple[str, Callable[[], asyncio.AbstractEventLoop]]]:
    yield "asyncio", asyncio.new_event_loop
    try:
        import uvloop  # noqa: PLC0415  # it is an extra
    except ImportError:
        stage.say("(uvloop is not installed, so asyncio is the only loop.)")
        stage.say("")
    else:
        yield "uvloop", uvloop.new_event_loop


def _run_dns_scenes(stage: Stage) -> None:
    """Run the scenes with names, on asyncio only.

    The look-ups of a uvloop loop cannot be replaced.
    """
    with contextlib.ExitStack() as stack:
        stage.say("== A silent IPv6 address, on asyncio")
        try:
            port = stack.enter_context(dns_scenes.half_silent())
        except OSError as exc:
            stage.say(f"(There is no IPv6 on loopback: {exc.strerror}.)")
        else:
            _run_with_scripted_dns(dns_scenes.silent_ipv6(stage, port))
        stage.say("")
        stage.say("== A slow DNS answer, on asyncio")
        server = stack.enter_context(listening())
        _run_with_scripted_dns(dns_scenes.slow_answer(stage, server.port))
        stage.say("")


def _run_tls_scene(stage: Stage) -> None:
    stage.say("== A TLS handshake that stalls, on asyncio")
    try:
        _run_with_scripted_dns(tls_scene.stalled_handshake(stage))
    except ssl.SSLError as exc:
        stage.say(f"(This OpenSSL has no TLS without certificates: {exc}.)")
    except OSError as exc:
        stage.say(f"(There is no IPv6 on loopback: {exc.strerror}.)")
    stage.say("")


def _run_with_scripted_dns(scene: Coroutine[object, object, None]) -> None:
    with asyncio.Runner(loop_factory=dns_scenes.ScriptedDNSLoop) as runner:
        runner.run(scene)
