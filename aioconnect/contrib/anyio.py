"""Connect for anyio: a `Connectable` gives anyio's own streams, as a `Connector` says.

On anyio's asyncio backend, uvloop too.  The extra is ``anyio``:
in a checkout, ``pip install '.[anyio]'``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .._calls.call import Call
from .._calls.options import endpoint_of_target
from .._calls.ready import Ready
from .._calls.service_lookup import check_services
from .._connector import Connector, check_connector
from .._io.targets import AnyTarget, Target, check_targets
from .._sansio.errors import ConnectError
from .._sansio.hosts import check_host
from .._sansio.text import safe_repr

try:
    from anyio import ConnectionFailed, get_cancelled_exc_class
    from anyio.abc import ByteStream, ByteStreamConnectable
    from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

    from ._anyio_streams import Handshake, StreamTransport, to_stream
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "aioconnect.contrib.anyio needs anyio: in a checkout, pip install '.[anyio]'",
        name=exc.name,
    ) from exc

__all__ = ["Connectable"]

_DEFAULT = Connector()


@dataclass(frozen=True, slots=True)
class Connectable(ByteStreamConnectable):
    """Where to connect, and how: what `anyio.as_connectable` gives, for a `Connector`.

    *remote* is what `aioconnect.connect_any` takes for a target: ``(host, port)``, a
    text such as ``host:5432`` or ``unix:/run/db.sock``, a `Target` or an `Address`.
    The rest is as in `anyio.as_connectable`: with *tls* the handshake is made with
    *ssl_context*, or a secure default, for *tls_hostname*, or the host of *remote*.
    It is part of the attempt: within the connector's times, and tried again if
    *retry_on* accepts its error.  If not *tls_standard_compatible*, the stream ends
    without a closing handshake.

    The connector's *ready* is awaited with the stream.

    It is a value: hashable, and picklable if its parts are.

    Raises:
        ValueError, TypeError: A value that cannot work; the text names it.
    """

    remote: AnyTarget
    connector: Connector = _DEFAULT
    tls: bool = False
    ssl_context: ssl.SSLContext | None = None
    tls_hostname: str | None = None
    tls_standard_compatible: bool = True

    def __post_init__(self) -> None:
        check_connector(self.connector)
        _check_is("tls", self.tls, bool)
        _check_is("tls_standard_compatible", self.tls_standard_compatible, bool)
        targets = check_targets((self.remote,))
        check_services(self.connector, targets)
        target = targets[0]
        if target.address is not None and target.address.type != socket.SOCK_STREAM:
            raise ValueError(f"remote: {target} is no socket of streams")
        object.__setattr__(self, "remote", target)
        for name, kind in (("ssl_context", ssl.SSLContext), ("tls_hostname", str)):
            value = getattr(self, name)
            if value is None:
                continue
            _check_is(name, value, kind)
            if not self.tls:
                raise ValueError(f"{name} is only meaningful with tls=True")
        if self.tls:
            self._check_name()

    async def connect(self) -> ByteStream:
        """Return anyio's `SocketStream`, `UNIXSocketStream` or `TLSStream`.

        The caller owns it.  A connect that raises, or is cancelled, whether by a
        cancel scope or not, has closed what it opened.

        Raises:
            ConnectError: As from `aioconnect.connect`, and an `anyio.ConnectionFailed`
                as well.
            RuntimeError: This is not anyio's asyncio backend.
        """
        _check_backend()
        # Before anything is opened: so does all of anyio, also if it need not wait.
        await checkpoint()
        connector = self.connector
        if connector.ready is not None:
            connector = replace(connector, ready=partial(_asked, connector.ready))
        assert isinstance(self.remote, Target)
        call = Call(connector, (endpoint_of_target(connector, self.remote),))
        finish = partial(to_stream, handshake=self._handshake())
        try:
            _, stream = await call.run(finish)
        except ConnectError as exc:
            failure = _failed(exc)
        except asyncio.CancelledError:
            # A cancel scope knows its own cancellation by the message, which is lost
            # when something in between has passed it over, or been cancelled too.
            await checkpoint_if_cancelled()
            raise
        else:
            return stream
        try:
            raise failure
        finally:
            del failure

    def _name(self) -> str | None:
        target = self.remote
        assert isinstance(target, Target)
        if self.tls_hostname or target.address is None:
            return self.tls_hostname or target.host
        sockaddr = target.address.sockaddr
        is_numeric = target.address.family in (socket.AF_INET, socket.AF_INET6)
        return str(sockaddr[0]) if is_numeric else None

    def _check_name(self) -> None:
        name = self._name()
        if name is not None:
            _check_host(name)
        elif self.ssl_context is None or self.ssl_context.check_hostname:
            raise ValueError(
                f"tls_hostname must be given for {self.remote}: the name in the"
                " server's certificate"
            )

    def _handshake(self) -> Handshake | None:
        if not self.tls:
            return None
        name = self._name()
        return Handshake(
            # Made here and not by anyio: it can fail, and nothing is open yet.
            self.ssl_context or _default_context(),
            # The name that was looked up; newer versions of anyio would take IDNA
            # 2008 for it.
            None if name is None else name.encode("idna").decode("ascii"),
            self.tls_standard_compatible,
        )


def _check_is(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {safe_repr(value)}")


def _check_host(name: object) -> None:
    try:
        check_host(name)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"tls_hostname: {exc}") from None


def _default_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    # As anyio's own: before Python 3.11.4 a stream that was cut off had ended.
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


def _asked(ready: Ready, _: StreamTransport, stream: ByteStream) -> Awaitable[object]:
    return ready(stream)


def _failed(error: ConnectError) -> ConnectError:
    """Return *error* as one that is anyio's, too."""
    failed = _restored(type(error), error.args, vars(error))
    failed.strerror = error.strerror  # which may be there without an errno
    failed.__cause__ = error.__cause__
    return failed


def _restored(
    kind: type[ConnectError], args: tuple[Any, ...], fields: dict[str, Any]
) -> ConnectError:
    if kind not in _kinds:
        _kinds.setdefault(kind, _anyios(kind))
    restored = _kinds[kind](*args)
    vars(restored).update(fields)
    return restored


# Each error's class, and the one that whoever catches anyio's error catches, too.
_kinds: dict[type[ConnectError], type[ConnectError]] = {}


def _anyios(kind: type[ConnectError]) -> type[ConnectError]:
    """Return a subclass of *kind*, and of anyio's error, that is called as *kind* is.

    It pickles.
    """

    def reduce(self: ConnectError) -> tuple[Any, ...]:
        return _restored, (kind, self.args, vars(self))

    said = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind, ConnectionFailed), {**said, "__reduce__": reduce})
