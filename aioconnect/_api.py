"""The functions: each makes a `Connector` of its options and calls its method."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl as _ssl
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar, Unpack

from ._calls.arguments import limit_of, try_fast_connect
from ._calls.call import Call
from ._calls.options import ConnectorOptions, LocalAddr, WaitOptions
from ._calls.reconnecting import STABLE_AFTER, Reconnecting
from ._connector import Connector, StrOrBytesPath
from ._io import connect_outcome as _outcome
from ._io.connect_outcome import Outcome
from ._io.connecting_socket import ConnectingSocket
from ._io.sockets import Prepare
from ._io.targets import AnyTarget
from ._io.tls import TLSArguments
from ._io.transports import LIMIT, Streams
from ._sansio.addresses import Address, SockAddr
from ._sansio.checks import explain_unknown
from ._sansio.errors import AttemptError

__all__ = [
    "connect",
    "connect_address",
    "connect_any",
    "connect_sock",
    "connect_unix",
    "create_connection",
    "create_unix_connection",
    "open_connection",
    "open_unix_connection",
    "reconnecting",
    "reconnecting_unix",
    "wait_until_down",
    "wait_until_down_unix",
    "wait_until_up",
    "wait_until_up_unix",
]

P = TypeVar("P", bound=asyncio.BaseProtocol)

_DEFAULT = Connector()


def _connector(options: ConnectorOptions) -> Connector:
    if not options:
        return _DEFAULT
    if len(options) == 1 and type(timeout := options.get("timeout")) in (int, float):
        return _within(timeout)
    misspelt = options.keys() - ConnectorOptions.__annotations__.keys()
    if misspelt:
        raise TypeError(f"no such option: {_meant(misspelt)}")
    return Connector(**options)


def _meant(misspelt: AbstractSet[str]) -> str:
    """Return what to say of options that are *misspelt*, or are another function's."""
    if tls := misspelt & TLSArguments.__annotations__.keys():
        names = ", ".join(sorted(map(repr, tls)))
        return f"{names}; TLS is for open_connection and create_connection"
    known = [*ConnectorOptions.__annotations__, *TLSArguments.__annotations__]
    options = ", ".join(ConnectorOptions.__annotations__)
    return explain_unknown(
        misspelt, known, f"the options are the fields of Connector: {options}"
    )


# What is said most often: checking it anew would be a fifth of a connect.
@functools.lru_cache(maxsize=128)
def _within(timeout: float) -> Connector:
    return Connector(timeout=timeout)


async def connect(
    host: str, port: int | str, **options: Unpack[ConnectorOptions]
) -> socket.socket:
    """Connect to *host* and *port*; return the non-blocking socket.

    The caller owns the socket, which is connected: it has a peer that is not
    itself, and no error is queued on it.  *host* is a name or a numeric address,
    with a scope id if it needs one (``"fe80::1%eth0"``); *port* a number or a
    service's name.  The *options* are the fields of `Connector`.

    A call that raises, or is cancelled, has closed what it opened.  One that the
    kernel answers at once, as over loopback, returns without a turn of the loop.

    Raises:
        ConnectError: Nothing could be connected; `ConnectRefusedError`,
            `ConnectTimeoutError`, `ResolveError` and the like say why, and are
            the builtin exceptions of the same names too.
        ValueError, TypeError: An argument cannot work; the text names it.
    """
    # What `connect_endpoint` does, without its frame: ten thousand may be pending.
    connector = _connector(options)
    place = connector.where(host, port)
    begun = try_fast_connect(connector, place.address)
    started: float | None = None
    if isinstance(begun, socket.socket):
        return begun
    if isinstance(begun, ConnectingSocket):
        started = begun.started
        limit = limit_of(connector, started)
        try:
            return await begun.settled(asyncio.get_running_loop(), limit)
        except AttemptError as exc:
            begun = exc.with_traceback(None)
    return await Call(connector, (place,), begun=begun, started=started).run(None)


async def connect_unix(
    path: StrOrBytesPath,
    *,
    kind: int = socket.SOCK_STREAM,
    **options: Unpack[ConnectorOptions],
) -> socket.socket:
    r"""Connect to the Unix socket at *path*; return the non-blocking socket.

    ``"\0name"`` is an abstract name.  *kind* is ``SOCK_STREAM`` or
    ``SOCK_SEQPACKET``.  While the listener's backlog is full the call waits for
    a slot, at next to no cost, until the time is up.

    Raises what `connect` does.
    """
    return await _connector(options).connect_unix(path, kind=kind)


