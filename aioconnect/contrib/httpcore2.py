"""Connect for httpcore2: a network backend whose connections a `Connector` makes.

For httpx2 see `aioconnect.contrib.httpx2`.  This module needs the extra ``httpcore2``:
in a checkout, ``pip install '.[httpcore2]'``.
"""

from __future__ import annotations

from ._partner import unusable

try:
    import httpcore2
    from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream

    from ._httpcore_backend import Backend, Stream
except ImportError as exc:
    raise unusable("httpcore2", exc) from exc

__all__ = ["ConnectorBackend"]


class _Stream(Stream[AsyncNetworkStream], AsyncNetworkStream):
    core = httpcore2


class ConnectorBackend(Backend[AsyncNetworkStream], AsyncNetworkBackend):
    """A ``network_backend`` for the pools of httpcore2.

    *connector* is a `Connector` (default: one with all defaults).  Its *ready* hook
    gets an anyio stream, before the TLS handshake.  Errors are those of httpcore2, with
    the errors of this package as their causes.

    Raises:
        TypeError: *connector* is not a `Connector`.
    """

    _stream_type = _Stream
