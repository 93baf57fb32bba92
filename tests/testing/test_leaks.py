"""Each kind of leak is found and named, and nothing else is."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import socket
import threading
from collections.abc import Callable

import pytest

from aioconnect._io.getaddrinfo_pool import GetaddrinfoPool
from aioconnect.testing import (
    echoing,
    flaky,
    leak_check,
    tls_echoing,
    unused_port,
)

Factory = Callable[[], asyncio.AbstractEventLoop]


def test_nothing_is_no_leak() -> None:
    with leak_check(), socket.socket(), echoing():
        pass


def test_a_descriptor_is_named_with_its_target() -> None:
    left: list[socket.socket] = []
    with pytest.raises(AssertionError) as caught, leak_check():
        left.append(socket.create_server(("127.0.0.1", 0)))
    fd, name = left[0].fileno(), left[0].getsockname()
    target = os.readlink(f"/proc/self/fd/{fd}")
    assert f"descriptor {fd}: {target} (AF_INET {name!r})" in str(caught.value)
    left[0].close()


def test_a_descriptor_that_replaces_another_is_a_leak() -> None:
    socks = [socket.socket()]
    fd = socks[0].fileno()

    def replace() -> None:
        socks.pop().close()
        socks.append(socket.socket())
        assert socks[0].fileno() == fd

    with pytest.raises(AssertionError, match=f"descriptor {fd}:"), leak_check():
        replace()
    socks[0].close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_socket_that_only_the_collector_closes_is_a_leak() -> None:
    """The collector does not hide it, and the message says that it would close it."""

    def leave_a_cycle() -> None:
        cycle: list[object] = [socket.socket()]
        cycle.append(cycle)
        del cycle
        # Enough objects for the collector to run by itself if it were on.
        assert len([[number] for number in range(100_000)]) == 100_000

    gc.enable()  # it is off around each test
    message = "until garbage was collected"
    with pytest.raises(AssertionError, match=message), leak_check():
        leave_a_cycle()
    assert gc.isenabled()


def test_a_thread_is_named_and_one_that_is_ending_is_waited_for() -> None:
    end = threading.Event()
    left = threading.Thread(target=end.wait, name="left-behind")
    with pytest.raises(AssertionError, match="left-behind"), leak_check(patience=0.05):
        left.start()
    with leak_check():
        threading.Timer(0.05, end.set).start()
    left.join()


def test_threads_can_be_ignored_by_name() -> None:
    end = threading.Event()
    left = threading.Thread(target=end.wait, name="asyncio_7")
    with leak_check(patience=0.01, ignore_threads=["asyncio_"]):
        left.start()
    end.set()
    left.join()


async def test_the_resolver_threads_of_the_package_are_no_leaks() -> None:
    """A client that connects to a name through this package is not blamed for them."""
    lookups = GetaddrinfoPool(lambda _: (), idle_timeout=1.0)
    loop = asyncio.get_running_loop()
    async with leak_check(patience=0):
        assert await lookups.ask(loop, "a.test", 80, 0, 0) == ()
        names = [thread.name for thread in threading.enumerate()]
        assert any(name.startswith("aioconnect-resolver-") for name in names)
    while any(t.name.startswith("aioconnect-resolver-") for t in threading.enumerate()):
        await asyncio.sleep(0.01)


def test_a_block_that_raises_keeps_its_exception_with_a_note() -> None:
    left: list[socket.socket] = []

    def fail() -> None:
        left.append(socket.socket())
        raise KeyError("mine")

    with pytest.raises(KeyError) as caught, leak_check():
        fail()
    assert f"descriptor {left[0].fileno()}" in caught.value.__notes__[0]
    left[0].close()


async def test_a_task_is_a_leak() -> None:
    forever = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await forever

    with pytest.raises(AssertionError, match=r"task .*wait"):
        async with leak_check(patience=0.02):
            task = asyncio.ensure_future(wait())
    forever.set_result(None)
    await task


def test_one_run_of_the_loop_can_begin_the_check_and_another_end_it(
    loop_factory: Factory,
) -> None:
    """Around the ``yield`` of a fixture, the task and the loop's waker change."""
    check = leak_check(patience=0)
    with asyncio.Runner(loop_factory=loop_factory) as runner, socket.socket() as sock:
        runner.run(check.__aenter__())
        sock.close()  # the waker of uvloop's next run has this descriptor
        runner.run(check.__aexit__(None, None, None))