async def connect_address(
    address: Address,
    *,
    timeout: float | None = None,
    local_addr: LocalAddr | None = None,
    prepare: Sequence[Prepare] = (),
    outcome: Outcome = _outcome.default,
) -> socket.socket:
    """Connect to one resolved *address*, once; return the non-blocking socket.

    It may be TCP, Unix or vsock.  The resolver is not asked for anything.
    Raises what `connect` does.
    """
    connector = Connector(
        timeout=timeout, local_addr=local_addr, prepare=prepare, outcome=outcome
    )
    return await connector.connect_address(address)


async def connect_sock(
    sock: socket.socket, sockaddr: SockAddr, *, timeout: float | None = None
) -> None:
    """Connect the caller's own non-blocking *sock* to *sockaddr*.

    This is `asyncio.loop.sock_connect`, but for numeric addresses only.  The
    socket stays the caller's, who closes it when this raises: one whose connect
    failed or was cancelled must not be used again.

    Raises what `connect` does, and:
        ValueError: *sock* is closed, blocking or connected already.
    """
    await Connector(timeout=timeout).connect_sock(sock, sockaddr)


async def connect_any(
    targets: Iterable[AnyTarget],
    *,
    race: bool = False,
    **options: Unpack[ConnectorOptions],
) -> socket.socket:
    """Connect to one of several equivalent servers; return the non-blocking socket.

    *targets* are texts that `parse_target` takes, pairs of host and port, `Target` or
    `Address` values.  They are tried in order, each with all of its addresses, and
    each with its share of what is left of the *timeout*; with *race*, as the addresses
    of one name are, beside each other.  A round, for *retry*, is all of them.

    A service, ``"srv:_service._proto.name"``, stands for the hosts and ports that its
    SRV records say.  The *resolver* has to look them up, as
    `aioconnect.contrib.aiodns.AiodnsResolver` does.

    Raises what `connect` does; the error has the attempts at all targets, and:
        ValueError, TypeError: There is no target, or one cannot work.
    """
    return await _connector(options).connect_any(targets, race=race)


