"""Make event loops that connect as a `Connector` says, for existing code.

Everything that connects through the running loop gets the connector's race, retries
and deadline without any change: asyncio's own streams, and most client libraries.
"""

from __future__ import annotations

import asyncio
import socket
import types
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ssl import SSLSocket
from types import EllipsisType
from typing import Any, TypeAlias, TypeVar, Unpack

from .._calls.arguments import StrOrBytesPath, check_is_socket
from .._calls.connect import ConnectOperation
from .._calls.fast_path import connect_endpoint
from .._calls.option_checks import check_factory
from .._calls.options import LocalAddr
from .._connector import Connector, check_connector
from .._io.fd_watchers import check_loop
from .._io.socket_ownership import Handover
from .._io.sockets import check_sock
from .._io.tls import TLSArguments, tls_options
from .._io.transports import TransportWrap, Wrap
from .._sansio.text import safe_repr
from .arguments import (
    check_way,
    endpoint_of_address,
    endpoint_of_path,
    options_and_endpoint,
)

__all__ = ["convert_loop", "loop_factory"]

P = TypeVar("P", bound=asyncio.BaseProtocol)
TransportPair: TypeAlias = tuple[asyncio.Transport, P]

_CONNECTION_TYPES = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)

_DEFAULT = Connector()


