"""Serve echo, at once or late, plain or to whoever wraps the connections.

Connections are accepted in a worker's thread, and treated by `_connections`.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from .._sansio.addresses import Address
from .._sansio.checks import check_duration
from ._connection_scripts import Conduct, Connections, serving
from ._listening import unix_path
from ._ports import UnixPath, address_of, bound, host_of, port_of, unix_bound
from ._refusing import HeldPort
from ._server_thread import Worker, working

__all__ = ["EchoServer", "echo_server", "echoing", "late"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

Wrap = Callable[[socket.socket], socket.socket]


class EchoServer:
    """A server that sends back what it gets.

    *host* and *port* are ``""`` and 0 on a Unix socket, *path* is ``""`` on TCP.
    """

    __slots__ = (
        "_connections",
        "_worker",
        "address",
        "host",
        "path",
        "port",
        "sockaddr",
    )

    def __init__(
        self, address: Address, path: str, connections: Connections, worker: Worker
    ) -> None:
        self._connections = connections
        self._worker = worker
        self.address = address
        self.sockaddr = address.sockaddr
        self.host = host_of(address)
        self.port = port_of(address)
        self.path = path

    def __repr__(self) -> str:
        return f"<EchoServer {self.address}>"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections.count

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> None:
        """Wait until *count* connections were accepted, in all.

        Raises:
            TimeoutError: They were not within *timeout* seconds.
        """
        self._connections.wait_for(count, timeout)

    def reset_connections(self) -> None:
        """Reset every connection that lives, and return when that is done."""
        done = threading.Event()
        self._worker.call_soon(self._connections.reset_all)
        self._worker.call_soon(done.set)
        done.wait(10.0)


@contextmanager
def echoing(
    host: str = "127.0.0.1", *, path: UnixPath | None = None, backlog: int = 128
) -> Generator[EchoServer]:
    """Serve echo on a port of *host*; with *path*, on a Unix socket there.

    At exit every connection is reset, and the thread is joined.

    Raises:
        ValueError: *host* is a name, or *path* cannot be one.
    """
    with ExitStack() as stack:
        if path is None:
            sock = stack.enter_context(bound(host))
        else:
            sock = stack.enter_context(unix_bound(path, socket.SOCK_STREAM))
        sock.listen(backlog)
        yield stack.enter_context(echo_server(sock))


@contextmanager
def echo_server(
    listener: socket.socket, wrap: Wrap | None = None, conduct: Conduct = "accept"
) -> Generator[EchoServer]:
    """Serve whoever connects to *listener*, as *conduct* says.

    *wrap* may put another socket around each connection, which then owns it.
    """
    path = unix_path(listener) if listener.family == socket.AF_UNIX else ""
    with working("aioconnect-echoing") as worker, serving(worker) as connections:
        accept = _acceptor(listener, connections, wrap, conduct)
        worker.watch(listener, selectors.EVENT_READ, accept)
        try:
            yield EchoServer(address_of(listener), path, connections, worker)
        finally:
            worker.unwatch(listener)


def _acceptor(
    listener: socket.socket,
    connections: Connections,
    wrap: Wrap | None,
    conduct: Conduct,
) -> Callable[[], None]:
    def accept() -> None:
        if (conn := _accepted(listener, wrap)) is not None:
            connections.serve(conn, conduct)

    return accept


def _accepted(listener: socket.socket, wrap: Wrap | None) -> socket.socket | None:
    try:
        conn, _ = listener.accept()
    except OSError:
        # Somebody else had it, or it is gone: the next wake-up knows more.
        return None
    try:
        return wrap(conn) if wrap else conn
    except OSError:
        # It was reset before there was anything to wrap.
        conn.close()
        return None


@contextmanager
def late(seconds: float, host: str = "127.0.0.1") -> Generator[EchoServer]:
    """Refuse for *seconds* from now on, then listen and echo.

    The port is the same all the time, and held while it is refused.

    Raises:
        ValueError: *host* is a name, or *seconds* is negative.
        TypeError: *seconds* is no number.
    """
    check_duration("seconds", seconds)
    opens_at = time.monotonic() + seconds
    with ExitStack() as stack:
        held = HeldPort(host)
        stack.callback(held.close)
        worker = stack.enter_context(working("aioconnect-late"))
        connections = stack.enter_context(serving(worker))

        def begin() -> None:
            listener = held.listen().sock
            accept = _acceptor(listener, connections, None, "accept")
            worker.watch(listener, selectors.EVENT_READ, accept)

        worker.call_at(opens_at, begin)
        yield EchoServer(held.address, "", connections, worker)
