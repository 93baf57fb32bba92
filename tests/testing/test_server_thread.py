"""A server's thread runs its callbacks, wakes at once, and hides no failure."""

from __future__ import annotations

import functools
import threading
import time

import pytest

from aioconnect.testing import leak_check
from aioconnect.testing._server_thread import ServerThread, server_thread


def test_callbacks_run_in_order_in_one_thread() -> None:
    seen: list[tuple[int, str]] = []
    done = threading.Event()

    def see(number: int) -> None:
        seen.append((number, threading.current_thread().name))

    with leak_check(), server_thread("aioconnect-test") as thread:
        for number in range(10_000):
            thread.call_soon(functools.partial(see, number))
        thread.call_soon(done.set)
        assert done.wait(10.0)
    assert seen == [(number, "aioconnect-test") for number in range(10_000)]


def test_timers_run_in_order_and_never_early() -> None:
    seen: list[int] = []
    done = threading.Event()
    with leak_check(), server_thread("aioconnect-test") as thread:
        begun = time.monotonic()
        thread.call_at(begun + 0.06, done.set)
        thread.call_at(begun + 0.04, lambda: seen.append(2))
        thread.call_at(begun + 0.02, lambda: seen.append(1))
        thread.call_at(begun + 3600, lambda: seen.append(3))
        assert done.wait(10.0)
        assert time.monotonic() - begun >= 0.06
    assert seen == [1, 2]


def test_stop_returns_when_the_thread_has_ended() -> None:
    begun = threading.Event()

    def work() -> None:
        begun.set()
        threading.Event().wait(0.1)

    thread = ServerThread("aioconnect-stopping")
    thread.call_soon(work)
    assert begun.wait(10.0)
    thread.stop()
    assert "aioconnect-stopping" not in [t.name for t in threading.enumerate()]


def test_a_failed_callback_is_raised_at_the_end() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with leak_check():
        thread = ServerThread("aioconnect-test")
        thread.call_soon(fail)
        with pytest.raises(KeyError, match="mine"):
            thread.stop()
