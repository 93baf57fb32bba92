"""What is said once is said everywhere: in other processes, and in other threads."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop
from programs import run_script

import aioconnect
from aioconnect import (
    Backoff,
    Connected,
    Connector,
    is_refused,
    is_transient,
    log_events,
    only_public,
    outcome,
    sockopts,
    system_resolver,
)
from aioconnect.contrib.aiodns import AiodnsResolver
from aioconnect.testing import EchoServer, Recorder, echoing


async def ready(sock: socket.socket) -> None:
    """Be a function that has a name."""


OURS: list[dict[str, Any]] = [
    {"retry": Backoff(attempts=3)},
    {"retry_on": is_transient & is_refused},
    {"resolver": system_resolver},
    {"resolver": AiodnsResolver()},
    {"allow": only_public},
    {"prepare": [sockopts.nodelay(), sockopts.user_timeout(5)]},
    {"ready": ready},
    {"outcome": outcome.connect_again},
    {"observer": log_events(logging.getLogger("far away"), logging.INFO)},
    {"family": socket.AF_INET6, "flags": socket.AI_ADDRCONFIG},
    {"local_addr": [("127.0.0.1", 0), ("::1", 0)]},
]


def test_options_travel() -> None:
    """With any option that this package has a value for, it is the same elsewhere."""
    for options in OURS:
        connector = Connector(**options)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            there = pickle.loads(pickle.dumps(connector, protocol))
            assert there == connector != Connector(timeout=1, **options)
            assert hash(there) == hash(connector)
        assert copy.deepcopy(connector) == connector


THREADS = 8


def test_loops_of_one_factory_in_many_threads() -> None:
    """Threads make their loops by one factory, and share nothing else."""
    recorder = Recorder()
    connector = Connector(timeout=60, retry=(0.01, 0.1), observer=recorder)
    failures: list[BaseException] = []

    def work(server: EchoServer, number: int) -> None:
        base = uvloop.new_event_loop if number % 2 else asyncio.new_event_loop
        factory = aioconnect.loop_factory(connector, base=base)
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(echo(server, b"%d" % number))
        except BaseException as exc:  # it is raised in the test
            failures.append(exc)

    with echoing(backlog=THREADS) as server:
        arguments = ((server, number) for number in range(THREADS))
        threads = [threading.Thread(target=work, args=each) for each in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    assert len(recorder.of(Connected)) == THREADS


async def echo(server: EchoServer, said: bytes) -> None:
    """Prove that the running loop connects."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(said)
    assert await reader.readexactly(len(said)) == said
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_stress_of_threads(loop: str) -> None:
    """2,000 operations in 8 threads, by shared connectors, end well and leave nothing.

    CONTRIBUTING.md says how to run 100,000 of them on a Python without the GIL.
    """
    script = str(Path(__file__).parent / "scripts" / "threads_stress.py")
    printed = run_script(sys.executable, script, "--loop", loop, "--operations", "2000")
    assert printed.startswith(f"2000 operations in 8 threads, {loop}, with")
    assert printed.endswith("; nothing left\n")
