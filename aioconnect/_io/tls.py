"""Check the TLS arguments of asyncio's functions, before anything is open."""

from __future__ import annotations

import ssl as _ssl
import weakref
from typing import Any, NamedTuple, TypedDict

from .._sansio.checks import check_duration, explain_unknown
from .._sansio.hosts import IDNA_DOTS, check_host, numeric_address
from .._sansio.text import safe_repr
from .timers import TIMER_TOLERANCE

__all__ = ["TLSArguments", "TLSOptions", "server_name", "tls_options"]

# asyncio's default, in seconds (asyncio.constants).
_HANDSHAKE_TIMEOUT = 60.0

_DOTS = tuple(IDNA_DOTS)


def server_name(host: str) -> str:
    """Return *host* in the form in which TLS sends and verifies it.

    This removes a zone id (it only names an interface of this machine), brackets (they
    only mark an address in a URL), and the final dot (it is for DNS alone).  No
    certificate has them, and RFC 6066, section 3, forbids sending the dot.  Text that
    is neither an address nor a name stays as it is: an empty name would not be
    verified at all.
    """
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    address = inside.partition("%")[0]
    if ":" in address and numeric_address(address, 0) is not None:
        return address
    return host[:-1] if len(host) > 1 and host.endswith(_DOTS) else host


class TLSArguments(TypedDict, total=False):
    """The fields of `TLSOptions`, as keyword arguments."""

    ssl: bool | _ssl.SSLContext | None
    server_hostname: str | None
    ssl_handshake_timeout: float | None
    ssl_shutdown_timeout: float | None


class TLSOptions(NamedTuple):
    """The TLS arguments of asyncio's ``create_connection``: see `for_host`."""

    ssl: bool | _ssl.SSLContext | None = None
    server_hostname: str | None = None
    ssl_handshake_timeout: float | None = None
    ssl_shutdown_timeout: float | None = None

    def checked(self) -> TLSOptions:
        """Return these options, checked together.

        Raises:
            ValueError: An option is given without *ssl*, or is not a positive number.
            TypeError: *ssl* is neither a context nor a bool nor None.
        """
        # As in asyncio, every false value means no TLS.
        if self.ssl and not isinstance(self.ssl, (bool, _ssl.SSLContext)):
            raise TypeError(
                f"ssl must be an SSLContext, a bool or None: {safe_repr(self.ssl)}"
            )
        self._check_limit("ssl_handshake_timeout", self.ssl_handshake_timeout)
        self._check_limit("ssl_shutdown_timeout", self.ssl_shutdown_timeout)
        if self.server_hostname is not None and not self.ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if not self.server_hostname:
            return self
        return self._replace(server_hostname=_check_name(self.server_hostname))

    def _check_limit(self, name: str, seconds: float | None) -> None:
        if seconds is not None:
            if not self.ssl:
                raise ValueError(f"{name} is only meaningful with ssl")
            check_duration(name, seconds, positive=True)

    def for_host(self, host: str | None) -> TLSOptions:
        """Return these options, checked, with a context and a name to verify.

        The name is *host*, unless *server_hostname* gives another one.

        Raises:
            ValueError: There is no name (asyncio's own words), or TLS cannot verify it.
                And what `checked` raises.
            TypeError: The same.
        """
        if self == _NO_TLS:
            return self
        checked = self.checked()
        if not self.ssl:
            return checked
        name = checked.server_hostname
        if name is None:
            if not host:
                raise ValueError(
                    "You must set server_hostname when using ssl without a host"
                )
            name = server_name(check_host(host))
        # Not by the loop: creating a context can fail, and here nothing is open yet.
        context = self.ssl if self.ssl is not True else _ssl.create_default_context()
        if self.ssl is True and not name:
            context.check_hostname = False
        # The loops wrap, too, but after they made the transport: an error would leave
        # the transport behind.
        if not (name and name.isascii() and _has_wrapped(context)):
            inbox, outbox = _ssl.MemoryBIO(), _ssl.MemoryBIO()
            try:
                context.wrap_bio(inbox, outbox, server_hostname=name or None)
            except ValueError as exc:
                text = f"ssl: {safe_repr(name)} is not a name to verify: {exc}"
                raise ValueError(text) from None
            _of_clients.add(context)
        return self._replace(ssl=context, server_hostname=name)

    def arguments(self, remaining: float | None) -> dict[str, Any]:
        """Return the loop's arguments, *remaining* seconds before the deadline."""
        if not self.ssl:
            return {}
        limit = self.ssl_handshake_timeout
        if remaining is not None:
            limit = max(min(limit or _HANDSHAKE_TIMEOUT, remaining), TIMER_TOLERANCE)
        return {
            "ssl": self.ssl,
            "server_hostname": self.server_hostname,
            "ssl_handshake_timeout": limit,
            "ssl_shutdown_timeout": self.ssl_shutdown_timeout,
        }


# The contexts that have been a client's.
_of_clients: weakref.WeakSet[_ssl.SSLContext] = weakref.WeakSet()


def _has_wrapped(context: _ssl.SSLContext) -> bool:
    """Tell whether *context* takes every checked name in ASCII: it has taken one."""
    # A subclass may look at the name.
    is_plain = type(context) is _ssl.SSLContext
    is_plain = is_plain and context.sslobject_class is _ssl.SSLObject
    return is_plain and context in _of_clients


def _check_name(name: object) -> str:
    try:
        return server_name(check_host(name))
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"server_hostname: {exc}") from None


_NO_TLS = TLSOptions()


def tls_options(arguments: TLSArguments) -> TLSOptions:
    """Return *arguments* as a value, which `TLSOptions.for_host` checks."""
    unknown = arguments.keys() - TLSArguments.__annotations__.keys()
    if unknown:
        known = TLSArguments.__annotations__
        text = explain_unknown(unknown, known, "options are the Connector's")
        raise TypeError(f"no such argument: {text}")
    return TLSOptions(**arguments)
