"""Serve echo, at once or late, on plain or wrapped connections.

A server's thread accepts the connections; `_connection_scripts` serves them.
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
from ._connection_scripts import (
    ConnectionScript,
    ScriptedConnections,
    scripted_connections,
)
from ._listening import unix_path
from ._ports import (
    UnixPath,
    address_of,
    bound_socket,
    bound_unix_socket,
    host_of,
    port_of,
)
from ._refusing import HeldPort
from ._server_thread import ServerThread, server_thread

__all__ = ["EchoServer", "echo_server", "echoing", "late"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

Wrap = Callable[[socket.socket], socket.socket]


class EchoServer:
    """A server that sends back what it receives.

    *address* is where it listens; *sockaddr*, *host*, *port* and *path* are its parts.
    On a Unix socket *host* is ``""`` and *port* is 0.  On TCP *path* is ``""``.
    """

    __slots__ = (
        "_connections",
        "_thread",
        "address",
        "host",
        "path",
        "port",
        "sockaddr",
    )

    def __init__(
        self,
        address: Address,
        path: str,
        connections: ScriptedConnections,
        thread: ServerThread,
    ) -> None:
        self._connections = connections
        self._thread = thread
        self.address = address
        self.sockaddr = address.sockaddr
        self.host = host_of(address)
        self.port = port_of(address)
        self.path = path

    def __repr__(self) -> str:
        return f"<EchoServer {self.address}>"

    @property
    def connections(self) -> int:
        """The number of connections accepted so far."""
        return self._connections.count

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> None:
        """Wait until *count* connections have been accepted, in all.

        Raises:
            TimeoutError: Fewer were accepted within *timeout* seconds (5).
        """
        self._connections.wait_for(count, timeout)

    def reset_connections(self) -> None:
        """Reset every open connection, and return when that is done."""
        done = threading.Event()
        self._thread.call_soon(self._connections.reset_all)
        self._thread.call_soon(done.set)
        done.wait(10.0)


@contextmanager
def echoing(
    host: str = "127.0.0.1", *, path: UnixPath | None = None, backlog: int = 128
) -> Generator[EchoServer]:
    """Yield an `EchoServer` on a port of *host*, or on a Unix socket at *path*.

    *host* is a numeric address (127.0.0.1).  *backlog* is passed to listen(2) (128).
    At exit every connection is reset, and the server's thread is joined.

    Raises:
        ValueError: *host* is a name, or *path* cannot be a Unix path.
    """
    with ExitStack() as stack:
        if path is None:
            sock = stack.enter_context(bound_socket(host))
        else:
            sock = stack.enter_context(bound_unix_socket(path, socket.SOCK_STREAM))
        sock.listen(backlog)
        yield stack.enter_context(echo_server(sock))


@contextmanager
def echo_server(
    listener: socket.socket,
    wrap: Wrap | None = None,
    script: ConnectionScript = "accept",
) -> Generator[EchoServer]:
    """Serve every client that connects to *listener*, as *script* says.

    *wrap* may return another socket around each connection, which then owns it.
    """
    path = unix_path(listener) if listener.family == socket.AF_UNIX else ""
    with (
        server_thread("aioconnect-echoing") as thread,
        scripted_connections(thread) as connections,
    ):
        accept = _make_acceptor(listener, connections, wrap, script)
        thread.watch(listener, selectors.EVENT_READ, accept)
        try:
            yield EchoServer(address_of(listener), path, connections, thread)
        finally:
            thread.unwatch(listener)


def _make_acceptor(
    listener: socket.socket,
    connections: ScriptedConnections,
    wrap: Wrap | None,
    script: ConnectionScript,
) -> Callable[[], None]:
    def accept() -> None:
        if (conn := _accept(listener, wrap)) is not None:
            connections.serve(conn, script)

    return accept


def _accept(listener: socket.socket, wrap: Wrap | None) -> socket.socket | None:
    try:
        conn, _ = listener.accept()
    except OSError:
        # The connection is gone, or another process has taken it.  If another one
        # waits, the thread is woken again.
        return None
    try:
        return wrap(conn) if wrap else conn
    except OSError:
        # The client has reset the connection before it could be wrapped.
        conn.close()
        return None


@contextmanager
def late(seconds: float, host: str = "127.0.0.1") -> Generator[EchoServer]:
    """Yield an `EchoServer` that refuses for *seconds*, then listens and echoes.

    *host* is a numeric address (127.0.0.1).  The port stays the same, and no other
    socket can take it while it refuses.

    Raises:
        ValueError: *host* is a name, or *seconds* is negative.
        TypeError: *seconds* is not a number.
    """
    check_duration("seconds", seconds)
    opens_at = time.monotonic() + seconds
    with ExitStack() as stack:
        held = HeldPort(host)
        stack.callback(held.close)
        thread = stack.enter_context(server_thread("aioconnect-late"))
        connections = stack.enter_context(scripted_connections(thread))

        def begin() -> None:
            listener = held.listen().sock
            accept = _make_acceptor(listener, connections, None, "accept")
            thread.watch(listener, selectors.EVENT_READ, accept)

        thread.call_at(opens_at, begin)
        yield EchoServer(held.address, "", connections, thread)
