"""The flags that set options of a `Connector`."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from .._calls.backoff import Backoff
from .._connector import Connector
from .._io.resolver import Resolver, system_resolver
from .._io.service_targets import ServiceTarget
from .argument_types import (
    backoff,
    duration_or_none,
    interval,
    local_addr,
    positive_duration,
    whole_number,
)
from .errors import CommandError
from .parser import Container

__all__ = [
    "add_connector_flags",
    "add_resolver_flag",
    "add_retry_flags",
    "connector_from",
]

# A flag that is absent sets no attribute, so the library's own default applies.
_NOT_SET = argparse.SUPPRESS

# These attributes are passed to the `Connector` unchanged.
_UNCHANGED = (
    "timeout",
    "attempt_timeout",
    "retry",
    "happy_eyeballs_delay",
    "resolution_delay",
    "interleave",
    "local_addr",
)

_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


def add_connector_flags(options: Container) -> None:
    """Add all flags that `connector_from` reads."""

    def add(flag: str, metavar: str, take: Callable[[str], Any], text: str) -> None:
        # Programs that wait for servers have -t, so users try it here.
        flags = ["-t", flag] if flag == "--timeout" else [flag]
        options.add_argument(
            *flags, metavar=metavar, type=take, default=_NOT_SET, help=text
        )

    timeout = "limit each connect to TIME, with its look-ups and retries"
    add("--timeout", "TIME", positive_duration, timeout)
    attempt_timeout = "limit each attempt at an address to TIME"
    add("--attempt-timeout", "TIME", positive_duration, attempt_timeout)
    add_retry_flags(options)
    add("--attempts", "N", whole_number, "try up to N times, with pauses between")
    delay = "try the next address, too, after TIME (0.25); 'none': one at a time"
    add("--happy-eyeballs-delay", "TIME", duration_or_none, delay)
    delay = "look up IPv6 and IPv4 separately after TIME (0.05); 'none': never"
    add("--resolution-delay", "TIME", duration_or_none, delay)
    interleave = (
        "try N addresses of the first family before one of the other (1); 0 keeps the"
        " order of the look-up"
    )
    add("--interleave", "N", partial(whole_number, least=0), interleave)
    options.add_argument(
        "--family", choices=_FAMILIES, default=_NOT_SET, help="IPv4 or IPv6 only"
    )
    add("--local-addr", "ADDR", local_addr, "connect from HOST[:PORT]")
    options.add_argument(
        "--only-public", action="store_true", help="refuse private addresses"
    )
    add_resolver_flag(options)


def add_retry_flags(options: Container) -> None:
    """Add the flags that set the delays between two rounds."""
    either = options.add_mutually_exclusive_group()
    either.add_argument(
        "--interval",
        dest="retry",
        metavar="TIME",
        type=interval,
        default=_NOT_SET,
        help="pause for TIME between two tries",
    )
    either.add_argument(
        "--backoff",
        dest="retry",
        metavar="DELAYS",
        type=backoff,
        default=_NOT_SET,
        help="or make growing pauses, such as 0.1,5 or 0.1,5,1.5,0.2: the first TIME,"
        " the longest TIME, the growth factor (2), and the random share of each pause"
        " from 0 to 1 (1)",
    )


def add_resolver_flag(options: Container) -> None:
    """Add the flag that chooses the resolver."""
    options.add_argument(
        "--resolver",
        choices=("system", "aiodns"),
        default=_NOT_SET,
        help="how to look up names (system; aiodns if there is a srv: target)",
    )


def connector_from(
    arguments: argparse.Namespace, targets: Iterable[ServiceTarget] = ()
) -> Connector:
    """Return the connector that *arguments* describe, whichever flags a command has.

    The *targets* decide the default resolver: services need aiodns.

    Raises:
        CommandError: The arguments contradict each other, or an extra is missing.
    """
    given = vars(arguments)
    options = {name: given[name] for name in _UNCHANGED if name in given}
    if "attempts" in given:
        delays: Backoff = options.get("retry", Backoff())
        options["retry"] = replace(delays, attempts=given["attempts"] - 1)
    if "family" in given:
        options["family"] = _FAMILIES[given["family"]]
    if given.get("only_public"):
        from .._sansio.ip_filter import only_public  # noqa: PLC0415  # `wait` has no such flag

        options["allow"] = only_public
    options["resolver"] = _resolver(given.get("resolver"), targets)
    try:
        return Connector(**options)
    except ValueError as exc:
        raise CommandError(exc) from None


def _resolver(name: str | None, targets: Iterable[ServiceTarget]) -> Resolver:
    needs_services = any(getattr(target, "service", None) for target in targets)
    name = name or ("aiodns" if needs_services else "system")
    if needs_services and name == "system":
        raise CommandError("a srv: target needs --resolver aiodns")
    if name == "system":
        return system_resolver
    try:
        from ..contrib.aiodns import AiodnsResolver  # noqa: PLC0415  # it is an extra
    except ModuleNotFoundError as exc:
        raise CommandError(exc) from None
    return AiodnsResolver()
