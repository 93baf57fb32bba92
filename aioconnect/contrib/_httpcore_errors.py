"""What a stream of httpcore's raises, and when: errors and timeouts."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream

from .._sansio.text import printable
from ._anyio_streams import underlying_error

__all__ = ["lower_timeout", "translating_errors"]


def lower_timeout(one: float | None, other: float | None) -> float | None:
    """Return the lower of two timeouts; None and infinity are no limit.

    A client may pass any number, so a negative one counts as 0.
    """
    times = [max(seconds, 0.0) for seconds in (one, other) if seconds is not None]
    lower = min(times, default=math.inf)
    return None if lower == math.inf else lower


@contextmanager
def translating_errors(
    late: type[Exception],
    failed: type[Exception],
    what: str = "",
    limit: float | None = None,
) -> Generator[None]:
    """Raise *late* for a timeout, and *failed* for any other error of a stream.

    A timeout of `fail_after` has no text.  It says *what* happened within *limit* s.
    """
    try:
        yield
    except TimeoutError as exc:
        raise late(printable(str(exc)) or f"{what} within {limit} s") from exc
    except OSError as exc:
        raise failed(printable(str(exc))) from exc
    except (BrokenResourceError, EndOfStream) as exc:
        raise failed(printable(str(underlying_error(exc)))) from exc
    except ClosedResourceError as exc:
        raise failed("the stream is closed") from exc
