"""Make event loops whose connections are ours, for code that already exists.

Everything that connects by the running loop, asyncio's own streams and most clients,
gets the connector's race, retry and deadline, and does not know of it.
"""

from __future__ import annotations

import asyncio
import socket
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
from .._io.sockets import check_sock
from .._io.tls import TLSArguments, tls_options
from .._io.transports import TrackedFactory, Wrap, create_transport
from .._sansio.endpoints import Endpoint
from .._sansio.text import safe_repr
from .arguments import endpoint_of_call, endpoint_of_path, endpoint_of_sock

__all__ = ["change", "loop_factory"]

P = TypeVar("P", bound=asyncio.BaseProtocol)
Made: TypeAlias = tuple[asyncio.Transport, P]

_CONNECTED = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)

_DEFAULT = Connector()


def loop_factory(
    connector: Connector = _DEFAULT,
    *,
    base: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a function that makes loops which connect as *connector* says.

    It is for ``asyncio.Runner(loop_factory=...)`` and, since Python 3.12,
    ``asyncio.run``.  A loop of it is one of *base*, a function or a class: asyncio's
    selector loop, uvloop, or another with ``add_writer``.  Three methods are ours:

    - ``create_connection`` and ``create_unix_connection`` have the connector's
      options, and an argument of the call wins.  *family*, *proto* and *flags* that are
      0, and None, say nothing, as in asyncio; but ``happy_eyeballs_delay=None`` is one
      address at a time.
      *ready* is given the socket, before there is a transport or TLS.
      A socket that is given is not asked about.
    - ``sock_connect`` makes one attempt, at the first address of a name; *prepare* and
      *local_addr* are for sockets that are made here.  Sockets of datagrams, and raw
      ones, connect to nobody, and are left to the *base*.

    Raises:
        TypeError: *connector* is no `Connector`, or *base* is no function.
        NotImplementedError: *base* is the class of a loop without ``add_writer``.
            One that makes such a loop is found out when it is called.
    """
    _check(connector, base)
    return partial(_new_loop, connector, base)


loop_factory.__module__ = "aioconnect"  # where users import it from


def _check(connector: object, base: object) -> None:
    if callable(connector):
        text = "a function that makes loops is given as base=..."
        raise TypeError(f"connector must be a Connector; {text}")
    check_connector(connector)
    if isinstance(base, type) and issubclass(base, asyncio.AbstractEventLoop):
        check_loop(base)
    elif isinstance(base, type) or not callable(base):
        text = "what makes event loops, such as uvloop.new_event_loop, or their class"
        raise TypeError(f"base must be {text}, not {safe_repr(base)}")


def _new_loop(
    connector: Connector, base: Callable[[], asyncio.AbstractEventLoop]
) -> asyncio.AbstractEventLoop:
    if isinstance(base, type):
        return _connecting(base, connector)()
    loop = base()
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"base must make an event loop, not {safe_repr(loop)}")
    try:
        check_loop(loop)
        change(loop, connector)
    except BaseException:
        loop.close()
        raise
    return loop


def change(loop: asyncio.AbstractEventLoop, connector: Connector) -> None:
    """Make *loop* one of the subclass: only its maker knows how one is made."""
    kind = type(loop)
    try:
        loop.__class__ = _connecting(kind, connector)
    except TypeError as exc:
        text = f"a {kind.__name__} cannot be changed once it is made: give its class"
        raise TypeError(f"base: {text}") from exc


def _connecting(
    base: type[asyncio.AbstractEventLoop], connector: Connector
) -> type[asyncio.AbstractEventLoop]:
    """Return a subclass of *base* whose loops connect as *connector* says."""

    class Connecting(base):  # type: ignore[misc, valid-type]  # whichever it is
        # The types of asyncio's methods are overloads: with a host, with a socket.
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
        ) -> Made[P]:
            if isinstance(
                protocol_factory, TrackedFactory
            ):  # what we connected asks for this
                create: Any = super().create_connection
                made: Made[P] = await create(protocol_factory, sock=sock, **tls)
                return made
            options = _racing(connector, happy_eyeballs_delay, interleave, sock)
            said = {
                "family": family,
                "proto": proto,
                "flags": flags,
                "local_addr": local_addr,
            }
            options, place = endpoint_of_call(options, said, host, port, sock)
            return await connect_endpoint(
                options,
                place,
                _transport(protocol_factory, host, tls),
                sock=sock,
                all_errors=all_errors,
                ready_gets_socket=True,
            )

        async def create_unix_connection(
            self,
            protocol_factory: Callable[[], P],
            path: StrOrBytesPath | None = None,
            *,
            sock: socket.socket | None = None,
            **tls: Unpack[TLSArguments],
        ) -> Made[P]:
            if isinstance(protocol_factory, TrackedFactory):
                create: Any = super().create_unix_connection
                made: Made[P] = await create(protocol_factory, sock=sock, **tls)
                return made
            place = endpoint_of_path(path, sock)
            finish = _transport(protocol_factory, None, tls)
            options = _unasked(connector, sock)
            return await connect_endpoint(
                options, place, finish, sock=sock, ready_gets_socket=True
            )

        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            if isinstance(sock, SSLSocket):
                raise TypeError("Socket cannot be of type SSLSocket")
            check_is_socket(sock)
            if sock.type not in _CONNECTED:
                connect: Any = super().sock_connect
                await connect(sock, address)
            elif sock.gettimeout() == 0:
                await _connect(connector, sock, address)
            elif self.get_debug():
                raise ValueError("the socket must be non-blocking")  # as both loops say
            else:
                await _unblocked(connector, sock, address)

    Connecting.__name__ = Connecting.__qualname__ = f"Connecting{base.__name__}"
    Connecting.__module__ = base.__module__  # by which some tell uvloop
    return Connecting


def _racing(
    connector: Connector,
    happy_eyeballs_delay: float | EllipsisType | None,
    interleave: int | None,
    sock: socket.socket | None,
) -> Connector:
    """Return *connector* with what a call says of the race."""
    said: dict[str, Any] = {}
    if happy_eyeballs_delay is not ...:
        said["happy_eyeballs_delay"] = happy_eyeballs_delay
    if interleave is not None:
        # asyncio asks no more of it than whether it is true, and how much.
        is_flag = isinstance(interleave, bool)
        said["interleave"] = int(interleave) if is_flag else interleave
    options = _unasked(connector, sock)
    return replace(options, **said) if said else options


def _unasked(connector: Connector, sock: socket.socket | None) -> Connector:
    """Return *connector*, without *ready* if a *sock* is given.

    Whoever gives one has connected it, by the loop perhaps, where *ready* has passed.
    """
    if sock is None or connector.ready is None:
        return connector
    return replace(connector, ready=None)


def _transport(
    factory: Callable[[], P], host: str | None, tls: TLSArguments
) -> Wrap[Made[P]]:
    check_factory(factory)
    return partial(create_transport, factory=factory, tls=tls_options(host, tls))


async def _unblocked(connector: Connector, sock: socket.socket, given: Any) -> None:
    """Do what `_connect` does with a *sock* that blocks, or has a timeout of its own.

    The base loops leave that to ``connect(2)``, which holds the whole loop.  Here the
    socket waits as all do, and blocks again at the end.
    """
    timeout = sock.gettimeout()
    if timeout is not None:
        whole = connector.timeout
        limit = timeout if whole is None else min(timeout, whole)
        connector = replace(connector, timeout=limit)
    sock.setblocking(False)
    try:
        await _connect(connector, sock, given)
    finally:
        if sock.fileno() != -1:  # its owner may have closed it meanwhile
            sock.settimeout(timeout)


async def _connect(connector: Connector, sock: socket.socket, given: Any) -> None:
    """Connect the caller's *sock* to the address *given*, maybe with a name in it."""
    check_sock(sock)
    place = endpoint_of_sock(sock, given)
    if place.address is not None:
        await ConnectOperation(connector, (place,), sock=sock).run()
        return
    options = replace(connector, family=sock.family, proto=sock.proto)

    async def resolve(
        endpoint: Endpoint, operation: ConnectOperation
    ) -> Endpoint | None:
        addresses = await operation.look_up(endpoint)
        return endpoint._replace(address=addresses[0]) if addresses else None

    operation = ConnectOperation(options, (place,), sock=sock, find_endpoint=resolve)
    await operation.run()
