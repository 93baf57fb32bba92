"""Say hello over HTTP, on the path or the host that is the argument, at 8080."""

from __future__ import annotations

import sys

from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    """Answer any request."""
    return web.Response(text="hello")


app = web.Application()
app.router.add_get("/", hello)
where = sys.argv[1]
if "/" in where:
    web.run_app(app, path=where, print=None)
else:
    web.run_app(app, host=where, print=None)
