"""Serve echo over TLS, with certificates made on the spot.

Only this module needs trustme, and only when it is used.
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
from ._ports import UnixPath, bound, unix_bound

if TYPE_CHECKING:
    import trustme

Configure = Callable[[ssl.SSLContext], None]

__all__ = ["TLSEchoServer", "tls_echoing"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

_LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class TLSEchoServer:
    """An echo server behind TLS.

    *client_context* trusts it, *ca* is the `trustme.CA` that vouches for it, and
    *echo* the server without the TLS.
    """

    echo: EchoServer
    client_context: ssl.SSLContext
    ca: trustme.CA

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.echo.address

    @property
    def sockaddr(self) -> SockAddr:
        """Where it listens, as `socket.socket.connect` takes it."""
        return self.echo.sockaddr

    @property
    def host(self) -> str:
        """The host that it listens on, in numbers."""
        return self.echo.host

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.echo.port

    @property
    def path(self) -> str:
        """The path that it listens on; ``""`` on TCP."""
        return self.echo.path

    @property
    def connections(self) -> int:
        """How many connections were accepted so far, before any handshake."""
        return self.echo.connections

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> None:
        """Wait until *count* connections were accepted, in all.

        Raises:
            TimeoutError: They were not within *timeout* seconds.
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
    """Serve echo over TLS on a port of *host*, with a certificate for *names*.

    With *path* it is on a Unix socket there.  *wrong_name* makes the certificate
    one for ``wrong.invalid``, *expired* one that ended in 2001, and *silent*
    accepts without ever answering the handshake.

    Raises:
        ModuleNotFoundError: trustme is not installed; the text says how to.
        ValueError: *host* is a name, or *path* cannot be one.
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
    with bound(host) if path is None else unix_bound(path, kind) as sock:
        sock.listen(128)
        served = (
            echo_server(sock, conduct="accept_silent")
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
    # trustme's signatures also name pyOpenSSL's contexts, which are not there.
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