def reconnecting(
    host: str,
    port: int | str,
    *,
    stable_after: float = STABLE_AFTER,
    limit: int = LIMIT,
    ssl: bool | _ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> Reconnecting:
    """Return an asynchronous iterator of streams: ``async for reader, writer in ...``.

    Each turn connects, as `open_connection` does, under the retry policy, which is
    ``Backoff()`` if the *options* have none; *timeout* is a turn's, with its delays.
    When the body has ended, with ``break`` and with an exception too, its writer is
    closed.  An exception that leaves the body ends the loop: catch inside what a lost
    connection raises (`OSError`, `EOFError`).

    A connection that ended before *stable_after* seconds, whoever ended it, counts as
    an attempt that failed: the next delay of the policy is waited for.  After one that
    has lasted, the policy begins anew, with a connect at once.

    Raises:
        ConnectError: From the iteration: the policy has given up, or the time was up.
        ValueError, TypeError: An argument cannot work; the text names it.
    """
    return _connector(options).reconnecting(
        host,
        port,
        stable_after=stable_after,
        limit=limit,
        ssl=ssl,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )


def reconnecting_unix(
    path: StrOrBytesPath,
    *,
    stable_after: float = STABLE_AFTER,
    limit: int = LIMIT,
    ssl: bool | _ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> Reconnecting:
    """Do what `reconnecting` does, at the Unix socket at *path*."""
    return _connector(options).reconnecting_unix(
        path,
        stable_after=stable_after,
        limit=limit,
        ssl=ssl,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )


async def wait_until_up(
    host: str,
    port: int | str,
    *,
    timeout: float | None,
    settle: float = 0.0,
    **options: Unpack[WaitOptions],
) -> float:
    """Wait until *host* and *port* can be connected to; return the seconds it took.

    With *settle* the connection must still be open after so many seconds: a proxy that
    accepts and closes is not up.  What the server says meanwhile is not read.  Over
    TCP, the end behind more data than the kernel holds (some 100 kB) is therefore not
    noticed; a reset always is.  With the option *ready*, which is given the socket,
    that has to pass first.

    Up means that the server has answered: TCP Fast Open is turned off for the wait,
    if a function of *prepare* turned it on.

    The delays are the *retry* policy's.  If the options have none, they grow to a
    second.  If they have no *attempt_timeout* either, and no *ready*, a look ends after
    3 s: what was silent then may have come up since.  An error that *retry_on* does
    not accept is raised at once.  A name that does not exist is one: where it comes
    with the server, give ``retry_on=is_transient | is_unknown_name``.

    Raises what `connect` does.
    """
    connector = _connector({**options, "timeout": timeout})
    return await connector.wait_until_up(host, port, settle=settle)


async def wait_until_up_unix(
    path: StrOrBytesPath,
    *,
    timeout: float | None,
    settle: float = 0.0,
    **options: Unpack[WaitOptions],
) -> float:
    """Do what `wait_until_up` does, with the Unix socket at *path*."""
    connector = _connector({**options, "timeout": timeout})
    return await connector.wait_until_up_unix(path, settle=settle)


async def wait_until_down(
    host: str,
    port: int | str,
    *,
    timeout: float | None,
    **options: Unpack[WaitOptions],
) -> float:
    """Wait until *host* and *port* refuse, or are gone; return the seconds it took.

    Gone is a host that cannot be reached, or a name that does not exist.  One that
    does not answer is slow, and waited for.  It is looked at by connecting, after the
    same delays, and without TCP Fast Open, as by `wait_until_up`; *ready* is not asked.

    Raises:
        ConnectTimeoutError: It was not down within *timeout*, or the last delay.
        ConnectError: Another error, which *retry_on* does not accept.
        ValueError, TypeError: An argument cannot work; the text names it.
    """
    connector = _connector({**options, "timeout": timeout})
    return await connector.wait_until_down(host, port)


async def wait_until_down_unix(
    path: StrOrBytesPath,
    *,
    timeout: float | None,
    **options: Unpack[WaitOptions],
) -> float:
    """Do what `wait_until_down` does, with the Unix socket at *path*."""
    connector = _connector({**options, "timeout": timeout})
    return await connector.wait_until_down_unix(path)


async def create_connection(
    protocol_factory: Callable[[], P],
    host: str | None = None,
    port: int | str | None = None,
    *,
    ssl: bool | _ssl.SSLContext | None = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    all_errors: bool = False,
    **options: Unpack[ConnectorOptions],
) -> tuple[asyncio.Transport, P]:
    """Do what `asyncio.loop.create_connection` does, with the *options*.

    Each parameter of asyncio's is there and means the same; those that are not
    named here are among the *options*.  An exception of *protocol_factory* comes
    through as itself, once the socket is closed.

    Raises what `connect` does, and:
        ExceptionGroup: With *all_errors*, of the attempts' errors.
    """
    return await _connector(options).create_connection(
        protocol_factory,
        host,
        port,
        ssl=ssl,
        sock=sock,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
        all_errors=all_errors,
    )


async def create_unix_connection(
    protocol_factory: Callable[[], P],
    path: StrOrBytesPath | None = None,
    *,
    ssl: bool | _ssl.SSLContext | None = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> tuple[asyncio.Transport, P]:
    """Do what `asyncio.loop.create_unix_connection` does, with the *options*.

    Raises what `create_connection` does.
    """
    return await _connector(options).create_unix_connection(
        protocol_factory,
        path,
        ssl=ssl,
        sock=sock,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )


async def open_connection(
    host: str | None = None,
    port: int | str | None = None,
    *,
    limit: int = LIMIT,
    ssl: bool | _ssl.SSLContext | None = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    all_errors: bool = False,
    **options: Unpack[ConnectorOptions],
) -> Streams:
    """Do what `asyncio.open_connection` does, with the *options*.

    *limit* is the reader's buffer limit, in bytes; the rest is what it is to
    `create_connection`, which also says what this raises.
    """
    return await _connector(options).open_connection(
        host,
        port,
        limit=limit,
        ssl=ssl,
        sock=sock,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
        all_errors=all_errors,
    )


async def open_unix_connection(
    path: StrOrBytesPath | None = None,
    *,
    limit: int = LIMIT,
    ssl: bool | _ssl.SSLContext | None = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> Streams:
    """Do what `asyncio.open_unix_connection` does, with the *options*.

    Raises what `create_connection` does.
    """
    return await _connector(options).open_unix_connection(
        path,
        limit=limit,
        ssl=ssl,
        sock=sock,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )
