"""Run a server's callbacks in one daemon thread.

Only this module starts threads.  A pair of sockets wakes the thread, so nothing
depends on the length of a timeout.  `ServerThread.stop` joins the thread.
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

__all__ = ["ServerThread", "server_thread"]


class ServerThread:
    """A thread that waits for sockets and timers.  Every method is thread-safe.

    `selectors.DefaultSelector` is epoll or kqueue.  Both can be changed while another
    thread waits in them.  A callback may therefore still run for a socket that was
    removed a moment ago.
    """

    def __init__(self, name: str) -> None:
        self._callbacks: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._timer_numbers = itertools.count()
        self._failure: BaseException | None = None
        self._is_stopping = False
        self._selector = selectors.DefaultSelector()
        self._wake_sender, self._wake_receiver = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._wake_receiver.setblocking(False)
        self._selector.register(
            self._wake_receiver, selectors.EVENT_READ, self._drain_wakeups
        )
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
        """Stop watching *sock*.  Call this before *sock* is closed."""
        if sock.fileno() >= 0 and sock in self._selector.get_map():
            self._selector.unregister(sock)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call *callback* in the thread, after all earlier callbacks."""
        self._callbacks.append(callback)
        self._wake()

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        """Call *callback* in the thread when `time.monotonic` reaches *when*."""
        entry = (when, next(self._timer_numbers), callback)
        self.call_soon(lambda: heapq.heappush(self._timers, entry))

    def stop(self) -> None:
        """Join the thread and close its selector and sockets.

        Raises:
            BaseException: A callback raised it, which is a bug of this package.
        """
        self._is_stopping = True
        self._wake()
        self._thread.join()
        self._selector.close()
        self._wake_sender.close()
        self._wake_receiver.close()
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        # If the buffer is full, enough wake-ups are on their way already.
        with suppress(BlockingIOError):
            self._wake_sender.send(b"\0")

    def _drain_wakeups(self) -> None:
        try:
            while self._wake_receiver.recv(4096):
                pass
        except BlockingIOError:
            return

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._run_once()
        except BaseException as exc:  # stop() raises it
            self._failure = exc

    def _run_once(self) -> None:
        timeout = None
        if self._timers:
            timeout = max(0.0, self._timers[0][0] - time.monotonic())
        for key, _ in self._selector.select(timeout):
            key.data()
        while self._callbacks:
            self._callbacks.popleft()()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()


@contextmanager
def server_thread(name: str) -> Generator[ServerThread]:
    """Yield a thread that is called *name*, and stop it at exit."""
    thread = ServerThread(name)
    try:
        yield thread
    finally:
        thread.stop()
