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

from ._address import numeric
from ._adopt import Finish, Once, to_transport
from ._call import Call
from ._connector import Connector, check_connector
from ._options import LocalAddr
from ._place import Place
from ._reach import StrOrBytesPath, addresses_of, anywhere, at_path
from ._rounds import Rounds
from ._shown import shown
from ._sockets import check_sock
from ._tls import TLSArguments, tls_options
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
                _with(connector, said, sock),
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
            options = _with(connector, {}, sock)
            return await at_path(options, path, sock, finish, proves_socket=True)

        async def sock_connect(self, sock: socket.socket, address: Any) -> None:
            if isinstance(sock, SSLSocket):
                raise TypeError("Socket cannot be of type SSLSocket")
            if getattr(sock, "type", socket.SOCK_STREAM) not in _CONNECTED:
                connect: Any = super().sock_connect
                await connect(sock, address)
            else:
                await _connect(connector, sock, address)

    Connecting.__name__ = Connecting.__qualname__ = f"Connecting{base.__name__}"
    Connecting.__module__ = base.__module__  # by which some tell uvloop
    return Connecting


def _with(
    connector: Connector, said: dict[str, Any], sock: socket.socket | None
) -> Connector:
    """Return *connector* with what is *said*; nothing is asked of a given *sock*.

    Who gives one has connected it, by the loop perhaps, where *ready* has passed.
    """
    if sock is not None and connector.ready is not None:
        said = {**said, "ready": None}
    return replace(connector, **said) if said else connector


def _transport(
    factory: Callable[[], P], host: str | None, tls: TLSArguments
) -> Finish[Made[P]]:
    return partial(to_transport, factory=factory, tls=tls_options(host, tls))


async def _connect(connector: Connector, sock: socket.socket, given: Any) -> None:
    """Connect the caller's *sock* to the address *given*, maybe with a name in it."""
    check_sock(sock)
    if sock.family not in _INET:
        await connector.connect_sock(sock, given)
        return
    address = _in_numbers(given, sock.family)
    if address is not None:
        await connector.connect_sock(sock, address)
        return
    options = replace(connector, family=sock.family, proto=sock.proto)
    host, port = given[:2]
    place = options.where("localhost" if host is None else host, port)

    async def found(place: Place, rounds: Rounds) -> Place | None:
        addresses = await addresses_of(options, place, rounds)
        return place._replace(address=addresses[0]) if addresses else None

    await Call(options, (place,), sock=sock, before=found).run(None)


def _in_numbers(given: Any, family: int) -> Any:
    """Return the address *given*, or None if it is not all in numbers of *family*.

    As asyncio does, it takes a list, and of an IPv4 address what is too much.
    """
    match given:
        case (str(host), int(port), *more):
            known = numeric(host, port)
            if known is None or known.family != family:
                return None
            if family == socket.AF_INET or "%" in host:
                return known.sockaddr
            return (host, port, *more)
        case (_, _, *_):
            return None
        case _:
            return given
