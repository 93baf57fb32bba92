"""Divide the arguments of an aiohttp connector between aiohttp and a `Connector`."""

from __future__ import annotations

import socket
from ssl import SSLContext
from typing import Any, TypedDict

import aiohttp

__all__ = ["TCPConnectorArguments", "split_arguments"]

_NO_CACHE = "nothing is cached here; a resolver can: Connector(resolver=...)"

# Arguments of aiohttp that would have no effect, and what to do instead.
_WITHOUT_EFFECT = {
    "dns_cache_max_size": _NO_CACHE,
    "resolver": "the connector looks up names: Connector(resolver=...)",
    "socket_factory": "the connector opens the sockets: Connector(prepare=[...])",
    "ttl_dns_cache": _NO_CACHE,
    "use_dns_cache": _NO_CACHE,
}


class TCPConnectorArguments(TypedDict, total=False):
    """The arguments of `aiohttp.TCPConnector` that `ConnectorTCPConnector` takes."""

    family: socket.AddressFamily
    local_addr: tuple[str, int] | None
    happy_eyeballs_delay: float | None
    interleave: int | None
    ssl: bool | aiohttp.Fingerprint | SSLContext
    ssl_shutdown_timeout: float | None
    keepalive_timeout: float | None
    force_close: bool
    limit: int
    limit_per_host: int
    enable_cleanup_closed: bool
    timeout_ceil_threshold: float


def split_arguments(
    arguments: TCPConnectorArguments,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a `Connector` in *arguments*, and the rest.

    What means the default to aiohttp leaves the connector's option as it is.

    Raises:
        TypeError: An argument would have no effect.
    """
    theirs: dict[str, Any] = {**arguments}
    for name, instead in _WITHOUT_EFFECT.items():
        # There is no cache to use: False says what happens.
        if name in theirs and (name, theirs[name]) != ("use_dns_cache", False):
            raise TypeError(f"{name} would have no effect: {instead}")
    ours: dict[str, Any] = {}
    if family := theirs.pop("family", 0):
        ours["family"] = family
    for name in ("interleave", "local_addr"):
        if (value := theirs.pop(name, None)) is not None:
            ours[name] = value
    if "happy_eyeballs_delay" in theirs:  # None has a meaning
        ours["happy_eyeballs_delay"] = theirs.pop("happy_eyeballs_delay")
    return ours, theirs
