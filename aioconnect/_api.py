"""Offer each method of `Connector` as a function that takes the options, too."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl as _ssl
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar, Unpack

from ._calls.arguments import endpoint_at_path, endpoint_from_host
from ._calls.backoff import Backoff
from ._calls.connect import ConnectOperation
from ._calls.fast_path import (
    connect_endpoint,
    first_deadline,
    open_streams,
    open_transport,
    open_unix_streams,
    open_unix_transport,
    try_fast_connect,
)
from ._calls.options import ConnectorOptions, LocalAddr, WaitOptions
from ._calls.reconnecting import STABLE_AFTER, Reconnecting
from ._connector import Connector, StrOrBytesPath
from ._io import connect_outcome as _outcome
from ._io.connect_outcome import Outcome
from ._io.connecting_socket import ConnectingSocket
from ._io.sockets import Prepare
from ._io.targets import AnyTarget
from ._io.tls import TLSArguments, TLSOptions
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


# Options of these types are values, and most calls have no others.
_PLAIN = frozenset({int, float, type(None), Backoff, socket.AddressFamily})


def _connector(options: ConnectorOptions) -> Connector:
    """Return the `Connector` of a call with *options*."""
    if not options:
        return _DEFAULT
    if _PLAIN.issuperset(map(type, options.values())):
        same: Callable[..., Connector] = _same_connector
        return same(**options)
    return _new_connector(options)


# Checking the options anew would be a fifth of a connect.  True equals 1, but is no
# number of seconds: so the types count.
@functools.lru_cache(maxsize=128, typed=True)
def _same_connector(**options: Unpack[ConnectorOptions]) -> Connector:
    return _new_connector(options)


def _new_connector(options: ConnectorOptions) -> Connector:
    misspelt = options.keys() - ConnectorOptions.__annotations__.keys()
    if misspelt:
        raise TypeError(f"no such option: {_meant(misspelt)}")
    return Connector(**options)


def _meant(misspelt: AbstractSet[str]) -> str:
    """Return what the error says of *misspelt* options or another function's."""
    if tls := misspelt & TLSArguments.__annotations__.keys():
        names = ", ".join(sorted(map(repr, tls)))
        return f"{names}; TLS is for open_connection and create_connection"
    known = [*ConnectorOptions.__annotations__, *TLSArguments.__annotations__]
    options = ", ".join(ConnectorOptions.__annotations__)
    return explain_unknown(
        misspelt, known, f"the options are the fields of Connector: {options}"
    )


