"""Serve echo over TLS, with new certificates for each server.

Only this module needs trustme, and only when a server is started.
"""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from .._sansio.addresses import Address, SockAddr
from ._echoing import EchoServer, echo_server
from ._ports import UnixPath, bound_socket, bound_unix_socket

if TYPE_CHECKING:
    import trustme

Configure = Callable[[ssl.SSLContext], None]

__all__ = ["TLSEchoServer", "tls_echoing"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

_LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class TLSEchoServer:
    """An echo server behind TLS.

    *client_context* is an `ssl.SSLContext` that trusts the server.  *ca* is the
    `trustme.CA` that signed its certificate.  *echo* is the server without TLS.
    """

    echo: EchoServer
    client_context: ssl.SSLContext
    ca: trustme.CA

    @property
    def address(self) -> Address:
        """The address that the server listens on."""
        return self.echo.address

    @property
    def sockaddr(self) -> SockAddr:
        """The address as `socket.socket.connect` takes it."""
        return self.echo.sockaddr

    @property
    def host(self) -> str:
        """The host of the address, in numbers; ``""`` on a Unix socket."""
        return self.echo.host

    @property
    def port(self) -> int:
        """The port of the address; 0 on a Unix socket."""
        return self.echo.port

    @property
    def path(self) -> str:
        """The path of a Unix socket; ``""`` on TCP."""
        return self.echo.path

    @property
    def connections(self) -> int:
        """The number of connections accepted so far, with or without a handshake."""
        return self.echo.connections

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> None:
        """Wait until *count* connections have been accepted, in all.

        Raises:
            TimeoutError: Fewer were accepted within *timeout* seconds (5).
        """
        self.echo.wait_for_connections(count, timeout)


@contextmanager
def tls_echoing(
    host: str = "127.0.0.1",
    *,
    names: Sequence[str] = ("localhost", "127.0.0.1", "::1"),
    wrong_name: bool = False,
    expired: bool = False,
    silent: bool = False,
    path: UnixPath | None = None,
) -> Generator[TLSEchoServer]:
    """Yield a `TLSEchoServer` on a port of *host*, or on a Unix socket at *path*.

    *host* is a numeric address (127.0.0.1).  The certificate is for *names* (localhost,
    127.0.0.1 and ::1).  With *wrong_name* it is for ``wrong.invalid`` instead, and with
    *expired* it ended in 2001.  With *silent* the server accepts and never answers the
    handshake.

    Raises:
        ModuleNotFoundError: trustme is not installed; the text says how to install it.
        ValueError: *host* is a name, or *path* cannot be a Unix path.
    """
    ca = _certificate_authority()
    identities = ("wrong.invalid",) if wrong_name else tuple(names)
    server_context = _server_context(ca, identities, expired)
    client_context = ssl.create_default_context()
    cast("Configure", ca.configure_trust)(client_context)
    wrap = partial(
        server_context.wrap_socket, server_side=True, do_handshake_on_connect=False
    )
    kind = socket.SOCK_STREAM
    with bound_socket(host) if path is None else bound_unix_socket(path, kind) as sock:
        sock.listen(128)
        served = (
            echo_server(sock, script="accept_silent")
            if silent
            else echo_server(sock, wrap)
        )
        with served as echo:
            yield TLSEchoServer(echo, client_context, ca)


def _server_context(
    ca: trustme.CA, identities: Sequence[str], expired: bool
) -> ssl.SSLContext:
    leaf = ca.issue_cert(*identities, not_after=_LONG_AGO if expired else None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # The cast is needed because trustme's signatures also name the contexts of
    # pyOpenSSL, which is not installed.
    cast("Configure", leaf.configure_cert)(context)
    return context


def _certificate_authority() -> trustme.CA:
    try:
        import trustme  # noqa: PLC0415 - nothing else here needs it
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            "tls_echoing() needs trustme: in a checkout, pip install '.[test]'",
            name=exc.name,
        ) from exc
    return trustme.CA()
