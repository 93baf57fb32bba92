"""The TLS arguments of asyncio's functions, checked before anything is open."""

from __future__ import annotations

import ssl as _ssl
from typing import Any, NamedTuple, TypedDict

from .._sansio.checks import check_duration, explain_unknown
from .._sansio.hosts import IDNA_DOTS, check_host, numeric_address
from .._sansio.text import safe_repr
from .timers import TIMER_TOLERANCE

__all__ = ["TLSArguments", "TLSOptions", "server_name", "tls_options"]

# What asyncio gives a handshake, in seconds (asyncio.constants).
_HANDSHAKE = 60.0

_DOTS = tuple(IDNA_DOTS)


def server_name(host: str) -> str:
    """Return *host* in the form in which TLS sends and verifies it.

    A zone id only says which interface of this machine leads to an address, brackets
    only mark an address in a URL, and the final dot is for DNS alone.  A certificate
    has none of them, and RFC 6066, section 3, forbids to send the dot.  What is
    neither an address nor a name stays as it is: nothing may become no name at all,
    which nobody would verify.
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
    """The TLS arguments of asyncio's ``create_connection``: see `tls_options`."""

    ssl: bool | _ssl.SSLContext | None = None
    server_hostname: str | None = None
    ssl_handshake_timeout: float | None = None
    ssl_shutdown_timeout: float | None = None

    def checked(self) -> TLSOptions:
        """Return these, checked together.

        Raises:
            ValueError: One of the others is given without *ssl*, or *ssl* without a
                name to verify (asyncio's own words).
        """
        # As in asyncio, whatever is false stands for no TLS.
        if self.ssl and not isinstance(self.ssl, bool | _ssl.SSLContext):
            raise TypeError(
                f"ssl must be an SSLContext, a bool or None: {safe_repr(self.ssl)}"
            )
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout"):
            seconds = getattr(self, name)
            if seconds is None:
                continue
            if not self.ssl:
                raise ValueError(f"{name} is only meaningful with ssl")
            check_duration(name, seconds, positive=True)
        if self.server_hostname is not None and not self.ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if not self.server_hostname:
            return self
        return self._replace(server_hostname=_check_name(self.server_hostname))

    def for_host(self, host: str | None) -> TLSOptions:
        """Return these with a context, and a name to verify: *host*, or another.

        Raises:
            ValueError: There is none.
        """
        if not self.ssl:
            return self
        name = self.server_hostname
        if name is None:
            if not host:
                raise ValueError(
                    "You must set server_hostname when using ssl without a host"
                )
            name = server_name(check_host(host))
        # Made here and not by the loop: it can fail, and nothing is open yet.
        context = self.ssl if self.ssl is not True else _ssl.create_default_context()
        if self.ssl is True and not name:
            context.check_hostname = False
        # So do the loops, with the transport made: an error of it would leave that.
        try:
            context.wrap_bio(_ssl.MemoryBIO(), _ssl.MemoryBIO(), False, name or None)
        except ValueError as exc:
            text = f"ssl: {safe_repr(name)} is no name to verify: {exc}"
            raise ValueError(text) from None
        return self._replace(ssl=context, server_hostname=name)

    def arguments(self, remaining: float | None) -> dict[str, Any]:
        """Return what the loop is called with, *remaining* seconds before the end."""
        if not self.ssl:
            return {}
        limit = self.ssl_handshake_timeout
        if remaining is not None:
            limit = max(min(limit or _HANDSHAKE, remaining), TIMER_TOLERANCE)
        return {
            "ssl": self.ssl,
            "server_hostname": self.server_hostname,
            "ssl_handshake_timeout": limit,
            "ssl_shutdown_timeout": self.ssl_shutdown_timeout,
        }


def _check_name(name: object) -> str:
    try:
        return server_name(check_host(name))
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"server_hostname: {exc}") from None


_PLAIN = TLSOptions()
_UNSAID = dict.fromkeys(TLSArguments.__annotations__)


def tls_options(host: str | None, arguments: TLSArguments) -> TLSOptions:
    """Return the *arguments*, checked, with *host* as the name to verify."""
    if not arguments or arguments == _UNSAID:
        return _PLAIN
    misspelt = arguments.keys() - TLSArguments.__annotations__.keys()
    if misspelt:
        known = TLSArguments.__annotations__
        text = explain_unknown(misspelt, known, "options are the Connector's")
        raise TypeError(f"no such argument: {text}")
    return TLSOptions(**arguments).checked().for_host(host)