async def test_a_timer_is_a_leak_unless_it_is_cancelled() -> None:
    loop = asyncio.get_running_loop()
    before = loop.call_later(3600, print)
    async with leak_check(patience=0.02):
        loop.call_later(3600, print).cancel()
    with pytest.raises(AssertionError, match=r"timer <.*print"):
        async with leak_check(patience=0.02):
            after = loop.call_later(3600, print)
    before.cancel()
    after.cancel()


async def test_a_loop_with_a_dict_is_no_leak() -> None:
    """A loop that has a ``__dict__`` refers to other things than before."""
    async with leak_check(patience=0):
        getattr(asyncio.get_running_loop(), "__dict__", None)


async def test_a_cancelled_handshake_is_no_leak() -> None:
    """Not even on uvloop, which forgets its timer."""
    with tls_echoing(silent=True) as server:
        async with leak_check(patience=0):
            sock = socket.create_connection((server.host, server.port))
            handshake = asyncio.open_connection(
                sock=sock, ssl=server.client_context, server_hostname="localhost"
            )
            task = asyncio.ensure_future(handshake)
            for _ in range(2):  # until it begins
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            del handshake, task, sock


@pytest.mark.parametrize("what", ["reading", "writing"])
async def test_a_watcher_is_a_leak(what: str) -> None:
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        reading = functools.partial(loop.add_reader, left, print)
        writing = functools.partial(loop.add_writer, left, print)
        leave, other = (reading, writing) if what == "reading" else (writing, reading)
        # The descriptor is watched for one direction already, and now for both.
        other()
        message = f"watcher of descriptor {left.fileno()}, {what}"
        with pytest.raises(AssertionError, match=message), leak_check():
            leave()
        loop.remove_reader(left)
        loop.remove_writer(left)
        async with leak_check():
            loop.add_reader(left, print)
            loop.remove_reader(left)


async def test_the_check_waits_for_what_is_ending() -> None:
    """A closed transport closes its socket some ticks later."""
    with echoing() as server:
        async with leak_check():
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.close()
            task = asyncio.ensure_future(asyncio.sleep(0.05))
        assert task.done()


def test_sockets_of_a_server_of_the_kit_are_no_leaks() -> None:
    """A server outside the block, clients inside: only the clients' sockets count."""
    with echoing() as echo, flaky(["refuse", "accept_silent"]) as server:
        with leak_check(patience=0.2), socket.socket() as sock:
            server.advance()
            assert sock.connect_ex(server.sockaddr)
        with leak_check(patience=0.2), socket.socket() as sock:
            server.advance()
            sock.connect(server.sockaddr)
            server.wait_for_connections(1)
        with unused_port() as held, leak_check(patience=0.2):
            held.listen()
        left: list[socket.socket] = []
        with pytest.raises(AssertionError) as caught, leak_check(patience=0.2):
            left.append(socket.create_connection((echo.host, echo.port)))
        left[0].close()
    assert str(caught.value).count("descriptor") == 1


async def test_leaks_can_be_asked_for() -> None:
    async with leak_check() as check:
        assert check.leaks() == []
        with socket.socket() as sock:
            assert [f"descriptor {sock.fileno()}:" in line for line in check.leaks()]


def test_a_loop_that_does_not_run_can_be_given(loop_factory: Factory) -> None:
    loop = loop_factory()
    with pytest.raises(AssertionError, match="timer"), leak_check(loop):
        handle = loop.call_later(3600, print)
    handle.cancel()
    with leak_check(loop):
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with leak_check(loop):
        pass


def test_the_collector_stays_off_if_it_was() -> None:
    gc.disable()
    try:
        with leak_check():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