async def connect(
    host: str, port: int | str, **options: Unpack[ConnectorOptions]
) -> socket.socket:
    """Connect to *host* and *port*; return the connected, non-blocking socket.

    *host* is a name or a numeric address, with a scope id if the address needs one
    (``"fe80::1%eth0"``).  *port* is a number or the name of a service.

    Options (durations are seconds, and None is off):
        timeout=None: Limit of the whole call: look-ups, attempts, retries and TLS.
        attempt_timeout=None: Limit of one attempt at one address, with TLS and *ready*.
        retry=(): Delays between rounds, such as ``(0.1, 0.5)`` or ``Backoff()``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        happy_eyeballs_delay=0.25: Head start of each address.  None: one at a time.
        interleave=1: How many addresses of one family come first.  0: as answered.
        resolution_delay=0.05: How long to wait for one answer with both families,
            before IPv6 and IPv4 are also looked up separately.  None: never.
        family=AF_UNSPEC: ``AF_INET`` or ``AF_INET6`` to use that family only.
        proto=0: Protocol of the sockets, such as ``IPPROTO_MPTCP``.
        flags=0: Flags of ``getaddrinfo``, such as ``AI_ADDRCONFIG``.
        local_addr=None: ``(host, port)`` to connect from, or several of them.
        resolver=system_resolver: Function that looks up names: see `Resolver`.
        allow=None: Function that may refuse an address, such as `only_public`.
        prepare=(): Functions ``(socket, Address)`` to run on each new socket.
        ready=None: Coroutine function that checks each new connection.
        history=None: `History` of addresses that failed, and of round trips.
        outcome=outcome.default: How to find out how a ``connect(2)`` has ended.
        observer=None: Function that is called with each event, such as a `Timeline`.

    The caller owns the socket.  Its peer is not the socket itself, and it has no queued
    error.  A call that raises or is cancelled closes everything that it opened.  If the
    kernel connects at once, as over loopback, the call returns without a turn of the
    loop, except for an address that was late before.

    Raises:
        ConnectError: No connection could be made.  The subclass says why:
            `ConnectRefusedError`, `ConnectTimeoutError`, `ResolveError` and others.
            Each is also a subclass of the builtin exception of its kind.
        ValueError, TypeError: An argument cannot work.  The text names it.

    Fine print of the options:

    The whole *timeout* is used.  A delay of *retry* that would outlast it is cut short,
    to leave time for a last round: twice the longest answer so far, at least 50 ms, and
    at most half of the time that is left.

    *retry* holds the delays between rounds.  A round resolves the name again and makes
    one attempt at each address, with new sockets.  When all attempts of a round have
    failed, another round follows if *retry_on* accepts at least one of the errors.  The
    call fails at once when there is no further delay.

    A name is looked up once, for *family*.  The answer says which addresses the name
    has, and in which order to try them.  For ``AF_UNSPEC``, if there is no answer after
    *resolution_delay*, or if the look-up fails with an error that may pass, IPv6 and
    IPv4 are looked up separately.  The first answer that has addresses is then used.
    When the answer for both comes, it replaces the addresses that were not tried yet.
    ``localhost`` is ``::1`` and ``127.0.0.1`` without a look-up.  A name with other
    characters than ASCII is encoded by IDNA 2003, as in asyncio.

    The addresses are raced as in RFC 8305 (Happy Eyeballs).  When an address has been
    silent for *happy_eyeballs_delay* (at least 10 ms, at most 2 s), the next one is
    tried beside it.  At most six attempts run at a time: a seventh replaces the oldest.
    *interleave* is the First Address Family Count: how many addresses of the first
    family come before one of the other.

    *family*, *flags* and *local_addr* work as in `asyncio.loop.create_connection`.
    *proto* applies to the sockets only.  A host in *local_addr* may be a name with
    several addresses.  An attempt takes the first address of its own family that can be
    bound.  Connections to other peers, open or closed, may share a port in *local_addr*
    (``SO_REUSEADDR``).

    *allow* is a function ``(ip_address, port) -> bool``.  It is called with each
    address before an attempt, and gets ``::`` and IPv4-mapped addresses unchanged.
    With *allow*, Unix and vsock addresses are refused.  It is not called for a
    connected *sock* of the caller's.

    The functions in *prepare* run before a socket is bound and connected.
    `aioconnect.sockopts` has some.

    The first usable connection wins: with its TLS handshake, and with *ready*.  What
    fails in one of these is a failed attempt, and the next address is tried.  The other
    attempts go on meanwhile, so that *ready* may run for two connections at a time,
    each in a task of its own.

    *ready* is awaited within the attempt's time, with what the call would return: the
    socket, the reader and the writer, or the transport and the protocol.  If it raises
    an `OSError` or an `EOFError`, or returns False, the attempt has failed.

    *history* is a `History`, which remembers for a while what failed, and makes a race
    try it last.  Several connectors may share one.

    *outcome* is a function from `aioconnect.outcome`.  *observer* is called with an
    event for everything that happens.  ``log_events(logger)`` is an observer too.  A
    `CallObserver` returns an observer for each call.
    """
    connector = _connector(options)
    endpoint = endpoint_from_host(connector, host, port)
    address = endpoint.address
    if address is None:
        return await connect_endpoint(connector, endpoint)
    # As `connect_endpoint`, without its frame: ten thousand connects may be pending.
    loop = asyncio.get_running_loop()
    first = try_fast_connect(loop, connector, address)
    started: float | None = None
    if isinstance(first, socket.socket):
        return first
    if isinstance(first, ConnectingSocket):
        started = first.started
        try:
            return await first.wait_connected(loop, first_deadline(connector, started))
        except AttemptError as exc:
            first = exc.with_traceback(None)
    operation = ConnectOperation(connector, (endpoint,), started=started)
    if first is not None:
        operation.begin_with(first, address, started)
    sock: socket.socket = await operation.run()
    return sock


