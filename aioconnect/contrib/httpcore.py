"""Connect for httpcore: a network backend whose connections a `Connector` makes.

For httpx see `aioconnect.contrib.httpx`.  This module needs the extra ``httpcore``:
in a checkout, ``pip install '.[httpcore]'``.
"""

from __future__ import annotations

from ._partner import unusable

try:
    import httpcore
    from httpcore import AsyncNetworkBackend, AsyncNetworkStream

    from ._httpcore_backend import Backend, Stream
except ImportError as exc:
    raise unusable("httpcore", exc) from exc

__all__ = ["ConnectorBackend"]


class _Stream(Stream[AsyncNetworkStream], AsyncNetworkStream):
    core = httpcore


class ConnectorBackend(Backend[AsyncNetworkStream], AsyncNetworkBackend):
    """A ``network_backend`` for the pools of httpcore.

    *connector* is a `Connector` (default: one with all defaults).  Its *ready* hook
    gets an anyio stream, before the TLS handshake.  Errors are those of httpcore, with
    the errors of this package as their causes.

    Raises:
        TypeError: *connector* is not a `Connector`.
    """

    _stream_type = _Stream
