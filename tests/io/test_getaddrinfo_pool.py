"""Look-ups in threads: shared, dropped, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import linecache
import queue
import socket
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from resolver_threads import PATIENCE, join_resolver_threads, resolver_threads

from aioconnect._io import getaddrinfo_pool
from aioconnect._io.getaddrinfo_pool import GetaddrinfoPool
from aioconnect._io.shared_lookup import AddrInfo, GaiQuery, SharedLookup

Factory = Callable[[], asyncio.AbstractEventLoop]
Answer = tuple[AddrInfo, ...]

FOUND: Answer = (
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.2", 80)),
)


class System:
    """A getaddrinfo that answers on command, and remembers the queries."""

    def __init__(self) -> None:
        self.asked: list[GaiQuery] = []
        self.is_open = threading.Event()
        self.answer: Answer | BaseException = FOUND
        self._came = threading.Condition()

    def __call__(self, question: GaiQuery) -> Answer:
        with self._came:
            self.asked.append(question)
            self._came.notify_all()
        assert self.is_open.wait(PATIENCE)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def wait_for_questions(self, count: int) -> None:
        """Wait, without blocking the loop, until *count* have been asked."""

        def wait() -> None:
            with self._came:
                assert self._came.wait_for(lambda: len(self.asked) >= count, PATIENCE)

        await in_thread(wait)


async def in_thread(function: Callable[[], None]) -> None:
    """Run *function* in a thread of the test's own; it is joined."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def run() -> None:
        try:
            function()
        finally:
            loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=run)
    thread.start()
    await done
    thread.join()


@pytest.fixture
def system() -> Iterator[System]:
    """Give a getaddrinfo that answers on command, or at the end."""
    system = System()
    yield system
    system.is_open.set()


@pytest.fixture(autouse=True)
def threads_end(nothing_left: None) -> Iterator[None]:
    """Wait for the end of the threads, which must come by itself."""
    join_resolver_threads()  # of those that an earlier test has left idle
    yield
    join_resolver_threads()


@pytest.fixture
async def lookups(
    threads_end: None, system: System, nothing_pending: None
) -> AsyncIterator[GetaddrinfoPool]:
    """Give look-ups that ask *system*, three at a time."""
    yield GetaddrinfoPool(system, limit=3, idle_timeout=0.1)
    system.is_open.set()


def put(
    lookups: GetaddrinfoPool, name: str, family: int = socket.AF_INET
) -> asyncio.Future[Answer]:
    """Ask *lookups* for *name*, in the running loop."""
    return lookups.ask(asyncio.get_running_loop(), name, 80, family, 0)


async def test_the_answer_is_getaddrinfos(
    lookups: GetaddrinfoPool, system: System
) -> None:
    lookups._idle_timeout = 1.0  # it is there when it is looked at
    system.is_open.set()
    assert await put(lookups, "a.test") == FOUND
    assert system.asked == [("a.test", 80, socket.AF_INET, 0)]
    assert [thread.daemon for thread in resolver_threads()] == [True]


