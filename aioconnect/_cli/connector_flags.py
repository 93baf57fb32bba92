"""The flags that are options of a `Connector`."""

from __future__ import annotations

import argparse
import contextlib
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from .._calls.backoff import Backoff
from .._connector import Connector
from .._io.resolver import Resolver, system_resolver
from .._io.targets import Target, parse_target
from .._sansio.checks import check_duration
from .commands import Container
from .errors import CommandError

__all__ = [
    "add_connector",
    "add_delays",
    "add_resolver",
    "connector_of",
    "count",
    "duration",
    "patience",
]

# A flag that is not given leaves no attribute: the library's own default holds.
_UNSAID = argparse.SUPPRESS

# These are options as they are.
_PLAIN = (
    "timeout",
    "attempt_timeout",
    "retry",
    "happy_eyeballs_delay",
    "resolution_delay",
    "interleave",
    "local_addr",
)

_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


def duration(text: str) -> float:
    """Return the seconds that *text* says: a ``type`` for argparse."""
    return _number(text, "seconds")


def patience(text: str) -> float:
    """Return the seconds that *text* gives a call: a ``type`` for argparse."""
    seconds = duration(text)
    if not seconds:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def _number(text: str, what: str) -> float:
    try:
        if "_" in text or not text.isascii():
            raise ValueError  # these are numbers to Python alone
        number = float(text)
        check_duration("it", number)
    except ValueError:
        said = f"{text!r} is not a number of {what}, such as 0.5 or 30"
        raise argparse.ArgumentTypeError(said) from None
    return number


def count(text: str, least: int = 1) -> int:
    """Return the whole number that *text* says: a ``type`` for argparse."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if not is_number or int(text) < least:
        said = f"{text!r} is not a whole number from {least} on"
        raise argparse.ArgumentTypeError(said)
    return int(text)


def _duration_or_none(text: str) -> float | None:
    return None if text == "none" else duration(text)


def _interval(text: str) -> Backoff:
    seconds = duration(text)
    return _restful(Backoff(seconds, 1.0, seconds, 0.0), text)


def _restful(delays: Backoff, text: str) -> Backoff:
    if not min(delays.initial, delays.maximum):
        said = f"{text!r} is no rest between two tries: more than 0 is"
        raise argparse.ArgumentTypeError(said)
    return delays


def _backoff(text: str) -> Backoff:
    numbers = [_number(one, "seconds, or a factor") for one in text.split(",")]
    if not 2 <= len(numbers) <= 4:
        said = f"{text!r} is not INITIAL,MAXIMUM[,FACTOR[,JITTER]], such as 0.1,5"
        raise argparse.ArgumentTypeError(said)
    initial, maximum, *rest = numbers
    factor, jitter = (*rest, *(2.0, 1.0)[len(rest) :])
    try:
        return _restful(Backoff(initial, factor, maximum, jitter), text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r}: {exc}") from None


def _local_addr(text: str) -> tuple[str, int]:
    # Without a port it is any; without brackets an IPv6 address has none.
    for said in (text, f"{text}:0", f"[{text}]:0"):
        with contextlib.suppress(ValueError):
            target = parse_target(said)
            if target.host is not None and target.port is not None:
                return target.host, target.port
    said = f"{text!r} is not HOST, HOST:PORT or [IPv6]:PORT"
    raise argparse.ArgumentTypeError(said)


def add_delays(options: Container) -> None:
    """Add the flags that say how long to wait between two rounds."""
    either = options.add_mutually_exclusive_group()
    either.add_argument(
        "--interval",
        dest="retry",
        metavar="S",
        type=_interval,
        default=_UNSAID,
        help="wait S seconds between two tries",
    )
    either.add_argument(
        "--backoff",
        dest="retry",
        metavar="DELAYS",
        type=_backoff,
        default=_UNSAID,
        help="or INITIAL,MAXIMUM seconds, which grow by a FACTOR (2), with a JITTER"
        " (1), the random share, from 0 to 1: such as 0.1,5 or 0.1,5,1.5,0.2",
    )


def add_connector(options: Container) -> None:
    """Add all flags that `connector_of` reads."""

    def add(flag: str, metavar: str, take: Callable[[str], Any], said: str) -> None:
        options.add_argument(
            flag, metavar=metavar, type=take, default=_UNSAID, help=said
        )

    add("--timeout", "S", patience, "seconds for the whole call")
    add("--attempt-timeout", "S", patience, "seconds for an attempt at an address")
    add_delays(options)
    add("--attempts", "N", count, "try N times, with the delays between")
    delay = "seconds until the next address joins the race (0.25); 'none': one by one"
    add("--happy-eyeballs-delay", "S", _duration_or_none, delay)
    add("--resolution-delay", "S", duration, "seconds that IPv4 waits for IPv6 (0.05)")
    interleave = "First Address Family Count (1); 0 keeps the order"
    add("--interleave", "N", partial(count, least=0), interleave)
    options.add_argument(
        "--family", choices=_FAMILIES, default=_UNSAID, help="IPv4 or IPv6 only"
    )
    add("--local-addr", "ADDR", _local_addr, "HOST[:PORT] to connect from")
    options.add_argument(
        "--only-public", action="store_true", help="refuse private addresses"
    )
    add_resolver(options)


def add_resolver(options: Container) -> None:
    """Add the flag that says who looks up names."""
    options.add_argument(
        "--resolver",
        choices=("system", "aiodns"),
        default=_UNSAID,
        help="who looks up names (system; aiodns if there is a srv: target)",
    )


def connector_of(
    arguments: argparse.Namespace, targets: Iterable[Target] = ()
) -> Connector:
    """Return the connector that *arguments* say, of whichever flags there were.

    Raises:
        CommandError: It cannot be.
    """
    said = vars(arguments)
    options = {name: said[name] for name in _PLAIN if name in said}
    if "attempts" in said:
        options["retry"] = _limited(options.get("retry", Backoff()), said["attempts"])
    if "family" in said:
        options["family"] = _FAMILIES[said["family"]]
    if said.get("only_public"):
        from .._sansio.ip_filter import only_public  # noqa: PLC0415  # `wait` has no such flag

        options["allow"] = only_public
    needs_services = any(target.service is not None for target in targets)
    default = "aiodns" if needs_services else "system"
    name = said.get("resolver", default)
    if needs_services and name == "system":
        raise CommandError("a srv: target needs --resolver aiodns")
    options["resolver"] = _resolver(name)
    try:
        return Connector(**options)
    except ValueError as exc:
        raise CommandError(exc) from None


def _limited(delays: Backoff, attempts: int) -> Backoff:
    return replace(delays, attempts=attempts - 1)


def _resolver(name: str) -> Resolver:
    if name == "system":
        return system_resolver
    try:
        from ..contrib.aiodns import AiodnsResolver  # noqa: PLC0415  # it is an extra
    except ModuleNotFoundError as exc:
        raise CommandError(exc) from None
    return AiodnsResolver()
