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
from typing import Any, TypeAlias, TypeVar, Unpack, cast

from ._address import numeric
from ._adopt import Finish, Once, TLSArguments, tls_options, to_transport
from ._call import Call
from ._connector import Connector
from ._dropins import StrOrBytesPath, anywhere, at_path
from ._options import LocalAddr
from ._shown import shown
from ._sockets import check_sock
from ._watchers import check_loop

__all__ = ["change", "loop_factory"]

P = TypeVar("P", bound=asyncio.BaseProtocol)
Made: TypeAlias = tuple[asyncio.Transport, P]

_CONNECTED = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
_INET = (socket.AF_INET, socket.AF_INET6)

_DEFAULT = Connector()


def loop_factory(
    connector: Connector = _DEFAULT,
    *,
    base: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a function that makes loops which connect as *connector* says.

    It is for ``asyncio.Runner(loop_factory=...)`` and, since Python 3.12,
    ``asyncio.run``.  A loop of it is one of *base*, a function or a class: asyncio's
    selector loop, uvloop, or another that has ``add_writer``.  Three methods are ours:

    - ``create_connection`` and ``create_unix_connection`` have the connector's
      options.  An argument of the call wins; one that is 0 or None, as asyncio's
      defaults are, says nothing, but that ``happy_eyeballs_delay=None`` is one
      address at a time.
      *ready* is given the socket, before there is a transport or TLS.
    - ``sock_connect`` makes one attempt, at the first address of a name.  Datagram
      sockets, which connect to nobody, are left to the *base*.

    Raises:
        TypeError: *connector* is no `Connector`, or *base* is no function.
        NotImplementedError: *base* is the class of a loop without ``add_writer``.
            One that makes such a loop is found out when it is called.
    """
    _check(connector, base)
    return partial(_new_loop, connector, base)


def _check(connector: object, base: object) -> None:
    if not isinstance(connector, Connector):
        text = f"connector must be a Connector, not {shown(connector)}"
        raise TypeError(f"{text}; a function that makes loops is given as base=...")
    if isinstance(base, type) and issubclass(base, asyncio.AbstractEventLoop):
        check_loop(base)
    elif isinstance(base, type) or not callable(base):
        text = "a function that makes event loops, or their class"
        raise TypeError(f"base must be {text}, not {shown(base)}")


def _new_loop(
    connector: Connector, base: Callable[[], asyncio.AbstractEventLoop]
) -> asyncio.AbstractEventLoop:
    if isinstance(base, type):
        return _connecting(base, connector)()
    loop = base()
    if not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"base must make an event loop, not {shown(loop)}")
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
            if isinstance(protocol_factory, Once):  # what we connected asks for this
                create: Any = super().create_connection
                made: Made[P] = await create(protocol_factory, sock=sock, **tls)
                return made
            said: dict[str, Any] = {
                "family": family,
                "proto": proto,
                "flags": flags,
                "local_addr": local_addr,
            }
            said = {name: value for name, value in said.items() if value}
            if happy_eyeballs_delay is not ...:
                said["happy_eyeballs_delay"] = happy_eyeballs_delay
            if interleave is not None:
                said["interleave"] = interleave
            return await anywhere(
                replace(connector, **said) if said else connector,
                host,
                port,
                sock,
                _transport(protocol_factory, host, tls),
                all_errors=all_errors,
                proves_socket=True,
            )

        async def create_unix_connection(
            self,
            protocol_factory: Callable[[], P],
            path: StrOrBytesPath | None = None,
            *,
            sock: socket.socket | None = None,
            **tls: Unpack[TLSArguments],
        ) -> Made[P]:
            if isinstance(protocol_factory, Once):
                create: Any = super().create_unix_connection
                made: Made[P] = await create(protocol_factory, sock=sock, **tls)
                return made
            finish = _transport(protocol_factory, None, tls)
            return await at_path(connector, path, sock, finish, proves_socket=True)

        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            if isinstance(sock, SSLSocket):
                raise TypeError("Socket cannot be of type SSLSocket")
            if getattr(sock, "type", None) == socket.SOCK_DGRAM:
                connect: Any = super().sock_connect
                await connect(sock, address)
            else:
                await _connect(connector, sock, address)

    Connecting.__name__ = Connecting.__qualname__ = f"Connecting{base.__name__}"
    Connecting.__module__ = base.__module__  # by which some tell uvloop
    return Connecting


def _transport(
    factory: Callable[[], P], host: str | None, tls: TLSArguments
) -> Finish[Made[P]]:
    return partial(to_transport, factory=factory, tls=tls_options(host, tls))


async def _connect(connector: Connector, sock: socket.socket, given: Any) -> None:
    """Connect the caller's *sock* to the address *given*, maybe with a name in it."""
    check_sock(sock)
    address: Any = given
    if isinstance(given, list) and sock.family in _INET:
        address = tuple(cast("list[Any]", given))  # as asyncio does
    if sock.family not in _INET or not _has_name(address, sock.family):
        await connector.connect_sock(sock, address)
        return
    options = replace(connector, family=sock.family, proto=sock.proto)
    place = options.where(*address[:2])
    await Call(options, (place,), sock=sock).run(None)


def _has_name(address: Any, family: int) -> bool:
    """Tell whether *address* is not all in numbers of *family*."""
    match address:
        case (_, str() | bytes(), *_) | (bytes(), *_):
            return True  # or so it is read
        case (str(host), *_):
            known = numeric(host, 0)
            return known is None or known.family != family
        case _:
            return False
