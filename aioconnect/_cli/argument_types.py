"""Convert the text of an argument to a value: each function is a ``type`` of argparse.

Each raises an error that says what is wrong: `argparse.ArgumentTypeError`, or a
`CommandError` if the text is not a target.
"""

from __future__ import annotations

import argparse
import contextlib
import re

from .._calls.backoff import Backoff
from .._io.service_targets import ServiceTarget, parse_service
from .._io.targets import parse_target
from .._sansio.checks import check_duration
from .._sansio.text import safe_repr
from .errors import CommandError
from .target_words import is_port

__all__ = [
    "backoff",
    "duration",
    "duration_or_none",
    "interval",
    "local_addr",
    "positive_duration",
    "status_range",
    "target",
    "whole_number",
]


def target(text: str) -> ServiceTarget:
    """Return the target or the URL of a service that *text* names.

    Raises:
        CommandError: *text* is not a target; the error says what is wrong, and where.
    """
    # Some programs read these as a port of this machine.
    if text.startswith(":") or is_port(text):
        local = safe_repr(f"localhost:{text.removeprefix(':')}")
        raise CommandError(
            f"target {safe_repr(text)} has a port and no host: write {local} for this"
            " machine"
        )
    try:
        parsed = parse_service(text)
    except ValueError as exc:
        raise CommandError(exc) from None
    if parsed.port == 0:
        # The kernel would refuse each connect, and a wait would never end.
        raise CommandError(f"target {safe_repr(text)}: nobody can listen on port 0")
    return parsed


# A duration with units, as Go and systemd write it: 1m30s, 1.5h, 500ms.
_WITH_UNITS = re.compile(
    r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?(?:([\d.]+)ms)?", re.ASCII
)
_SECONDS = (3600.0, 60.0, 1.0, 0.001)


def duration(text: str) -> float:
    """Return the seconds in *text*, 0 or more: ``0.5``, ``30``, ``500ms``, ``1m30s``.

    Units come from long to short, each at most once: h, m, s, ms.
    """
    try:
        matched = _WITH_UNITS.fullmatch(text)
        if not text or matched is None:
            return _number(text)
        pairs = zip(matched.groups("0"), _SECONDS, strict=True)
        seconds = sum(float(number) * unit for number, unit in pairs)
        check_duration("it", seconds)
    except ValueError:
        problem = f"{text!r} is not a duration, such as 30, 0.5, 500ms or 1m30s"
        raise argparse.ArgumentTypeError(problem) from None
    return seconds


def positive_duration(text: str) -> float:
    """Return the seconds in *text*, more than 0."""
    seconds = duration(text)
    if not seconds:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def duration_or_none(text: str) -> float | None:
    """Return the seconds in *text*, or None for "none"."""
    return None if text == "none" else duration(text)


def _number(text: str) -> float:
    """Return the number in *text*, 0 or more.

    Raises:
        ValueError: *text* is not such a number.
    """
    if "_" in text or not text.isascii():
        raise ValueError  # only Python takes this for a number
    number = float(text)
    check_duration("it", number)
    return number


def _factor(text: str) -> float:
    try:
        return _number(text)
    except ValueError:
        problem = f"{text!r} is not a number, such as 0.5 or 2"
        raise argparse.ArgumentTypeError(problem) from None


def whole_number(text: str, least: int = 1) -> int:
    """Return the whole number in *text*, *least* or more."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    if not is_number or int(text) < least:
        problem = f"{text!r} is not a whole number of {least} or more"
        raise argparse.ArgumentTypeError(problem)
    return int(text)


def interval(text: str) -> Backoff:
    """Return delays that are all as long as *text* says."""
    seconds = duration(text)
    return _check_pauses(Backoff(seconds, 1.0, seconds, 0.0), text)


def backoff(text: str) -> Backoff:
    """Return the delays for INITIAL,MAXIMUM[,FACTOR[,JITTER]]."""
    words = text.split(",")
    if not 2 <= len(words) <= 4:
        problem = f"{text!r} is not INITIAL,MAXIMUM[,FACTOR[,JITTER]], such as 0.1,5"
        raise argparse.ArgumentTypeError(problem)
    initial, maximum = map(duration, words[:2])
    rest = [*map(_factor, words[2:])]
    factor, jitter = (*rest, *(2.0, 1.0)[len(rest) :])
    try:
        return _check_pauses(Backoff(initial, factor, maximum, jitter), text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r}: {exc}") from None


def _check_pauses(delays: Backoff, text: str) -> Backoff:
    """Return *delays*, unless they leave no pause between two attempts."""
    if not min(delays.initial, delays.maximum):
        problem = f"{text!r} leaves no pause between two attempts: use more than 0"
        raise argparse.ArgumentTypeError(problem)
    return delays


def status_range(text: str) -> range:
    """Return the HTTP status codes of FIRST-LAST, or of one code."""
    first, dash, last = text.partition("-")
    codes = [first, last] if dash else [first, first]
    if all(len(one) == 3 and one.isascii() and one.isdecimal() for one in codes):
        status = range(int(codes[0]), int(codes[1]) + 1)
        if status and status[0] >= 100 and status[-1] <= 599:
            return status
    problem = f"{text!r} is not a range from 100 to 599, such as 200-299 or 204"
    raise argparse.ArgumentTypeError(problem)


def local_addr(text: str) -> tuple[str, int]:
    """Return the host and port of HOST, HOST:PORT or [IPv6]:PORT.

    Without a port, any port will do.  An IPv6 address without brackets has no port.
    """
    for candidate in (text, f"{text}:0", f"[{text}]:0"):
        with contextlib.suppress(ValueError):
            parsed = parse_target(candidate)
            if parsed.host is not None and parsed.port is not None:
                return parsed.host, parsed.port
    problem = f"{text!r} is not HOST, HOST:PORT or [IPv6]:PORT"
    raise argparse.ArgumentTypeError(problem)
