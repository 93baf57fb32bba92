"""Tell OpenTelemetry of each call: a span with its attempts, and metrics of all.

Of OpenTelemetry only the API is used; what becomes of it is for the application's SDK
to say.  The extra is ``opentelemetry``: in a checkout, ``pip install
'.[opentelemetry]'``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

from .. import __version__
from .._calls.observing import CallObserver, Observer
from .._sansio.addresses import Address
from .._sansio.endpoints import Endpoint
from .._sansio.events import (
    AttemptFailed,
    AttemptStarted,
    Connected,
    Event,
    GaveUp,
)
from .._sansio.text import error_text, printable, safe_repr

try:
    from opentelemetry import context, metrics, trace
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "aioconnect.contrib.opentelemetry needs opentelemetry-api:"
        " in a checkout, pip install '.[opentelemetry]'",
        name=exc.name,
    ) from exc

from ._opentelemetry_attributes import (
    Attributes,
    error_type,
    failure,
    network,
    peer,
    said,
)

__all__ = ["OpenTelemetryObserver"]

_logger = logging.getLogger(__name__)

_SCOPE = "aioconnect"

# Those of the semantic conventions for a database client's operations: from what stays
# on this machine to what had to be waited for.
_BOUNDARIES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


# Of the text of a status, in characters: an error names every address.
_LONGEST_STATUS = 4000


class _Instruments(NamedTuple):
    """What a provider has made for us: it is no part of a value that is compared."""

    tracer: trace.Tracer
    durations: metrics.Histogram
    attempts: metrics.Counter
    failures: metrics.Counter


@dataclass(frozen=True, slots=True)
class OpenTelemetryObserver(CallObserver):
    """An observer, ``observer=OpenTelemetryObserver()``, for any number of calls.

    Each call is a span of kind CLIENT, and the current one while the call lasts: what
    *ready* and a resolver do are its children.  It has an event for each look-up,
    attempt, handshake and retry, and its status is ERROR if the call fails.  One that
    is cancelled has ``asyncio.exceptions.CancelledError`` as its ``error.type``, and
    no status: nothing has failed.

    The metrics are ``aioconnect.connect.duration``, a histogram of the seconds that
    calls take which connect or do not, and the counters ``aioconnect.attempts`` and
    ``aioconnect.failures``, of attempts that begin, and of attempts and look-ups that
    fail.  They tell kinds of addresses and errors apart, and not servers.
    ``error.type`` is the name of the errno or of the ``EAI_`` code, or, where there is
    none, of the class.

    *tracer_provider* and *meter_provider*, where they are None, are the global ones,
    also if those are set later.  What a provider raises is logged: no call ends by it.
    It is a value, which pickles if they do.

    Raises:
        TypeError: A provider is none; the text names it.
    """

    tracer_provider: trace.TracerProvider | None = None
    meter_provider: metrics.MeterProvider | None = None
    _instruments: _Instruments = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check("tracer_provider", self.tracer_provider, trace.TracerProvider)
        _check("meter_provider", self.meter_provider, metrics.MeterProvider)
        tracer = trace.get_tracer(_SCOPE, __version__, self.tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, self.meter_provider)
        instruments = _Instruments(
            tracer,
            meter.create_histogram(
                "aioconnect.connect.duration",
                unit="s",
                description="Duration of calls that were connected, or failed.",
                explicit_bucket_boundaries_advisory=_BOUNDARIES,
            ),
            meter.create_counter(
                "aioconnect.attempts",
                unit="{attempt}",
                description="Attempts at one address that have begun.",
            ),
            meter.create_counter(
                "aioconnect.failures",
                unit="{failure}",
                description="Attempts and look-ups that have failed.",
            ),
        )
        object.__setattr__(self, "_instruments", instruments)

    def __reduce__(self) -> tuple[object, ...]:
        # The instruments are this process's.
        return type(self), (self.tracer_provider, self.meter_provider)

    def call(
        self, host: str | None, port: int | None
    ) -> AbstractContextManager[Observer]:
        """Return what has a span for as long as it is entered."""
        return _Call(self._instruments, host, port)


def _check(name: str, provider: object, kind: type) -> None:
    if provider is not None and not isinstance(provider, kind):
        text = f"{name} must be a {kind.__name__}, not {safe_repr(provider)}"
        raise TypeError(text)


class _Call:
    """One call, to *host* and *port*: its span, and what there is to measure."""

    __slots__ = (
        "_gave_up",
        "_host",
        "_inside",
        "_instruments",
        "_outside",
        "_peer",
        "_port",
        "_span",
        "_started",
    )

    def __init__(
        self, instruments: _Instruments, host: str | None, port: int | None
    ) -> None:
        self._instruments = instruments
        self._host = host
        self._port = port
        self._span: trace.Span = trace.INVALID_SPAN
        self._outside = self._inside = context.Context()
        self._started = 0.0
        self._peer: Address | None = None
        self._gave_up: Exception | None = None

    def __enter__(self) -> Observer:
        self._started = time.monotonic()
        with _harmless():
            self._begin()
        return self._tell

    def _begin(self) -> None:
        name = "connect"
        attributes: Attributes = {}
        if self._host is not None:
            name = f"connect {Endpoint(self._host, self._port)}"
            host = self._host.removeprefix("unix:")
            attributes["server.address"] = printable(host)
        if self._port is not None:
            attributes["server.port"] = self._port
        self._span = self._instruments.tracer.start_span(
            name, kind=trace.SpanKind.CLIENT, attributes=attributes
        )
        self._outside = context.get_current()
        self._inside = trace.set_span_in_context(self._span)
        context.attach(self._inside)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        elapsed = time.monotonic() - self._started
        # In a group of the attempts' errors there is less than in what was told.
        error = self._gave_up or exc_value
        ended: Attributes = {} if self._peer is None else network(self._peer)
        if error is not None:
            ended["error.type"] = error_type(error)
        if ended:  # else it was a wait, until something was down
            with _harmless():
                self._instruments.durations.record(elapsed, ended)
        with _harmless():
            self._end(ended, error)
        # Not by a token: a coroutine that is collected is closed in whichever context
        # that happens, and that one is not ours to change.
        if context.get_current() is self._inside:
            context.attach(self._outside)

    def _end(self, ended: Attributes, error: BaseException | None) -> None:
        span = self._span
        span.set_attributes(ended)
        if self._peer is not None:
            span.set_attributes(peer(self._peer))
        if isinstance(error, asyncio.CancelledError):
            span.add_event("cancelled")
        elif isinstance(error, Exception):
            text = error_text(error, _LONGEST_STATUS)
            span.set_status(trace.Status(trace.StatusCode.ERROR, text))
        span.end()

    def _tell(self, event: Event) -> None:
        """Take an event of this call."""
        with _harmless():
            match event:
                case AttemptStarted():
                    self._instruments.attempts.add(1, network(event.address))
                case AttemptFailed():
                    self._peer = None  # whom a wait had found up before
                    self._instruments.failures.add(1, failure(event.attempt))
                case Connected():
                    self._peer = event.address
                case GaveUp():
                    self._gave_up = event.error
                case _:
                    pass
        with _harmless():
            if self._span.is_recording() and (told := said(event)) is not None:
                self._span.add_event(*told)


@contextmanager
def _harmless() -> Generator[None]:
    """Log what a provider raises: "must not throw unhandled exceptions", it is told."""
    try:
        yield
    except Exception:  # whatever a processor or a view raises, the connect goes on
        _logger.exception("OpenTelemetry failed, and was told less of a connect")
