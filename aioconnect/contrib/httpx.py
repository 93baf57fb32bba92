"""Connect for httpx: a transport whose connections a `Connector` makes.

This module uses only the public API of httpx and httpcore.  It needs the extra
``httpx``: in a checkout, ``pip install '.[httpx]'``.
"""

from __future__ import annotations

from ._partner import unusable

try:
    import httpcore
    import httpx
    from httpx import AsyncBaseTransport, AsyncByteStream, Request, Response

    from ._httpx_transport import Packages, ResponseBody, Transport
    from .httpcore import ConnectorBackend
except ImportError as exc:
    raise unusable("httpx", exc) from exc

__all__ = ["ConnectorTransport"]


class _Body(ResponseBody, AsyncByteStream):
    pass


class ConnectorTransport(Transport[Request, Response], AsyncBaseTransport):
    """A ``transport`` for `httpx.AsyncClient` that connects as *connector* says.

    *connector* is a `Connector` (default: one with all defaults).  The other parameters
    are those of `httpx.AsyncHTTPTransport`.  As with every transport, httpx ignores
    the proxies of the environment.
    """

    _packages = Packages(httpx, httpcore)
    _backend_type = ConnectorBackend
    _body_type = _Body