async def test_questions_at_once_are_asked_at_once(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """AAAA and A do not wait for each other, nor one name for another."""
    asked = [put(lookups, "a.test", f) for f in (socket.AF_INET6, socket.AF_INET)]
    asked.append(put(lookups, "b.test"))
    await system.wait_for_questions(3)
    system.is_open.set()
    assert await asyncio.gather(*asked) == [FOUND] * 3


async def test_the_same_question_is_asked_once(
    lookups: GetaddrinfoPool, system: System
) -> None:
    asked = [put(lookups, "a.test") for _ in range(100)]
    await system.wait_for_questions(1)
    asked += [put(lookups, "a.test") for _ in range(100)]
    system.is_open.set()
    assert await asyncio.gather(*asked) == [FOUND] * 200
    assert len(system.asked) == 1
    assert await put(lookups, "a.test") == FOUND
    assert len(system.asked) == 2, "an answer is not kept"


async def test_the_same_question_of_another_loop_is_asked_once(
    lookups: GetaddrinfoPool, system: System, loop_factory: Factory
) -> None:
    """Each gets the answer in its own loop."""
    mine = put(lookups, "a.test")
    await system.wait_for_questions(1)
    is_asked = threading.Event()
    found: list[Answer] = []

    async def ask_too() -> None:
        asked = put(lookups, "a.test")
        assert asked.get_loop() is asyncio.get_running_loop()
        is_asked.set()
        found.append(await asked)

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(ask_too())

    thread = threading.Thread(target=run)
    thread.start()
    assert is_asked.wait(PATIENCE)
    system.is_open.set()
    assert await mine == FOUND
    thread.join()
    assert found == [FOUND]
    assert len(system.asked) == 1


async def test_who_gives_up_does_not_disturb_the_others(
    lookups: GetaddrinfoPool, system: System
) -> None:
    first, second = put(lookups, "a.test"), put(lookups, "a.test")
    await system.wait_for_questions(1)
    first.cancel()
    await asyncio.sleep(0)
    third = put(lookups, "a.test")
    system.is_open.set()
    assert await second == await third == FOUND
    assert first.cancelled()
    assert len(system.asked) == 1


async def test_what_nobody_waits_for_is_not_begun(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """There is one thread; the others are queued in order, and one is dropped."""
    lookups._limit = 1
    asked = [put(lookups, f"{number}.test") for number in range(5)]
    await system.wait_for_questions(1)
    asked[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked[2]
    await asyncio.sleep(0)
    assert len(lookups._queued) == 3
    # Given up with no tick of the loop in which to say so.
    asked[3].cancel()
    system.is_open.set()
    while lookups._lookups:
        time.sleep(0.001)
    assert await asked[4] == await asked[1] == FOUND
    assert [host for host, *_ in system.asked] == ["0.test", "1.test", "4.test"]


async def test_what_nobody_waits_for_is_asked_anew_a_few_times(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """A packet may be lost; but one dead name does not fill the threads."""
    lookups._limit = 100
    for count in (1, 2, 3, 4):
        asked = put(lookups, "dead.test")
        await system.wait_for_questions(count)
        asked.cancel()
        await asyncio.sleep(0)
    last = put(lookups, "dead.test")
    other = put(lookups, "other.test")
    await system.wait_for_questions(5)
    assert system.asked[4][0] == "other.test"
    system.is_open.set()
    assert await last == await other == FOUND
    assert len(resolver_threads()) <= 5


async def test_no_more_threads_than_the_limit(
    lookups: GetaddrinfoPool, system: System
) -> None:
    asked = [put(lookups, f"{number}.test") for number in range(50)]
    await system.wait_for_questions(3)
    assert len(resolver_threads()) == 3
    system.is_open.set()
    assert await asyncio.gather(*asked) == [FOUND] * 50
    assert len(resolver_threads()) <= 3
    assert len({host for host, *_ in system.asked}) == len(system.asked) == 50


async def test_idle_threads_are_used_again_and_end(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """The thread that was busy last runs the next look-up, so the others can end."""
    lookups._idle_timeout = PATIENCE
    asked = [put(lookups, f"{number}.test") for number in range(3)]
    await system.wait_for_questions(3)
    system.is_open.set()
    await asyncio.gather(*asked)
    idle = list(lookups._idle)
    for _ in range(20):
        await put(lookups, "a.test")
        assert lookups._idle == idle
    assert len(resolver_threads()) == 3
    lookups._idle_timeout = 0.01
    system.is_open.clear()
    asked = [put(lookups, f"{number}.test") for number in range(3)]
    await system.wait_for_questions(26)
    system.is_open.set()
    await asyncio.gather(*asked)
    while resolver_threads():
        await asyncio.sleep(0.001)
    assert not lookups._workers
    assert lookups._idle == []
    assert await put(lookups, "a.test") == FOUND


def line_of(thread: threading.Thread) -> str:
    """Return the line of the program that *thread* is at."""
    frame = sys._current_frames()[thread.ident or 0]
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


async def test_a_thread_that_is_ending_misses_no_question(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """It is given one when its time is up, and before it can say that it ends."""
    lookups._idle_timeout = 1.0
    system.is_open.set()
    assert await put(lookups, "a.test") == FOUND
    (thread,) = resolver_threads()
    waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    lookup = SharedLookup(("b.test", 80, 0, 0), 1)
    lookup.waiters.add(waiter)
    with lookups._lock:
        lookups._queued[lookup.query] = lookup
        while line_of(thread) != "with self._lock:":
            time.sleep(0.001)
        lookups._dispatch(lookup)
    assert await waiter == FOUND
    assert resolver_threads() == [thread]


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        OSError(24, "Too many open files"),
        RuntimeError("a hook of the user's own"),
        GeneratorExit("a greenlet's end"),
    ],
)
async def test_errors_are_the_systems(
    lookups: GetaddrinfoPool, system: System, error: BaseException
) -> None:
    """Each waiter has its own, with its own frames alone."""
    system.answer = error
    first, second = put(lookups, "a.test"), put(lookups, "a.test")
    system.is_open.set()
    raised: list[BaseException] = []
    for asked in (first, second):
        with pytest.raises(type(error)) as caught:
            await asked
        assert caught.value.args == error.args
        raised.append(caught.value)
    if isinstance(error, OSError):
        assert raised[0] is not raised[1]


@pytest.mark.parametrize("error", [StopIteration(), asyncio.CancelledError()])
async def test_what_a_future_cannot_have_is_an_error_nevertheless(
    lookups: GetaddrinfoPool, system: System, error: BaseException
) -> None:
    """The thread lives, and the next one who asks is answered."""
    system.is_open.set()
    system.answer = error
    asked = put(lookups, "a.test")
    with pytest.raises(RuntimeError, match=type(error).__name__):
        await asked
    system.answer = FOUND
    assert await put(lookups, "a.test") == FOUND


async def test_an_error_that_nobody_looks_at_is_not_logged(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """The test's own loop fails the test if anything is logged."""
    system.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
    asked = put(lookups, "a.test")
    system.is_open.set()
    await asyncio.wait([asked])
    del asked
    gc.collect()


async def test_an_answer_that_comes_with_the_cancellation_is_dropped(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """The loop is busy while both come; the cancellation is first."""
    system.is_open.set()
    for answer in (FOUND, socket.gaierror(socket.EAI_NONAME, "unknown")):
        system.answer = answer
        asked = put(lookups, "a.test")
        while lookups._lookups:
            time.sleep(0.001)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


def test_a_loop_that_is_closed_meanwhile_is_no_error(
    system: System, loop_factory: Factory, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its queued queries are not asked, and nothing is logged."""
    lookups = GetaddrinfoPool(system, limit=1, idle_timeout=0.1)
    for is_cancelled in (False, True):
        system.is_open.clear()
        asked = len(system.asked)
        loop = loop_factory()
        futures = [lookups.ask(loop, f"{n}.test", 80, 0, 0) for n in range(3)]
        if is_cancelled:
            for future in futures:
                future.cancel()
        loop.close()
        system.is_open.set()
        while lookups._lookups:
            time.sleep(0.001)
        assert len(system.asked) <= asked + 1
    with asyncio.Runner(loop_factory=loop_factory) as runner:

        async def main() -> Answer:
            return await put(lookups, "0.test")

        assert runner.run(main()) == FOUND
    assert capfd.readouterr() == ("", "")


async def test_a_loop_that_cannot_be_told_keeps_nobody_else_waiting(
    lookups: GetaddrinfoPool, system: System, loop_factory: Factory
) -> None:
    """Whatever its method raises: the thread lives, and answers the others."""
    with contextlib.closing(loop_factory()) as broken:
        vars(broken)["call_soon_threadsafe"] = refusing(MemoryError())
        untold = lookups.ask(broken, "a.test", 80, socket.AF_INET, 0)
        asked = put(lookups, "a.test")
        system.is_open.set()
        assert await asked == FOUND
        assert await put(lookups, "b.test") == FOUND
        assert not untold.done()


def test_nothing_is_kept_of_a_loop_or_a_future(
    system: System, loop_factory: Factory
) -> None:
    """Neither after an answer or an error, nor while its thread hangs, closed."""
    lookups = GetaddrinfoPool(system, idle_timeout=0.1)
    gc.disable()
    try:
        refs: list[weakref.ref[object]] = []

        async def main(name: str) -> None:
            asked = put(lookups, name)
            refs.append(weakref.ref(asked))
            await asyncio.wait([asked], timeout=PATIENCE)
            asked.exception()

        def run(name: str) -> None:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(main(name))

        system.is_open.set()
        run("a.test")
        system.answer = socket.gaierror(socket.EAI_NONAME, "unknown")
        run("b.test")

        async def give_up() -> None:
            asked = put(lookups, "c.test")
            refs.append(weakref.ref(asked))
            await system.wait_for_questions(3)
            asked.cancel()
            await asyncio.sleep(0)

        system.is_open.clear()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(give_up())
        assert [ref() for ref in refs] == [None] * 3
    finally:
        gc.enable()


class Text(str):
    """A text that a test can watch, as it cannot watch a plain one."""

    __slots__ = ("__weakref__",)


class Failure(socket.gaierror):
    """An error that a test can watch."""


# Without the GIL, an object that another thread drops last lives until its own thread
# runs again, or until garbage is collected.  Here, that thread sleeps.
HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.mark.parametrize("fails", [False, True])
def test_an_idle_thread_keeps_nothing_of_its_last_look_up(
    loop_factory: Factory, fails: bool
) -> None:
    """Neither the query nor the answer, the error, the future, the loop or a value.

    The thread waits for as long as it may.  The garbage collector is off.
    """
    refs: dict[str, weakref.ref[Any]] = {}
    variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")

    def look_up(query: GaiQuery) -> Answer:
        if fails:
            error = Failure(socket.EAI_NONAME, "unknown")
            refs["outcome"] = weakref.ref(error)
            try:
                raise error
            finally:
                del error  # its traceback has this frame
        name = Text("canonical.test")
        refs["outcome"] = weakref.ref(name)
        return ((socket.AF_INET, socket.SOCK_STREAM, 6, name, ("192.0.2.1", 80)),)

    lookups = GetaddrinfoPool(look_up, idle_timeout=PATIENCE)

    async def main() -> None:
        host, value = Text("a.test"), Failure()
        variable.set(value)
        asked = put(lookups, host)
        loop = asyncio.get_running_loop()
        named = {"host": host, "value": value, "future": asked, "loop": loop}
        refs.update({name: weakref.ref(thing) for name, thing in named.items()})
        await asyncio.wait([asked], timeout=PATIENCE)
        assert isinstance(asked.exception(), Failure) == fails

    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
        del runner
        assert len(refs) == 5
        until = time.monotonic() + PATIENCE / 4
        while any(ref() for ref in refs.values()) and time.monotonic() < until:
            time.sleep(0.001)  # the answer is out before the thread waits
            if not HAS_GIL:
                gc.collect()
        assert [name for name, ref in refs.items() if ref() is not None] == []
        assert len(lookups._idle) == 1
    finally:
        gc.enable()
        for worker in lookups._idle:
            lookups._idle_timeout = 0.0
            worker.put(None)  # it looks, has no look-up, and ends


async def test_a_thread_starts_without_the_callers_context(
    lookups: GetaddrinfoPool, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would inherit the context on Python 3.14 without the GIL, and keep it."""
    inherited: list[object] = []
    start = threading.Thread.start

    def noting(thread: threading.Thread) -> None:
        inherited.extend(contextvars.copy_context())
        start(thread)

    contextvars.ContextVar[int]("variable").set(1)
    monkeypatch.setattr(threading.Thread, "start", noting)
    system.is_open.set()
    assert await put(lookups, "a.test") == FOUND
    assert not inherited


async def test_a_thread_that_cannot_start_is_a_clear_error(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """Nothing is left of the question, and the next one is asked."""
    size = threading.stack_size(1 << 47)  # more than a process can address
    try:
        asked = put(lookups, "a.test")
    finally:
        threading.stack_size(size)
    with pytest.raises(socket.gaierror, match="can't start new thread") as caught:
        await asked
    assert caught.value.errno == socket.EAI_AGAIN
    assert_nothing_is_kept(lookups)
    system.is_open.set()
    assert await put(lookups, "a.test") == FOUND


def assert_nothing_is_kept(lookups: GetaddrinfoPool) -> None:
    """Assert that there is neither a thread nor a question."""
    assert not lookups._workers
    assert not lookups._idle
    assert not lookups._queued
    assert not lookups._lookups


def raising(error: BaseException, real: Callable[..., None]) -> Callable[..., None]:
    """Return what raises *error* after it has done what *real* does."""

    def raise_after(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        raise error

    return raise_after


def refusing(error: BaseException) -> Callable[..., None]:
    """Return what raises *error*."""
    return raising(error, lambda *_, **__: None)


@pytest.mark.parametrize("method", ["__init__", "start"])
@pytest.mark.parametrize(
    "error",
    [MemoryError(), RecursionError("too deep"), ValueError("a hook"), SystemExit(3)],
)
async def test_what_keeps_a_thread_from_being_made_is_that_calls_error(
    lookups: GetaddrinfoPool,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: BaseException,
) -> None:
    """It comes through as itself, and the next one who asks is answered."""
    system.is_open.set()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, method, refusing(error))
        for _ in range(5):
            with pytest.raises(type(error)) as caught:
                put(lookups, "a.test")
            assert caught.value is error
            assert_nothing_is_kept(lookups)
    assert await put(lookups, "a.test") == FOUND


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
async def test_a_thread_that_lives_though_start_has_raised(
    lookups: GetaddrinfoPool,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    """``start`` can raise while it waits for the thread: that is counted all the same.

    It finds nothing to do, and is there for the next one who asks.
    """
    lookups._idle_timeout = PATIENCE
    system.is_open.set()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", raising(error, threading.Thread.start))
        with pytest.raises(type(error)):
            put(lookups, "a.test")
    while not lookups._idle:
        await asyncio.sleep(0.001)
    assert not lookups._lookups
    assert len(lookups._workers) == 1
    lookups._idle_timeout = 0.01
    assert await put(lookups, "b.test") == FOUND
    assert [host for host, *_ in system.asked] == ["b.test"]
    while resolver_threads():
        await asyncio.sleep(0.001)
    assert_nothing_is_kept(lookups)


@pytest.mark.parametrize("error", [RuntimeError("no more"), MemoryError()])
async def test_a_question_without_a_thread_waits_for_one_that_lives(
    lookups: GetaddrinfoPool,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """With one thread left AAAA and A, and other names, are asked one by one."""
    asked = [put(lookups, "a.test", socket.AF_INET6)]
    await system.wait_for_questions(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refusing(error))
        asked.append(put(lookups, "a.test"))
        asked += [put(lookups, f"{number}.test") for number in range(4)]
        assert len(resolver_threads()) == 1
        system.is_open.set()
        assert await asyncio.gather(*asked) == [FOUND] * 6
    assert len(system.asked) == 6


async def test_an_interruption_goes_through_where_a_thread_lives(
    lookups: GetaddrinfoPool, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what others wait for is still asked."""
    asked = [put(lookups, "a.test")]
    await system.wait_for_questions(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refusing(MemoryError()))
        asked.append(put(lookups, "b.test"))
        patch.setattr(threading.Thread, "start", refusing(KeyboardInterrupt()))
        for host in ("b.test", "c.test"):
            with pytest.raises(KeyboardInterrupt):
                put(lookups, host)
    assert [host for host, *_ in lookups._queued] == ["b.test"]
    system.is_open.set()
    assert await asyncio.gather(*asked) == [FOUND] * 2
    assert [host for host, *_ in system.asked] == ["a.test", "b.test"]


async def test_a_backlog_gets_threads_as_soon_as_there_can_be_some(
    lookups: GetaddrinfoPool, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a lack of threads, queued look-ups do not wait for a hanging thread."""
    lookups._limit = 100
    asked = [put(lookups, "dead.test")]
    await system.wait_for_questions(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refusing(RuntimeError("no more")))
        asked += [put(lookups, f"{number}.test") for number in range(5)]
    assert len(lookups._queued) == 5
    asked.append(put(lookups, "good.test"))
    await system.wait_for_questions(7)
    assert len(resolver_threads()) == 7
    system.is_open.set()
    assert await asyncio.gather(*asked) == [FOUND] * 7


async def test_no_more_threads_than_questions(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """What a thread that begins just now will take needs no other one."""
    asked: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    lookup = SharedLookup(("a.test", 80, 0, 0), 1)
    lookup.waiters.add(asked)
    with lookups._lock:  # so it cannot begin yet
        lookups._queued[lookup.query] = lookup
        for _ in range(3):
            lookups._dispatch(lookup)
        assert len(lookups._workers) == 1
    system.is_open.set()
    assert await asked == FOUND


def failing_once(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return *real*, whose first call raises a MemoryError."""
    errors = [MemoryError("the thread's own")]

    def fail_or_call(*arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(*arguments)

    return fail_or_call


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize(
    ("where", "name"),
    [
        (GetaddrinfoPool, "_take_from_queue"),
        (GetaddrinfoPool, "_finish"),
        (GetaddrinfoPool, "_set_idle"),
        (GetaddrinfoPool, "_wait"),
        (SharedLookup, "is_wanted"),
        (getaddrinfo_pool, "answer"),
    ],
)
async def test_a_thread_that_dies_leaves_nobody_waiting(
    lookups: GetaddrinfoPool,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    is_begun: bool,
) -> None:
    """Wherever it dies, it no longer counts, and a lack of threads is an error."""
    died: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: died.append(args[0]))
    lookups._limit = 1
    with monkeypatch.context() as patch:
        asked: list[asyncio.Future[Answer]] = []
        if is_begun:
            asked.append(put(lookups, "begun.test"))
            await system.wait_for_questions(1)
        patch.setattr(where, name, failing_once(getattr(where, name)))
        asked += [put(lookups, host) for host in ("a.test", "a.test", "b.test")]
        system.is_open.set()
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert answer == FOUND or isinstance(answer, MemoryError)
        while resolver_threads():
            await asyncio.sleep(0.001)
    assert died == [MemoryError]
    assert_nothing_is_kept(lookups)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refusing(RuntimeError("no more")))
        with pytest.raises(socket.gaierror, match="no more"):
            await put(lookups, "c.test")
    assert await put(lookups, "d.test") == FOUND


async def test_what_is_queued_outlives_a_thread_where_another_lives(
    lookups: GetaddrinfoPool, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the dead one had in hand has its error."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    lookups._limit = 2
    asked = [put(lookups, f"{number}.test") for number in range(2)]
    await system.wait_for_questions(2)
    asked += [put(lookups, f"{number}.test") for number in range(2, 5)]
    with monkeypatch.context() as patch:
        patch.setattr(GetaddrinfoPool, "_finish", failing_once(GetaddrinfoPool._finish))
        system.is_open.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(map(type, answers[:2]), key=repr) == [MemoryError, tuple]
    assert answers[2:] == [FOUND] * 3


class Interrupted(list[Any]):
    """A list whose first ``pop`` is interrupted, before or after it is done."""

    def __init__(self, items: list[Any], is_done: bool) -> None:
        super().__init__(items)
        self._is_done = [is_done]

    def pop(self, *index: Any) -> Any:
        """Pop an item, but not undisturbed."""
        if self._is_done:
            if self._is_done.pop():
                super().pop(*index)
            raise KeyboardInterrupt
        return super().pop(*index)


class InterruptedWorker(queue.SimpleQueue[None]):
    """A worker whose first ``put`` is interrupted when it is done."""

    is_done = False

    def put(self, *arguments: Any) -> None:
        """Put an item, but not undisturbed."""
        super().put(*arguments)
        if not self.is_done:
            self.is_done = True
            raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["before pop", "after pop", "after put"])
async def test_an_interruption_while_an_idle_thread_gets_a_question(
    lookups: GetaddrinfoPool,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """The thread is idle once, answers the next who asks, and ends."""
    system.is_open.set()
    lookups._idle_timeout = PATIENCE
    with monkeypatch.context() as patch:
        if where == "after put":
            patch.setattr(queue, "SimpleQueue", InterruptedWorker)
        await put(lookups, "warm.test")
    if where != "after put":
        lookups._idle = Interrupted(lookups._idle, where == "after pop")
    with pytest.raises(KeyboardInterrupt):
        put(lookups, "a.test")
    assert not lookups._lookups
    with lookups._lock:
        assert len(lookups._idle) == len(lookups._workers) <= 1
    lookups._idle_timeout = 0.01
    for number in range(3):
        assert await put(lookups, f"{number}.test") == FOUND
    while resolver_threads():
        await asyncio.sleep(0.001)
    assert_nothing_is_kept(lookups)


async def test_a_queued_question_that_was_given_up_is_joined(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """It has not been asked: none of its turns is over, and it is in no queue twice."""
    lookups._limit = 1
    asked = [put(lookups, "busy.test")]
    await system.wait_for_questions(1)
    for _ in range(9):
        put(lookups, "a.test").cancel()
    lookups._limit = 3
    given_up = put(lookups, "a.test")
    await system.wait_for_questions(2)
    given_up.cancel()
    await asyncio.sleep(0)
    asked.append(put(lookups, "a.test"))
    await system.wait_for_questions(3)
    system.is_open.set()
    assert await asyncio.gather(*asked) == [FOUND] * 2
    assert [host for host, *_ in system.asked] == ["busy.test", "a.test", "a.test"]


async def test_who_waits_for_a_thread_is_told_behind_how_many(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """Who is being asked for, or has been, waits for none."""
    asked = [put(lookups, f"{number}.test") for number in range(4)]
    await system.wait_for_questions(3)
    counts = [
        lookups.lookups_ahead(f"{n}.test", 80, socket.AF_INET, 0) for n in range(5)
    ]
    assert counts == [None, None, None, 3, None]
    system.is_open.set()
    await asyncio.gather(*asked)
    assert lookups.lookups_ahead("3.test", 80, socket.AF_INET, 0) is None


async def test_it_is_crowded_when_more_than_half_of_its_threads_are_at_work(
    lookups: GetaddrinfoPool, system: System
) -> None:
    """Idle threads do not count, and abandoned look-ups do: their threads hang."""
    lookups._limit, lookups._idle_timeout = 4, PATIENCE  # no thread ends meanwhile
    assert not lookups.is_crowded()
    asked = [put(lookups, f"{number}.test") for number in range(2)]
    await system.wait_for_questions(2)
    assert not lookups.is_crowded()
    asked.append(put(lookups, "2.test"))
    await system.wait_for_questions(3)
    assert lookups.is_crowded()
    for abandoned in asked[1:]:
        abandoned.cancel()
    await asyncio.sleep(0)
    assert lookups.is_crowded()
    system.is_open.set()
    assert await asked[0] == FOUND
    while lookups.is_crowded():
        await asyncio.sleep(0.001)
    assert len(resolver_threads()) == 3
    system.is_open.clear()
    lookups._idle_timeout = 0.01
    again = [put(lookups, f"{number}.test") for number in range(3)]
    assert lookups.is_crowded()
    await system.wait_for_questions(6)
    system.is_open.set()
    assert await asyncio.gather(*again) == [FOUND] * 3


async def test_many_loops_in_many_threads(loop_factory: Factory) -> None:
    """Thousands of questions, some given up: each gets its own answer or none."""

    def look_up(question: GaiQuery) -> Answer:
        host, port, family, _ = question
        assert host is not None
        return ((family, 0, 0, host, ("192.0.2.1", port)),)

    lookups = GetaddrinfoPool(look_up, limit=8, idle_timeout=0.1)
    answers: list[int] = []

    async def one(number: int) -> None:
        asked = put(lookups, f"{number % 7}.test")
        if number % 3 == 0:
            await asyncio.sleep(0)
            asked.cancel()
            return
        ((_, _, _, host, _),) = await asked
        assert host == f"{number % 7}.test"
        answers.append(number)

    async def main() -> None:
        await asyncio.gather(*map(one, range(600)))

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await in_thread(thread.join)
    assert len(answers) == 4 * 400
    assert len(resolver_threads()) <= 8
    assert not lookups._lookups
