"""Connect for httpx2: a transport whose connections a `Connector` makes.

This module uses only the public API of httpx2 and httpcore2.  It needs the extra
``httpx2``: in a checkout, ``pip install '.[httpx2]'``.
"""

from __future__ import annotations

from ._partner import unusable

try:
    import httpcore2
    import httpx2
    from httpx2 import AsyncBaseTransport, AsyncByteStream, Request, Response

    from ._httpx_transport import Packages, ResponseBody, Transport
    from .httpcore2 import ConnectorBackend
except ImportError as exc:
    raise unusable("httpx2", exc) from exc

__all__ = ["ConnectorTransport"]


class _Body(ResponseBody, AsyncByteStream):
    pass


class ConnectorTransport(Transport[Request, Response], AsyncBaseTransport):
    """A ``transport`` for `httpx2.AsyncClient` that connects as *connector* says.

    *connector* is a `Connector` (default: one with all defaults).  The other parameters
    are those of `httpx2.AsyncHTTPTransport`.  As with every transport, httpx2 ignores
    the proxies of the environment.
    """

    _packages = Packages(httpx2, httpcore2)
    _backend_type = ConnectorBackend
    _body_type = _Body
