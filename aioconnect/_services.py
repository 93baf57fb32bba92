"""Join the URL of a service with its check, for the waits and the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from . import checks
from ._calls.arguments import endpoint_from_host, endpoint_from_target
from ._calls.wait_for_name import look_up_name, until_resolved
from ._calls.wait_for_server import until_down, until_up
from ._connector import Connector
from ._io.service_targets import ServiceTarget, parse_service
from ._io.targets import AnyTarget, Target, as_target
from ._sansio.service_url import (
    HTTP_SCHEMES,
    TLS_SCHEMES,
    ServiceURL,
)

__all__ = [
    "connect_to_service",
    "until_service_down",
    "until_service_up",
    "wait_for_service",
    "with_check",
]

_PLAIN_CHECKS = {
    "amqp": checks.amqp,
    "amqps": checks.amqp,
    "kafka": checks.kafka,
    "mysql": checks.mysql,
    "postgres": checks.postgres,
    "postgresql": checks.postgres,
    "redis": checks.redis,
    "rediss": checks.redis,
}


def with_check(
    connector: Connector,
    url: ServiceURL,
    *,
    status: range | None = None,
    insecure: bool = False,
) -> Connector:
    """Return *connector* with the check of *url*, and a limit for each attempt.

    *status* is for HTTP, and *insecure* for TLS; others ignore them.

    Raises:
        ValueError: *connector* has a *ready* of its own.
    """
    if connector.ready is not None:
        text = f"ready: {url} has its own check; give host and port to use yours"
        raise ValueError(text)
    limit = connector.attempt_timeout or checks.Check.attempt_timeout
    check = _check_of(url, status, insecure=insecure)
    return replace(connector, ready=check, attempt_timeout=limit)


def _check_of(
    url: ServiceURL, status: range | None, *, insecure: bool
) -> checks.Check | None:
    check = _PLAIN_CHECKS.get(url.scheme)
    if url.scheme in HTTP_SCHEMES:
        make: Callable[..., checks.Check] = checks.http
        if status is not None:
            make = partial(make, status=status)
        check = make(url.path, host=url.authority)
    if url.scheme in TLS_SCHEMES:
        check = checks.tls(check, host=url.host, insecure=insecure)
    return check


async def connect_to_service(connector: Connector, target: ServiceTarget) -> None:
    """Connect to *target*, with the check that *connector* has, and close.

    Raises:
        ConnectError: It cannot be connected to, is not ready, or has no address.
    """
    if isinstance(target, Target):
        (await connector.connect_any((target,))).close()
    elif target.port is None:
        await look_up_name(replace(connector, ready=None), target.host)
    else:
        (await connector.connect(target.host, target.port)).close()


async def wait_for_service(connector: Connector, url: ServiceURL) -> float:
    """Wait until *url* passes the check that *connector* has; return the seconds.

    Raises:
        ConnectError: The policy has given up, or the time is up.
    """
    if url.port is None:
        return await until_resolved(connector, url.host)
    endpoint = endpoint_from_host(connector, url.host, url.port)
    return await until_up(connector, endpoint, 0.0)


async def until_service_up(
    connector: Connector, target: AnyTarget, settle: float
) -> float:
    """Wait until *target* is up, and ready if it is a URL; return the seconds it took.

    Raises:
        ConnectError: The policy has given up, or the time is up.
        ValueError, TypeError: *target* cannot work, or the options do not fit to it.
    """
    checked = _as_service(target)
    if isinstance(checked, ServiceURL):
        if settle:
            text = f"{checked} asks the service, and cannot have settle"
            raise ValueError(text)
        return await wait_for_service(with_check(connector, checked), checked)
    return await until_up(connector, endpoint_from_target(connector, checked), settle)


async def until_service_down(
    connector: Connector, target: AnyTarget | ServiceTarget
) -> float:
    """Wait until *target* refuses or is gone; return the seconds it took.

    Raises:
        ConnectError: It is not down, or an attempt failed.
        ValueError, TypeError: *target* cannot work.
    """
    checked = _as_service(target)
    if isinstance(checked, Target):
        endpoint = endpoint_from_target(connector, checked)
    elif checked.port is None:
        raise ValueError(f"{checked} is only a name, and cannot go down")
    else:
        endpoint = endpoint_from_host(connector, checked.host, checked.port)
    return await until_down(connector, endpoint)


def _as_service(target: AnyTarget | ServiceTarget) -> ServiceTarget:
    if isinstance(target, ServiceURL):
        return target
    return parse_service(target) if isinstance(target, str) else as_target(target)
