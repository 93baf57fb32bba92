"""``aioconnect demo``: the main job, on a real server in another process.

What it prints is what happened; it claims nothing that it has not seen, and its
exit status is 0 only if all of it was so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any

import aioconnect

__all__ = ["run"]

_DELAY = 1.0  # seconds until the server listens
_RETRY = aioconnect.Backoff(initial=0.05, maximum=0.4, jitter=0.2)
_MESSAGE = b"a length-prefixed protocol of your own"


class _UntrueError(Exception):
    """Something that the demo claims was not so."""


def run(_: argparse.Namespace) -> int:
    """Run the demo on each loop there is; return the exit status."""
    try:
        for name, factory in _loops():
            print(f"== on {name}", flush=True)
            with _late_server() as port, asyncio.Runner(loop_factory=factory) as runner:
                runner.run(_show(port))
            print()
    except _UntrueError as exc:
        print(f"NOT SO: {exc}")
        return 1
    print("All of it was so.")
    return 0


def _loops() -> Iterator[tuple[str, Callable[[], asyncio.AbstractEventLoop]]]:
    yield "asyncio", asyncio.new_event_loop
    try:
        import uvloop  # noqa: PLC0415  # it is an extra
    except ImportError:
        print("(uvloop is not installed: its turn is left out)\n")
    else:
        yield "uvloop", uvloop.new_event_loop


@contextlib.contextmanager
def _late_server() -> Generator[int]:
    """Yield the port of a server that will listen in a second, in a process."""
    command = [sys.executable, "-m", "aioconnect._cli._late_server", str(_DELAY)]
    with subprocess.Popen(  # noqa: S603  # this package's own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        # Leaving closes its standard input, which is its signal to end.


async def _show(port: int) -> None:
    log = _Log()
    log.say(f"127.0.0.1:{port} belongs to a server that listens in {_DELAY:g} s")
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        log.say("asyncio.open_connection: refused, and that was its only try")
    else:
        writer.close()
        raise _UntrueError("asyncio.open_connection was to be refused, and was not")
    log.say("aioconnect.open_connection, retry=Backoff(...), timeout=10:")
    reader, writer = await _claimed(
        aioconnect.open_connection(
            "127.0.0.1", port, timeout=10, retry=_RETRY, observer=log
        )
    )
    if log.refused == 0:
        raise _UntrueError("the server was to refuse at first, and did not")
    await _over_streams(reader, writer)
    log.say(f"streams: {len(_MESSAGE)} bytes there and back")
    await _over_socket(port)
    log.say(f"raw socket: {len(_MESSAGE)} bytes there and back")


async def _claimed(connecting: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await connecting
    except aioconnect.ConnectError as exc:
        raise _UntrueError(str(exc)) from exc


async def _over_streams(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(len(_MESSAGE).to_bytes(4, "big") + _MESSAGE)
    size = int.from_bytes(await reader.readexactly(4), "big")
    if await reader.readexactly(size) != _MESSAGE:
        raise _UntrueError("the streams gave back other bytes than were sent")
    writer.close()
    await writer.wait_closed()


async def _over_socket(port: int) -> None:
    loop = asyncio.get_running_loop()
    with await _claimed(aioconnect.connect("127.0.0.1", port, timeout=5)) as sock:
        await loop.sock_sendall(sock, _MESSAGE)
        answer = b""
        while data := await loop.sock_recv(sock, 4096):
            answer += data
            if len(answer) >= len(_MESSAGE):
                break
    if answer != _MESSAGE:
        raise _UntrueError("the socket gave back other bytes than were sent")


class _Log:
    """An observer that prints each event as it happens, with its time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self.refused = 0

    def say(self, text: str, at: float | None = None) -> None:
        seconds = (self._loop.time() if at is None else at) - self._started
        print(f"{seconds:7.3f} s  {text}", flush=True)

    def __call__(self, event: aioconnect.Event) -> None:
        match event:
            case aioconnect.AttemptFailed(attempt=attempt):
                self.refused += isinstance(attempt.error, ConnectionRefusedError)
                reason = attempt.error.args[-1]
                self.say(f"  attempt {attempt.round}: {reason}", event.at)
            case aioconnect.RetryScheduled():
                self.say(f"  next attempt in {event.delay * 1000:.0f} ms", event.at)
            case aioconnect.Connected():
                self.say(f"  attempt {event.round}: connected", event.at)
            case _:
                pass
