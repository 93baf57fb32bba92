"""Connect once to a target, with or without TLS, and close the connection."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from ..._calls.observing import Observer
from ..._connector import Connector
from ..._io.service_targets import ServiceTarget
from ..._io.targets import Target
from ..check_flags import check_flags, connector_for
from ..connector_flags import connector_from
from ..errors import CommandError

__all__ = ["ConnectOnce", "connect_once_from"]

# Connects once, and tells the observer what happens.
ConnectOnce: TypeAlias = Callable[[Observer], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _TLS:
    context: ssl.SSLContext
    server_name: str | None


def connect_once_from(arguments: argparse.Namespace) -> ConnectOnce:
    """Return a function that connects once, as *arguments* say.

    Raises:
        CommandError: The arguments contradict each other.
    """
    target: ServiceTarget = arguments.target
    connector = connector_from(arguments, [target])
    check_flags(arguments, [target])
    if not isinstance(target, Target):
        if arguments.tls or arguments.server_name is not None:
            raise CommandError(f"{target} cannot have --tls or --server-name")
        connector = connector_for(connector, target, arguments)
        return partial(_ask_once, connector, target)
    return partial(_connect_once, connector, target, _tls(arguments, target))


def _tls(arguments: argparse.Namespace, target: Target) -> _TLS | None:
    name: str | None = arguments.server_name
    if not arguments.tls:
        if name is not None:
            raise CommandError("--server-name needs --tls")
        return None
    if name == "":
        # ssl would not verify the name then.  Most likely a variable was not set.
        raise CommandError("--server-name is empty; --insecure accepts any name")
    context = ssl.create_default_context()
    if arguments.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.host is None:
        if _unix_path(target) is None:
            raise CommandError(f"--tls needs host:port or unix:, not {target}")
        if name is None and not arguments.insecure:
            raise CommandError(f"--tls to {target} needs --server-name")
        name = name or ""
    return _TLS(context, name)


def _unix_path(target: Target) -> str | bytes | None:
    """Return the path of a Unix *target*, or None for any other."""
    sockaddr = target.address.sockaddr if target.address is not None else None
    return sockaddr if isinstance(sockaddr, str | bytes) else None


async def _ask_once(
    connector: Connector, target: ServiceTarget, observer: Observer
) -> None:
    from ..._services import connect_to_service  # noqa: PLC0415  # a plain target needs no check

    await connect_to_service(replace(connector, observer=observer), target)


async def _connect_once(
    connector: Connector, target: Target, tls: _TLS | None, observer: Observer
) -> None:
    connector = replace(connector, observer=observer)
    if tls is None:
        (await connector.connect_any([target])).close()
        return
    context, name = tls.context, tls.server_name
    if target.host is not None:
        _, writer = await connector.open_connection(
            target.host, target.port, ssl=context, server_hostname=name
        )
    else:
        _, writer = await connector.open_unix_connection(
            _unix_path(target), ssl=context, server_hostname=name
        )
    # Nothing was sent, so there is nothing to flush.  Closing TLS properly would wait
    # for the peer.
    writer.transport.abort()