def loop_factory(
    connector: Connector = _DEFAULT,
    *,
    base: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a function that makes event loops which connect as *connector* says.

    It is for ``asyncio.Runner(loop_factory=...)`` or, since Python 3.12, `asyncio.run`.

    *connector* is a `Connector` (default: one with all defaults).  *base* makes the
    loops: a function or a loop class (default: ``asyncio.new_event_loop``).  asyncio's
    selector loop, uvloop and any other loop with ``add_writer`` work.  Three methods of
    the loop are replaced:

    - ``create_connection`` and ``create_unix_connection`` use the connector's options,
      and an argument of the call wins.  As in asyncio, a *family*, *proto* or *flags*
      of 0 and a value of None leave the option as it is.  However,
      ``happy_eyeballs_delay=None`` tries one address at a time.
      *ready* gets the socket, before there is a transport or TLS.  *ready* is not
      called for a socket that the caller passes.
    - ``sock_connect`` makes one attempt, at the first address of a name.  *prepare* and
      *local_addr* do not apply, because they are for sockets that the package opens.
      Datagram and raw sockets go to the *base*, because they connect to nobody.

    Raises:
        TypeError: *connector* is not a `Connector`, or *base* makes no event loop.
        NotImplementedError: *base* makes loops without ``add_writer``.  For a class
            this is raised here, for a function when the returned function is called.
    """
    _check(connector, base)
    return partial(_new_loop, connector, base)


loop_factory.__module__ = "aioconnect"  # users import it from there


def _check(connector: object, base: object) -> None:
    if callable(connector):
        text = "give a function that makes loops as base=..."
        raise TypeError(f"connector must be a Connector; {text}")
    check_connector(connector)
    if isinstance(base, type) and issubclass(base, asyncio.AbstractEventLoop):
        check_loop(base)
    elif isinstance(base, type) or not callable(base):
        text = "a function such as uvloop.new_event_loop, or a class of event loops"
        raise TypeError(f"base must be {text}, not {safe_repr(base)}")


def _new_loop(
    connector: Connector, base: Callable[[], asyncio.AbstractEventLoop]
) -> asyncio.AbstractEventLoop:
    if isinstance(base, type):
        return _connecting_class(base, connector)()
    loop = base()
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"base must make an event loop, not {safe_repr(loop)}")
    try:
        check_loop(loop)
        convert_loop(loop, connector)
    except BaseException:
        loop.close()
        raise
    return loop


def convert_loop(loop: asyncio.AbstractEventLoop, connector: Connector) -> None:
    """Change *loop* so that it connects as *connector* says.

    A subclass replaces the loop's class: only its maker can make another loop like it.

    Raises:
        TypeError: The loop's class cannot be replaced.
    """
    kind = type(loop)
    try:
        loop.__class__ = _connecting_class(kind, connector)
    except TypeError as exc:
        text = f"a {kind.__name__} cannot be changed once it is made: give its class"
        raise TypeError(f"base: {text}") from exc


def _connecting_class(
    base: type[asyncio.AbstractEventLoop], connector: Connector
) -> type[asyncio.AbstractEventLoop]:
    """Return a subclass of *base* whose loops connect as *connector* says."""
    # In a subclass of a connecting class, the new connector replaces the first one.
    is_connecting = issubclass(base, _ConnectingMethods)
    bases = (base,) if is_connecting else (_ConnectingMethods, base)
    # Some libraries recognise uvloop by the module of the loop's class.
    members = {"__module__": base.__module__, "_aioconnect_connector": connector}
    name = f"Connecting{base.__name__}"
    return types.new_class(name, bases, {}, lambda body: body.update(members))


class _ConnectingMethods(asyncio.AbstractEventLoop):
    """The three methods of a loop that connect, as *_aioconnect_connector* says.

    `super` is the base loop: this class comes before it in each loop's class.
    """

    _aioconnect_connector: Connector

    # asyncio declares two overloads, one with a host and one with a socket.
    async def create_connection(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        protocol_factory: Callable[[], P],
        host: str | None = None,
        port: int | str | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: LocalAddr | None = None,
        happy_eyeballs_delay: float | EllipsisType | None = ...,
        interleave: int | None = None,
        all_errors: bool = False,
        **tls: Unpack[TLSArguments],
    ) -> TransportPair[P]:
        if isinstance(protocol_factory, Handover):
            # `create_transport` asks for a transport over a connected socket.
            create: Any = super().create_connection
            pair: TransportPair[P] = await create(protocol_factory, sock=sock, **tls)
            return pair
        options = _with_race_arguments(
            self._aioconnect_connector, happy_eyeballs_delay, interleave, sock
        )
        overrides = {
            "family": family,
            "proto": proto,
            "flags": flags,
            "local_addr": local_addr,
        }
        options, endpoint = options_and_endpoint(options, overrides, host, port, sock)
        wrap = _transport_wrap(protocol_factory, host, tls)
        check_way(options, endpoint, wrap)
        return await connect_endpoint(
            options,
            endpoint,
            wrap,
            sock=sock,
            all_errors=all_errors,
            ready_gets_socket=True,
        )

    # asyncio's method has each TLS option as a parameter of its own.
    async def create_unix_connection(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        protocol_factory: Callable[[], P],
        path: StrOrBytesPath | None = None,
        *,
        sock: socket.socket | None = None,
        **tls: Unpack[TLSArguments],
    ) -> TransportPair[P]:
        if isinstance(protocol_factory, Handover):
            create: Any = super().create_unix_connection
            pair: TransportPair[P] = await create(protocol_factory, sock=sock, **tls)
            return pair
        endpoint = endpoint_of_path(path, sock)
        wrap = _transport_wrap(protocol_factory, None, tls)
        options = _without_ready(self._aioconnect_connector, sock)
        return await connect_endpoint(
            options, endpoint, wrap, sock=sock, ready_gets_socket=True
        )

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        connector = self._aioconnect_connector
        if isinstance(sock, SSLSocket):
            raise TypeError("Socket cannot be of type SSLSocket")
        check_is_socket(sock)
        if sock.type not in _CONNECTION_TYPES:
            connect: Any = super().sock_connect
            await connect(sock, address)
        elif sock.gettimeout() == 0:
            await _connect_socket(connector, sock, address)
        elif self.get_debug():
            # asyncio and uvloop both say so.
            raise ValueError("the socket must be non-blocking")
        else:
            await _connect_blocking_socket(connector, sock, address)


def _with_race_arguments(
    connector: Connector,
    happy_eyeballs_delay: float | EllipsisType | None,
    interleave: int | None,
    sock: socket.socket | None,
) -> Connector:
    """Return *connector* with the arguments of a call that concern the race."""
    overrides: dict[str, Any] = {}
    if happy_eyeballs_delay is not ...:
        overrides["happy_eyeballs_delay"] = happy_eyeballs_delay
    if interleave is not None:
        # asyncio takes a bool too, and uses it as a number.
        is_flag = isinstance(interleave, bool)
        overrides["interleave"] = int(interleave) if is_flag else interleave
    options = _without_ready(connector, sock)
    return replace(options, **overrides) if overrides else options


def _without_ready(connector: Connector, sock: socket.socket | None) -> Connector:
    """Return *connector*, without its *ready* hook if the caller passes a *sock*.

    The caller has connected *sock* already.  If this loop did it, *ready* has been
    called then.
    """
    if sock is None or connector.ready is None:
        return connector
    return replace(connector, ready=None)


def _transport_wrap(
    factory: Callable[[], P], host: str | None, tls: TLSArguments
) -> Wrap[TransportPair[P]]:
    check_factory(factory)
    return TransportWrap(factory, tls_options(tls).for_host(host))


async def _connect_blocking_socket(
    connector: Connector, sock: socket.socket, address: Any
) -> None:
    """Connect a *sock* that is blocking or has a timeout, as `_connect_socket` does.

    The base loops just call ``connect(2)``, which blocks the whole loop.  Here the
    socket is non-blocking while it connects, and gets its timeout back at the end.
    """
    timeout = sock.gettimeout()
    if timeout is not None:
        whole = connector.timeout
        limit = timeout if whole is None else min(timeout, whole)
        connector = replace(connector, timeout=limit)
    sock.setblocking(False)
    try:
        await _connect_socket(connector, sock, address)
    finally:
        if sock.fileno() != -1:  # the caller may have closed it in the meantime
            sock.settimeout(timeout)


async def _connect_socket(
    connector: Connector, sock: socket.socket, address: Any
) -> None:
    """Connect the caller's *sock* to *address*, whose host may be a name."""
    check_sock(sock)
    remote = endpoint_of_address(sock, address)
    check_way(connector, remote)
    if remote.address is not None:
        await ConnectOperation(connector, (remote,), sock=sock).run()
        return
    options = replace(connector, family=sock.family, proto=sock.proto)
    await ConnectOperation(options, (remote,), sock=sock).run()