async def connect_unix(
    path: StrOrBytesPath,
    *,
    kind: int = socket.SOCK_STREAM,
    **options: Unpack[ConnectorOptions],
) -> socket.socket:
    r"""Connect to the Unix socket at *path*; return the connected, non-blocking socket.

    ``"\0name"`` is an abstract name.  While the backlog of the listener is full, the
    call waits for a slot until the time is up.  The wait costs almost nothing.

    Options (durations are seconds, and None is off):
        kind=SOCK_STREAM: ``SOCK_STREAM`` or ``SOCK_SEQPACKET``.
        timeout=None: Limit of the whole call: attempts and retries.
        retry=(): Delays between attempts, such as ``(0.1, 0.5)`` or ``Backoff()``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        allow=None: Any function here refuses every path.

    Other options, as for `connect`.  Those about names and IP change nothing here:
        attempt_timeout=None, happy_eyeballs_delay=0.25, interleave=1,
        resolution_delay=0.05, family=AF_UNSPEC, proto=0, flags=0, local_addr=None,
        resolver=system_resolver, prepare=(), ready=None, history=None,
        outcome=outcome.default, observer=None

    The caller owns the socket.  A call that raises or is cancelled closes all that
    it opened.

    Raises what `connect` does.
    """
    connector = _connector(options)
    endpoint = endpoint_at_path(path, kind)
    assert endpoint.address is not None
    loop = asyncio.get_running_loop()
    first = try_fast_connect(loop, connector, endpoint.address)
    if isinstance(first, socket.socket):
        return first
    sock: socket.socket = await connect_endpoint(connector, endpoint, first=first)
    return sock


async def connect_address(
    address: Address,
    *,
    timeout: float | None = None,
    local_addr: LocalAddr | None = None,
    prepare: Sequence[Prepare] = (),
    outcome: Outcome = _outcome.default,
) -> socket.socket:
    """Connect to one resolved *address*, once; return the connected socket.

    The address may be TCP, Unix or vsock.  Nothing is looked up.  The method of
    `Connector` applies all of its options, *retry* too.

    Options (durations are seconds, and None is off):
        timeout=None: Limit of the call.
        local_addr=None: ``(host, port)`` to connect from, or several of them.
        prepare=(): Functions ``(socket, Address)`` to run on the new socket.
        outcome=outcome.default: How to find out how a ``connect(2)`` has ended.

    The caller owns the socket, which is non-blocking.  A call that raises or is
    cancelled closes all that it opened.

    Raises what `connect` does.
    """
    connector = Connector(
        timeout=timeout, local_addr=local_addr, prepare=prepare, outcome=outcome
    )
    return await connector.connect_address(address)


