"""The flags for the checks of services, and the connector that makes a check."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from .._connector import Connector
from .._io.service_targets import ServiceTarget
from .._sansio.service_url import HTTP_SCHEMES, TLS_SCHEMES, ServiceURL
from .argument_types import status_range
from .errors import CommandError
from .parser import Container

__all__ = ["add_insecure_flag", "add_status_flag", "check_flags", "connector_for"]


def add_status_flag(options: Container) -> None:
    """Add the flag for the HTTP status codes that count as ready."""
    options.add_argument(
        "--status",
        metavar="RANGE",
        type=status_range,
        help="the HTTP status codes that count as ready (200-399)",
    )


def add_insecure_flag(options: Container) -> None:
    """Add the flag that accepts any certificate."""
    options.add_argument(
        "--insecure",
        action="store_true",
        help="accept any certificate from https://, rediss://, amqps:// and tls://",
    )


def check_flags(
    arguments: argparse.Namespace, targets: Iterable[ServiceTarget]
) -> None:
    """Raise `CommandError` unless the flags of *arguments* fit one of the *targets*."""
    schemes = {one.scheme for one in targets if isinstance(one, ServiceURL)}
    if arguments.status is not None and schemes.isdisjoint(HTTP_SCHEMES):
        raise CommandError("--status needs an http:// or https:// target")
    has_tls = not schemes.isdisjoint(TLS_SCHEMES) or vars(arguments).get("tls")
    if arguments.insecure and not has_tls:
        tls = ", ".join(f"{scheme}://" for scheme in TLS_SCHEMES)
        flag = ", or --tls" if "tls" in arguments else ""
        raise CommandError(f"--insecure needs a target with TLS ({tls}){flag}")


def connector_for(
    connector: Connector, target: ServiceTarget, arguments: argparse.Namespace
) -> Connector:
    """Return *connector* with the check of *target*, as *arguments* say."""
    if not isinstance(target, ServiceURL):
        return connector
    from .._services import with_check  # noqa: PLC0415  # a plain target needs no check

    given = vars(arguments)
    return with_check(
        connector, target, status=given["status"], insecure=given["insecure"]
    )
