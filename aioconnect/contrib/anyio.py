"""Connect for anyio: a `Connectable` returns anyio's own streams.

It works on anyio's asyncio backend, with uvloop too.  This module needs the extra
``anyio``: in a checkout, ``pip install '.[anyio]'``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .._calls.arguments import endpoint_from_target
from .._calls.connect import ConnectOperation
from .._calls.ready import Ready
from .._calls.service_lookup import check_services
from .._connector import Connector, check_connector
from .._io.targets import AnyTarget, Target, check_targets
from .._sansio.errors import ConnectError
from .._sansio.hosts import check_host
from .._sansio.text import safe_repr
from ._partner import unusable

try:
    from anyio import ConnectionFailed, get_cancelled_exc_class
    from anyio.abc import ByteStream, ByteStreamConnectable
    from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

    from ._anyio_streams import StreamTransport, StreamWrap, TLSHandshake
except ImportError as exc:
    raise unusable("anyio", exc) from exc

__all__ = ["Connectable"]

_DEFAULT = Connector()


@dataclass(frozen=True, slots=True)
class Connectable(ByteStreamConnectable):
    """A target and how to connect to it, like the result of `anyio.as_connectable`.

    *remote* is a target as in `aioconnect.connect_any`: ``(host, port)``, a text such
    as ``host:5432`` or ``unix:/run/db.sock``, a `Target` or an `Address`.  *connector*
    says how to connect (default: a `Connector` with all defaults).  Its *ready* hook
    gets the stream.

    The rest is as in `anyio.as_connectable`.  With *tls* (False) there is a TLS
    handshake with *ssl_context* (default: a secure one) for *tls_hostname* (default:
    the host of *remote*).  The handshake is part of the attempt: the connector's
    timeouts include it, and it is retried if *retry_on* accepts its error.  Unless
    *tls_standard_compatible* (True), the stream ends without a closing handshake.

    A connectable is a value: hashable, and picklable if its parts are.

    Raises:
        ValueError, TypeError: A value cannot work; the text names it.
    """

    remote: AnyTarget
    connector: Connector = _DEFAULT
    tls: bool = False
    ssl_context: ssl.SSLContext | None = None
    tls_hostname: str | None = None
    tls_standard_compatible: bool = True

    def __post_init__(self) -> None:
        check_connector(self.connector)
        _check_type("tls", self.tls, bool)
        _check_type("tls_standard_compatible", self.tls_standard_compatible, bool)
        targets = check_targets((self.remote,))
        check_services(self.connector, targets)
        target = targets[0]
        if target.address is not None and target.address.type != socket.SOCK_STREAM:
            raise ValueError(f"remote: {target} is not a stream socket")
        object.__setattr__(self, "remote", target)
        for name, kind in (("ssl_context", ssl.SSLContext), ("tls_hostname", str)):
            value = getattr(self, name)
            if value is None:
                continue
            _check_type(name, value, kind)
            if not self.tls:
                raise ValueError(f"{name} is only meaningful with tls=True")
        if self.tls:
            self._check_certificate_name()

    async def connect(self) -> ByteStream:
        """Connect, and return a `SocketStream`, `UNIXSocketStream` or `TLSStream`.

        The caller closes the stream.  A connect that raises or is cancelled, by a
        cancel scope or otherwise, has closed everything that it opened.

        Raises:
            ConnectError: As from `aioconnect.connect`.  The error is an
                `anyio.ConnectionFailed` too.
            RuntimeError: This is not anyio's asyncio backend.
        """
        _check_backend()
        # Like every function of anyio, this is a checkpoint even if it need not wait.
        # It comes before anything is open.
        await checkpoint()
        connector = self.connector
        if connector.ready is not None:
            connector = replace(
                connector, ready=partial(_ready_with_stream, connector.ready)
            )
        assert isinstance(self.remote, Target)
        endpoint = endpoint_from_target(connector, self.remote)
        wrap = StreamWrap(self._handshake())
        operation = ConnectOperation(connector, (endpoint,), wrap)
        try:
            connection: tuple[StreamTransport, ByteStream] = await operation.run()
        except ConnectError as exc:
            failure = _as_connection_failed(exc)
        except asyncio.CancelledError:
            # A cancel scope recognises its own cancellation by the message.  Code in
            # between loses the message if it hands the cancellation on, or is itself
            # cancelled too.
            await checkpoint_if_cancelled()
            raise
        else:
            return connection[1]
        try:
            raise failure
        finally:
            del failure

    def _certificate_name(self) -> str | None:
        target = self.remote
        assert isinstance(target, Target)
        if self.tls_hostname or target.address is None:
            return self.tls_hostname or target.host
        sockaddr = target.address.sockaddr
        is_numeric = target.address.family in (socket.AF_INET, socket.AF_INET6)
        return str(sockaddr[0]) if is_numeric else None

    def _check_certificate_name(self) -> None:
        name = self._certificate_name()
        if name is not None:
            _check_tls_hostname(name)
        elif self.ssl_context is None or self.ssl_context.check_hostname:
            raise ValueError(
                f"tls_hostname must be given for {self.remote}: the name in the"
                " server's certificate"
            )

    def _handshake(self) -> TLSHandshake | None:
        if not self.tls:
            return None
        name = self._certificate_name()
        return TLSHandshake(
            # This can fail, and is done before anything is open.  anyio would do it
            # later.
            self.ssl_context or _default_context(),
            # The look-up uses IDNA 2003.  Newer versions of anyio would encode the name
            # with IDNA 2008.
            None if name is None else name.encode("idna").decode("ascii"),
            self.tls_standard_compatible,
        )


def _check_type(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {safe_repr(value)}")


def _check_tls_hostname(name: object) -> None:
    try:
        check_host(name)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"tls_hostname: {exc}") from None


def _default_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    # anyio does the same.  Before Python 3.11.4, a stream that was cut off seemed to
    # have ended.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def _check_backend() -> None:
    cancelled = get_cancelled_exc_class()
    if cancelled is not asyncio.CancelledError:
        backend = cancelled.__module__.partition(".")[0]
        raise RuntimeError(
            f"aioconnect needs anyio's asyncio backend, and this is {backend}'s:"
            ' anyio.run(..., backend="asyncio"), on uvloop too with'
            ' backend_options={"use_uvloop": True}'
        )


def _ready_with_stream(
    ready: Ready, _: StreamTransport, stream: ByteStream
) -> Awaitable[object]:
    return ready(stream)


def _as_connection_failed(error: ConnectError) -> ConnectError:
    """Return a copy of *error* that is an `anyio.ConnectionFailed` too."""
    failed = _restored_error(type(error), error.args, vars(error))
    failed.strerror = error.strerror  # args lacks it if there is no errno
    failed.__cause__ = error.__cause__
    return failed


def _restored_error(
    kind: type[ConnectError], args: tuple[Any, ...], fields: dict[str, Any]
) -> ConnectError:
    if kind not in _combined_classes:
        _combined_classes.setdefault(kind, _combined_class(kind))
    restored = _combined_classes[kind](*args)
    vars(restored).update(fields)
    return restored


# For each class of error, the class that is an `anyio.ConnectionFailed` too.
_combined_classes: dict[type[ConnectError], type[ConnectError]] = {}


def _combined_class(kind: type[ConnectError]) -> type[ConnectError]:
    """Return a subclass of *kind* and of anyio's error, with the name of *kind*.

    Its instances can be pickled.
    """

    def reduce(self: ConnectError) -> tuple[Any, ...]:
        return _restored_error, (kind, self.args, vars(self))

    members = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(
        kind.__name__, (kind, ConnectionFailed), {**members, "__reduce__": reduce}
    )