async def connect_sock(
    sock: socket.socket, sockaddr: SockAddr, *, timeout: float | None = None
) -> None:
    """Connect the caller's own non-blocking *sock* to the numeric *sockaddr*.

    This is `asyncio.loop.sock_connect` for numeric addresses only.  It makes one
    attempt: the *retry*, *prepare* and *local_addr* of a `Connector` do not count.

    Options (durations are seconds, and None is off):
        timeout=None: Limit of the call.

    The caller owns the socket all the time.  Close it when this raises or is cancelled:
    after a failed or cancelled connect, a socket must not be used again.

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
    """Connect to one of several equivalent servers; return the connected socket.

    *targets* are texts that `parse_target` takes, pairs of a host and a port, `Target`
    values or `Address` values.  They are tried in order.  Each target has a share of
    the *timeout* that is left.  In its turn, all of its addresses are tried.

    A service, ``"srv:_service._proto.name"``, stands for the hosts and ports in its SRV
    records.  The *resolver* has to look the records up, as
    `aioconnect.contrib.aiodns.AiodnsResolver` does.

    Options (durations are seconds, and None is off):
        race=False: True tries the targets beside each other, as `connect` tries the
            addresses of one name.
        timeout=None: Limit of the whole call: look-ups, attempts and retries.
        attempt_timeout=None: Limit of one attempt at one address, with *ready*.
        retry=(): Delays between rounds.  A round tries all targets.
        resolver=system_resolver: Function that looks up names: see `Resolver`.

    Other options, as for `connect`:
        retry_on=is_transient, happy_eyeballs_delay=0.25, interleave=1,
        resolution_delay=0.05, family=AF_UNSPEC, proto=0, flags=0, local_addr=None,
        allow=None, prepare=(), ready=None, history=None, outcome=outcome.default,
        observer=None

    The caller owns the socket, which is non-blocking.  A call that raises or is
    cancelled closes all that it opened.

    Raises what `connect` does; the error lists the attempts at all targets.  And:
        ValueError, TypeError: There is no target, or a target cannot work.
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

    Each turn connects as `open_connection` does, with the retry policy.  When a
    connection has lasted *stable_after* seconds, the policy starts from its first delay
    again, and the next turn connects at once.

    Options (durations are seconds, and None is off):
        stable_after=10.0: A connection that ends earlier, on either side, counts as a
            failed attempt: the next delay of *retry* follows.
        limit=65536: The reader's buffer limit in bytes.
        ssl=None: True or an `ssl.SSLContext` to start TLS.
        server_hostname=None: Name to verify.  None: *host*.
        ssl_handshake_timeout=None: Limit of the TLS handshake.  None: 60 s.
        ssl_shutdown_timeout=None: Limit of TLS's closing handshake.  None: 30 s.
        timeout=None: Limit of one turn: look-ups, attempts, delays and TLS.
        retry=(): Delays of the retry policy.  (): ``Backoff()``, which has no end.
        ready=None: Coroutine function of the reader and the writer that has to pass.

    Other options, as for `connect`:
        attempt_timeout=None, retry_on=is_transient, happy_eyeballs_delay=0.25,
        interleave=1, resolution_delay=0.05, family=AF_UNSPEC, proto=0, flags=0,
        local_addr=None, resolver=system_resolver, allow=None, prepare=(), history=None,
        outcome=outcome.default, observer=None

    The iterator closes the writer at the end of the body, also after ``break`` and an
    exception.  An exception that leaves the body ends the loop.  Catch the errors of a
    lost connection (`OSError`, `EOFError`) inside the body.  If a variable refers to
    the iterator, close it with `aclose`.  A cancelled turn closes what it opened, and
    the next turn continues from there.

    Raises:
        ConnectError: From the iteration.  The policy has given up, or the time was up.
        ValueError, TypeError: An argument cannot work.  The text names it.
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
    """Return an asynchronous iterator of streams to the Unix socket at *path*.

    It works like the iterator of `reconnecting`.

    Options (durations are seconds, and None is off):
        stable_after=10.0: A connection that ends earlier, on either side, counts as a
            failed attempt: the next delay of *retry* follows.
        limit=65536: The reader's buffer limit in bytes.
        ssl=None: True or an `ssl.SSLContext` to start TLS.
        server_hostname=None: Name to verify.  It is needed for TLS.
        ssl_handshake_timeout=None: Limit of the TLS handshake.  None: 60 s.
        ssl_shutdown_timeout=None: Limit of TLS's closing handshake.  None: 30 s.
        timeout=None: Limit of one turn: look-ups, attempts, delays and TLS.
        retry=(): Delays of the retry policy.  (): ``Backoff()``, which has no end.
        ready=None: Coroutine function of the reader and the writer that has to pass.
        allow=None: Any function here refuses every path.

    Other options, as for `connect`.  Those about names and IP change nothing here:
        attempt_timeout=None, retry_on=is_transient, happy_eyeballs_delay=0.25,
        interleave=1, resolution_delay=0.05, family=AF_UNSPEC, proto=0, flags=0,
        local_addr=None, resolver=system_resolver, prepare=(), history=None,
        outcome=outcome.default, observer=None

    Raises what `reconnecting` does.
    """
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
    host: AnyTarget,
    port: int | str | None = None,
    *,
    timeout: float | None,
    settle: float = 0.0,
    **options: Unpack[WaitOptions],
) -> float:
    """Wait until *host* and *port* can be connected to; return the seconds it took.

    Without *port*, *host* is a target, as for `connect_any`, or the URL of a service.
    ``wait_until_up("postgres://db", timeout=60)`` asks the service whether it is ready.
    `aioconnect.checks` says what each one is asked.  The schemes are amqp, amqps, dns,
    http, https, kafka, mysql, postgres, postgresql, redis, rediss, tcp, tls and unix.
    ``dns://name`` only waits until the name has an address.

    *timeout* is the limit in seconds, and None waits as long as *retry* has delays.

    Options (durations are seconds, and None is off):
        settle=0.0: Seconds that the connection has to stay open.  A proxy that accepts
            and closes is not up.
        attempt_timeout=None: Limit of each attempt at an address.  None: 3 s, 5 s for a
            service's URL or a check of `aioconnect.checks`, or none with another
            *ready*.
        retry=(): Delays between looks.  (): ``Backoff(maximum=1)``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        ready=None: Coroutine function of the socket that has to pass before *settle*.
            A service's URL takes neither.

    Other options, as for `connect`:
        happy_eyeballs_delay=0.25, interleave=1, resolution_delay=0.05,
        family=AF_UNSPEC, proto=0, flags=0, local_addr=None, resolver=system_resolver,
        allow=None, prepare=(), history=None, outcome=outcome.default, observer=None

    Each look is one round of attempts, and closes the connection that it makes.  An
    attempt at a silent address ends after 3 s, because the server may have come up in
    the meantime.

    An error that *retry_on* does not accept is raised at once.  A name that does not
    exist is such an error.  If the name comes with the server, accept it:
    ``retry_on=is_transient | is_unknown_name``.

    Data that arrives while the connection settles is not read.  If a TCP peer sends
    more data than the kernel holds (some 100 kB), the end of the stream behind it is
    not noticed.  A reset is always noticed.

    Up means that the server has answered.  If a function of *prepare* turns TCP Fast
    Open on, the wait turns it off.

    A wait that raises or is cancelled closes all that it opened.

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
    """Wait until the Unix socket at *path* can be connected to; return the seconds.

    It works like `wait_until_up`.  *timeout* is the limit in seconds, and None waits
    as long as *retry* has delays.

    Options (durations are seconds, and None is off):
        settle=0.0: Seconds that the connection has to stay open.
        attempt_timeout=None: Limit of each attempt at an address.  None: 3 s, 5 s for a
            check of `aioconnect.checks`, or none with another *ready*.
        retry=(): Delays between looks.  (): ``Backoff(maximum=1)``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        ready=None: Coroutine function of the socket that has to pass before *settle*.
        allow=None: Any function here refuses every path.

    Other options, as for `connect`.  Those about names and IP change nothing here:
        happy_eyeballs_delay=0.25, interleave=1, resolution_delay=0.05,
        family=AF_UNSPEC, proto=0, flags=0, local_addr=None, resolver=system_resolver,
        prepare=(), history=None, outcome=outcome.default, observer=None

    Raises what `connect` does.
    """
    connector = _connector({**options, "timeout": timeout})
    return await connector.wait_until_up_unix(path, settle=settle)


async def wait_until_down(
    host: AnyTarget,
    port: int | str | None = None,
    *,
    timeout: float | None,
    **options: Unpack[WaitOptions],
) -> float:
    """Wait until *host* and *port* refuse, or are gone; return the seconds it took.

    A server is gone when its host cannot be reached, or its name does not exist.  A
    server that does not answer is slow and not down.  *timeout* is the limit in
    seconds, and None waits as long as *retry* has delays.  Without *port*, *host* is a
    target, as for `wait_until_up`; the service of a URL is not asked.

    Options (durations are seconds, and None is off):
        attempt_timeout=None: Limit of each attempt at an address.  None: 3 s.
        retry=(): Delays between looks.  (): ``Backoff(maximum=1)``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        ready=None: It is not called.

    Other options, as for `connect`:
        happy_eyeballs_delay=0.25, interleave=1, resolution_delay=0.05,
        family=AF_UNSPEC, proto=0, flags=0, local_addr=None, resolver=system_resolver,
        allow=None, prepare=(), history=None, outcome=outcome.default, observer=None

    Each look is one round of attempts without TCP Fast Open, and closes the connection
    that it makes.  A wait that raises or is cancelled closes all that it opened.

    Raises:
        ConnectTimeoutError: The server was not down within *timeout*, or when there was
            no further delay.
        ConnectError: A look failed with an error that *retry_on* does not accept.
        ValueError, TypeError: An argument cannot work.  The text names it.
    """
    connector = _connector({**options, "timeout": timeout})
    return await connector.wait_until_down(host, port)


async def wait_until_down_unix(
    path: StrOrBytesPath,
    *,
    timeout: float | None,
    **options: Unpack[WaitOptions],
) -> float:
    """Wait until the Unix socket at *path* refuses, or is gone; return the seconds.

    It works like `wait_until_down`.  *timeout* is the limit in seconds, and None
    waits as long as *retry* has delays.

    Options (durations are seconds, and None is off):
        attempt_timeout=None: Limit of each attempt at an address.  None: 3 s.
        retry=(): Delays between looks.  (): ``Backoff(maximum=1)``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        ready=None: It is not called.
        allow=None: Any function here refuses every path.

    Other options, as for `connect`.  Those about names and IP change nothing here:
        happy_eyeballs_delay=0.25, interleave=1, resolution_delay=0.05,
        family=AF_UNSPEC, proto=0, flags=0, local_addr=None, resolver=system_resolver,
        prepare=(), history=None, outcome=outcome.default, observer=None

    Raises what `wait_until_down` does.
    """
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
    """Connect, and return a transport and the protocol of *protocol_factory*.

    This is `asyncio.loop.create_connection` with options.  Each parameter of asyncio's
    means the same here.  *host* and *port* work as in `connect`.  None as *host* means
    this machine.

    Options (durations are seconds, and None is off):
        sock=None: Connected socket to use in place of *host* and *port*.
        ssl=None: True or an `ssl.SSLContext` to start TLS.
        server_hostname=None: Name to verify.  None: *host*.
        ssl_handshake_timeout=None: Limit of the TLS handshake.  None: 60 s.
        ssl_shutdown_timeout=None: Limit of TLS's closing handshake.  None: 30 s.
        all_errors=False: Raise an `ExceptionGroup` of the attempts' errors.
        timeout=None: Limit of the whole call: look-ups, attempts, retries and TLS.
        attempt_timeout=None: Limit of one attempt at one address, with TLS and *ready*.
        retry=(): Delays between rounds, such as ``(0.1, 0.5)`` or ``Backoff()``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        happy_eyeballs_delay=0.25: Head start of each address.  None: one at a time.
        interleave=1: How many addresses of one family come first.  0: as answered.
        resolution_delay=0.05: How long to wait for one answer with both families,
            before IPv6 and IPv4 are also looked up separately.  None: never.
        family=AF_UNSPEC: ``AF_INET`` or ``AF_INET6`` to use that family only.
        proto=0: Protocol of the sockets, such as ``IPPROTO_MPTCP``.
        flags=0: Flags of ``getaddrinfo``, such as ``AI_ADDRCONFIG``.
        local_addr=None: ``(host, port)`` to connect from, or several of them.
        resolver=system_resolver: Function that looks up names: see `Resolver`.
        allow=None: Function that may refuse an address, such as `only_public`.
        prepare=(): Functions ``(socket, Address)`` to run on each new socket.
        ready=None: Coroutine function that checks each new connection.
        history=None: `History` of addresses that failed, and of round trips.
        outcome=outcome.default: How to find out how a ``connect(2)`` has ended.
        observer=None: Function that is called with each event, such as a `Timeline`.

    The caller owns the result.  A call that raises or is cancelled closes everything
    that it opened.  *sock* belongs to the transport as soon as there is one.  Until
    then it belongs to the caller, who closes it if the call raises.

    *protocol_factory* is called once, for the connection that has won.  With *ready*,
    it is called for each connection that *ready* gets.  A protocol whose connection is
    not returned gets ``connection_lost``.

    If *protocol_factory* raises an exception, the call closes the socket that it opened
    and raises the exception unchanged.

    Raises what `connect` does, and:
        ExceptionGroup: With *all_errors*, of the attempts' errors.
    """
    tls = TLSOptions(ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    return await open_transport(
        _connector(options),
        protocol_factory,
        host,
        port,
        tls,
        sock=sock,
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
    """Connect to *path*, and return a transport and the protocol of *protocol_factory*.

    This is `asyncio.loop.create_unix_connection` with options.  *path* works as in
    `connect_unix`.

    Options (durations are seconds, and None is off):
        sock=None: Connected socket to use in place of *path*.
        ssl=None: True or an `ssl.SSLContext` to start TLS.
        server_hostname=None: Name to verify.  It is needed for TLS.
        ssl_handshake_timeout=None: Limit of the TLS handshake.  None: 60 s.
        ssl_shutdown_timeout=None: Limit of TLS's closing handshake.  None: 30 s.
        timeout=None: Limit of the whole call: attempts, retries and TLS.
        retry=(): Delays between attempts, such as ``(0.1, 0.5)`` or ``Backoff()``.
        ready=None: Coroutine function of the transport and protocol that has to pass.
        allow=None: Any function here refuses every path.

    Other options, as for `connect`.  Those about names and IP change nothing here:
        attempt_timeout=None, retry_on=is_transient, happy_eyeballs_delay=0.25,
        interleave=1, resolution_delay=0.05, family=AF_UNSPEC, proto=0, flags=0,
        local_addr=None, resolver=system_resolver, prepare=(), history=None,
        outcome=outcome.default, observer=None

    The caller owns the result.  Failure, cancellation and ownership of *sock* are as
    for `create_connection`.

    Raises what `connect` does.
    """
    tls = TLSOptions(ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    return await open_unix_transport(
        _connector(options), protocol_factory, path, tls, sock=sock
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
    """Connect to *host* and *port*; return asyncio's reader and writer.

    This is `asyncio.open_connection` with options.  *host* and *port* work as in
    `connect`.  None as *host* means this machine.

    Options (durations are seconds, and None is off):
        limit=65536: The reader's buffer limit in bytes.
        sock=None: Connected socket to use in place of *host* and *port*.
        ssl=None: True or an `ssl.SSLContext` to start TLS.
        server_hostname=None: Name to verify.  None: *host*.
        ssl_handshake_timeout=None: Limit of the TLS handshake.  None: 60 s.
        ssl_shutdown_timeout=None: Limit of TLS's closing handshake.  None: 30 s.
        all_errors=False: Raise an `ExceptionGroup` of the attempts' errors.
        timeout=None: Limit of the whole call: look-ups, attempts, retries and TLS.
        attempt_timeout=None: Limit of one attempt at one address, with TLS and *ready*.
        retry=(): Delays between rounds, such as ``(0.1, 0.5)`` or ``Backoff()``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        happy_eyeballs_delay=0.25: Head start of each address.  None: one at a time.
        interleave=1: How many addresses of one family come first.  0: as answered.
        resolution_delay=0.05: How long to wait for one answer with both families,
            before IPv6 and IPv4 are also looked up separately.  None: never.
        family=AF_UNSPEC: ``AF_INET`` or ``AF_INET6`` to use that family only.
        proto=0: Protocol of the sockets, such as ``IPPROTO_MPTCP``.
        flags=0: Flags of ``getaddrinfo``, such as ``AI_ADDRCONFIG``.
        local_addr=None: ``(host, port)`` to connect from, or several of them.
        resolver=system_resolver: Function that looks up names: see `Resolver`.
        allow=None: Function that may refuse an address, such as `only_public`.
        prepare=(): Functions ``(socket, Address)`` to run on each new socket.
        ready=None: Coroutine function that checks each new connection.
        history=None: `History` of addresses that failed, and of round trips.
        outcome=outcome.default: How to find out how a ``connect(2)`` has ended.
        observer=None: Function that is called with each event, such as a `Timeline`.

    The caller owns the result.  A call that raises or is cancelled closes everything
    that it opened.  *sock* belongs to the transport as soon as there is one.  Until
    then it belongs to the caller, who closes it if the call raises.

    Raises what `connect` does, and:
        ExceptionGroup: With *all_errors*, of the attempts' errors.
    """
    tls = TLSOptions(ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    return await open_streams(
        _connector(options),
        host,
        port,
        tls,
        limit=limit,
        sock=sock,
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
    """Connect to the Unix socket at *path*; return asyncio's reader and writer.

    This is `asyncio.open_unix_connection` with options.  *path* works as in
    `connect_unix`.

    Options (durations are seconds, and None is off):
        limit=65536: The reader's buffer limit in bytes.
        sock=None: Connected socket to use in place of *path*.
        ssl=None: True or an `ssl.SSLContext` to start TLS.
        server_hostname=None: Name to verify.  It is needed for TLS.
        ssl_handshake_timeout=None: Limit of the TLS handshake.  None: 60 s.
        ssl_shutdown_timeout=None: Limit of TLS's closing handshake.  None: 30 s.
        timeout=None: Limit of the whole call: attempts, retries and TLS.
        retry=(): Delays between attempts, such as ``(0.1, 0.5)`` or ``Backoff()``.
        ready=None: Coroutine function of the reader and the writer that has to pass.
        allow=None: Any function here refuses every path.

    Other options, as for `connect`.  Those about names and IP change nothing here:
        attempt_timeout=None, retry_on=is_transient, happy_eyeballs_delay=0.25,
        interleave=1, resolution_delay=0.05, family=AF_UNSPEC, proto=0, flags=0,
        local_addr=None, resolver=system_resolver, prepare=(), history=None,
        outcome=outcome.default, observer=None

    The caller owns the result.  Failure, cancellation and ownership of *sock* are as
    for `open_connection`.

    Raises what `connect` does.
    """
    tls = TLSOptions(ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    return await open_unix_streams(
        _connector(options), path, tls, limit=limit, sock=sock
    )
