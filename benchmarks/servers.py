"""Serve in a process of its own, pinned to another core where there is one."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from .machine import SERVER, end_with_parent, pin

__all__ = ["Endpoint", "late_server", "serving"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect: *hosts* are raced, *ca* vouches for a server with TLS."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str = ""
    hosts: tuple[str, ...] = ()
    ca: str = ""

    @property
    def family(self) -> socket.AddressFamily:
        """The family of the host."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


@contextlib.contextmanager
def serving(endpoint: Endpoint, kind: str = "tcp") -> Iterator[Endpoint]:
    """Accept, and close, at *endpoint*: *kind* is tcp, unix or tls.

    A port of 0 is any, and a path one in a new directory: what is yielded knows.
    """
    with contextlib.ExitStack() as stack:
        if kind == "unix":
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            endpoint = Endpoint(path=f"{directory}/socket")
        orders = stack.enter_context(_process(_serve, endpoint, kind))
        yield orders.recv()


@contextlib.contextmanager
def late_server() -> Iterator[tuple[int, Connection]]:
    """Hold a port that refuses until an order; the server sends when it listened."""
    with _process(_serve_late) as orders:
        yield orders.recv(), orders


@contextlib.contextmanager
def _process(serve: object, *arguments: object) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=serve,  # type: ignore[arg-type]  # any function with these arguments
        # Which core is the other one, who is started on one does not know.
        args=(theirs, SERVER, *arguments),
        daemon=True,
    )
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()
        process.close()
        ours.close()


def _listener(endpoint: Endpoint) -> socket.socket:
    if endpoint.path:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(endpoint.path)
        listener.listen(4096)
        return listener
    return socket.create_server(
        (endpoint.host, endpoint.port), family=endpoint.family, backlog=4096
    )


def _serve(orders: Connection, core: int, endpoint: Endpoint, kind: str) -> None:
    end_with_parent()
    pin(core)
    with _listener(endpoint) as listener:
        context = None
        name = listener.getsockname()
        if kind == "tls":
            context, ca = _certified()
            endpoint = Endpoint(endpoint.host, name[1], ca=ca)
        elif kind == "tcp":
            endpoint = Endpoint(endpoint.host, name[1], hosts=endpoint.hosts)
        orders.send(endpoint)
        # It never sleeps: waking it up would cost a client that is slower than
        # it more than the client's own work, and one that is faster nothing.
        listener.setblocking(False)
        while True:
            with contextlib.suppress(OSError):
                _greet(listener.accept()[0], context)


def _greet(sock: socket.socket, context: ssl.SSLContext | None) -> None:
    with sock:
        if context is not None:
            sock.settimeout(5)
            context.wrap_socket(sock, server_side=True).close()


def _certified() -> tuple[ssl.SSLContext, str]:
    import trustme  # of an extra

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context, authority.cert_pem.bytes().decode()


def _serve_late(orders: Connection, core: int) -> None:
    end_with_parent()
    pin(core)
    with socket.socket() as listener, contextlib.suppress(EOFError):
        listener.bind(("127.0.0.1", 0))
        orders.send(listener.getsockname()[1])
        orders.recv()
        listener.listen(4096)
        orders.send(time.monotonic())
        while True:
            with contextlib.suppress(OSError):
                listener.accept()[0].close()
