"""2,000 tasks wait for a server in another process, which begins to listen late.

Run ``herd.py LOOP JITTER`` in a network namespace of its own.  When the server listens,
all tasks wait for the policy's longest delay.  The server accepts only now and then, as
a busy one does.  The script prints the results as JSON, for the test to judge.  Times
are in seconds after the server began to listen.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from _loops import run

import aioconnect
from aioconnect import AttemptFailed, AttemptStarted, Connected, Event, RetryScheduled

TASKS = 2000
INITIAL, MAXIMUM = 1.0, 2.0
BACKLOG = 256

# How long the server is busy with something else between two looks (seconds).
BUSY = 0.03

RESET = b"\x01\0\0\0\0\0\0\0"


def overflows() -> int:
    """Return how often a queue was full in this namespace."""
    lines = Path("/proc/net/netstat").read_text().splitlines()
    names, values = (line.split() for line in lines[:2])
    return int(dict(zip(names, values, strict=True))["ListenOverflows"])


def queued(listener: socket.socket) -> int:
    """Return how many connections wait to be accepted."""
    # tcp_info of a listener: tcpi_unacked is the queue.
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int.from_bytes(info[24:28], sys.byteorder)


def serve(listener: socket.socket, orders: Connection) -> None:
    """Listen on command, accept until the end is ordered, and report what came."""
    orders.recv()
    listener.listen(BACKLOG)
    listening = time.monotonic()
    accepted = longest = 0
    late = 0.0
    is_told = False
    while not is_told:
        due = time.monotonic() + BUSY
        is_told = orders.poll(BUSY)
        late = max(late, time.monotonic() - due)
        while waiting := queued(listener):
            longest = max(longest, waiting)
            listener.accept()[0].close()
            accepted += 1
    orders.send((listening, accepted, longest, late, overflows()))


class Herd:
    """The tasks, and what their observers saw, on the loop's clock."""

    def __init__(self, jitter: float) -> None:
        self.retry = aioconnect.Backoff(INITIAL, maximum=MAXIMUM, jitter=jitter)
        self.far_apart = asyncio.Event()
        self._behind = TASKS
        self.late = 0.0
        self.due = [0.0] * TASKS
        self.refused = [0.0] * TASKS
        self.connected = [0.0] * TASKS

    def note(self, number: int, event: Event) -> None:
        """Keep what matters of *event*, of the task of this *number*."""
        match event:
            case RetryScheduled(at, round_number, delay):
                self.due[number] = at + delay
                # The second delay was the first of the longest.
                self._behind -= round_number == 3
                if not self._behind:
                    self.far_apart.set()
            case AttemptStarted(at, _, round_number) if round_number > 1:
                self.late = max(self.late, at - self.due[number])
            case AttemptFailed(_, attempt):
                self.refused[number] = attempt.started
            case Connected(at):
                self.connected[number] = at

    async def wait(self, name: tuple[str, int], number: int) -> None:
        """Connect once the server is there."""
        observer = partial(self.note, number)
        with await aioconnect.connect(
            *name, timeout=60, retry=self.retry, observer=observer
        ) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async def run(self, name: tuple[str, int], orders: Connection) -> None:
        """Have all of them wait, and the server listen when they are far apart."""
        # A loop in debug mode is so slow that nothing on it comes at once.
        asyncio.get_running_loop().set_debug(False)
        async with asyncio.TaskGroup() as tasks:
            for number in range(TASKS):
                tasks.create_task(self.wait(name, number))
            await self.far_apart.wait()
            self.late = 0.0
            orders.send("listen")


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
ours, theirs = multiprocessing.Pipe()
with ours, theirs, socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        try:
            ours.close()  # it ends with the parent
            serve(server, theirs)
        finally:
            os._exit(0)
    try:
        theirs.close()
        herd = Herd(float(sys.argv[2]))
        run(herd.run(server.getsockname(), ours))
        ours.send("end")
        listening, accepted, longest, late, overflowed = ours.recv()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
came = {
    "due": [at - listening for at in herd.due],
    "connected": [at - listening for at in herd.connected],
    "refused_late": sum(at > listening for at in herd.refused),
    "accepted": accepted,
    "queue": longest,
    "overflows": overflowed,
    "late": max(late, herd.late),
}
print(json.dumps(came))
