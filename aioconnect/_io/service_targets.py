"""Read where to connect and what to ask there: a target, or the URL of a service."""

from __future__ import annotations

from typing import TypeAlias

from .._sansio.service_url import ServiceURL, has_service_scheme, parse_service_url
from .resolver import check_port
from .targets import Target, parse_target

__all__ = ["ServiceTarget", "parse_service"]

ServiceTarget: TypeAlias = Target | ServiceURL


def parse_service(text: str) -> ServiceTarget:
    """Return what *text* names: a target, or the URL of a service.

    Raises:
        ValueError: It is neither; the message says what is wrong, and where.
        TypeError: *text* is not a str.
    """
    # `parse_target` says what is wrong with something else than a str.
    given: object = text
    if isinstance(given, str) and has_service_scheme(given):
        return parse_service_url(given, check_port)
    return parse_target(text)
