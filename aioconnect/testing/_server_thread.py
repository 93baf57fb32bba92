"""Run a server's callbacks in one daemon thread.

Only this module starts threads.  A worker is woken through a pair of sockets,
never by a time-out that is hoped to be short enough, and is joined by `stop`.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

__all__ = ["Worker", "working"]


class Worker:
    """A thread that waits for sockets and alarms; every method is thread-safe.

    `selectors.DefaultSelector` is epoll or kqueue, which may be changed while
    another thread waits in it; a callback may therefore still run for a socket
    that was taken out a moment ago.
    """

    def __init__(self, name: str) -> None:
        self._soon: deque[Callable[[], object]] = deque()
        self._alarms: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._failure: BaseException | None = None
        self._is_stopping = False
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakened = socket.socketpair()
        self._waker.setblocking(False)
        self._wakened.setblocking(False)
        self._selector.register(self._wakened, selectors.EVENT_READ, self._drain)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def watch(
        self, sock: socket.socket, events: int, callback: Callable[[], object]
    ) -> None:
        """Call *callback* whenever *sock* is ready for one of *events*."""
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, callback)
        else:
            self._selector.register(sock, events, callback)

    def unwatch(self, sock: socket.socket) -> None:
        """Watch *sock* no more, before it is closed."""
        if sock.fileno() >= 0 and sock in self._selector.get_map():
            self._selector.unregister(sock)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call *callback* in the thread, after those that were asked for before."""
        self._soon.append(callback)
        self._wake()

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        """Call *callback* in the thread, at *when* of `time.monotonic`."""
        entry = (when, next(self._order), callback)
        self.call_soon(lambda: heapq.heappush(self._alarms, entry))

    def stop(self) -> None:
        """Join the thread and close what it waits with.

        Raises:
            BaseException: Whatever a callback raised, which is a bug of the kit.
        """
        self._is_stopping = True
        self._wake()
        self._thread.join()
        self._selector.close()
        self._waker.close()
        self._wakened.close()
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        # A full buffer: more wake-ups than it takes are on their way.
        with suppress(BlockingIOError):
            self._waker.send(b"\0")

    def _drain(self) -> None:
        try:
            while self._wakened.recv(4096):
                pass
        except BlockingIOError:
            return

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._turn()
        except BaseException as exc:  # stop() raises it
            self._failure = exc

    def _turn(self) -> None:
        timeout = None
        if self._alarms:
            timeout = max(0.0, self._alarms[0][0] - time.monotonic())
        for key, _ in self._selector.select(timeout):
            key.data()
        while self._soon:
            self._soon.popleft()()
        while self._alarms and self._alarms[0][0] <= time.monotonic():
            heapq.heappop(self._alarms)[2]()


@contextmanager
def working(name: str) -> Generator[Worker]:
    """Give a worker whose thread is called *name*, and stop it at exit."""
    worker = Worker(name)
    try:
        yield worker
    finally:
        worker.stop()
