"""Report each call to OpenTelemetry: a span with its attempts, and metrics.

This module uses only OpenTelemetry's API.  The application configures the SDK.  The
extra ``opentelemetry`` is needed: in a checkout, ``pip install '.[opentelemetry]'``.
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
    failure_attributes,
    network_attributes,
    peer_attributes,
    span_event,
)

__all__ = ["OpenTelemetryObserver"]

_logger = logging.getLogger(__name__)

_SCOPE = "aioconnect"

# The bucket boundaries, in seconds, of the semantic conventions for the operations of a
# database client.  They range from connects on this machine to long waits.
_DURATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

# The longest status text, in characters.  It is limited because an error names every
# address.
_MAX_STATUS_LENGTH = 4000


class _Instruments(NamedTuple):
    """The instruments that the providers made, which take no part in comparisons."""

    tracer: trace.Tracer
    durations: metrics.Histogram
    attempts: metrics.Counter
    failures: metrics.Counter


@dataclass(frozen=True, slots=True)
class OpenTelemetryObserver(CallObserver):
    """An observer for any number of calls: ``observer=OpenTelemetryObserver()``.

    *tracer_provider* and *meter_provider* are OpenTelemetry's providers.  None, the
    default, stands for the global one, even if that is set later.  An exception of a
    provider is logged and never ends a call.

    Each call is a span of kind CLIENT.  It is the current span while the call lasts,
    so spans of *ready* and of a resolver are its children.  The span has an event for
    each look-up, attempt, handshake and retry.  Its status is ERROR if the call fails.
    A cancelled call has no status, because nothing has failed; its ``error.type`` is
    ``asyncio.exceptions.CancelledError``.

    There are three metrics.  ``aioconnect.connect.duration`` is a histogram of the
    seconds that calls take, connected or not.  ``aioconnect.attempts`` counts the
    attempts that begin.  ``aioconnect.failures`` counts the attempts and look-ups that
    fail.  Their attributes distinguish kinds of addresses and of errors, but not
    servers.  ``error.type`` is the name of the errno or the ``EAI_`` code.  Without a
    code, it is the name of the class.

    An observer is a value, and picklable if its providers are.

    Raises:
        TypeError: A provider is not one; the text names it.
    """

    tracer_provider: trace.TracerProvider | None = None
    meter_provider: metrics.MeterProvider | None = None
    _instruments: _Instruments = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_provider("tracer_provider", self.tracer_provider, trace.TracerProvider)
        _check_provider("meter_provider", self.meter_provider, metrics.MeterProvider)
        tracer = trace.get_tracer(_SCOPE, __version__, self.tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, self.meter_provider)
        instruments = _Instruments(
            tracer,
            meter.create_histogram(
                "aioconnect.connect.duration",
                unit="s",
                description="Duration of calls that were connected, or failed.",
                explicit_bucket_boundaries_advisory=_DURATION_BUCKETS,
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
        # The instruments belong to this process.
        return type(self), (self.tracer_provider, self.meter_provider)

    def call(
        self, host: str | None, port: int | None
    ) -> AbstractContextManager[Observer]:
        """Return a context manager for one call, which has a span while it is open."""
        return _CallSpan(self._instruments, host, port)


def _check_provider(name: str, provider: object, kind: type) -> None:
    if provider is not None and not isinstance(provider, kind):
        text = f"{name} must be a {kind.__name__}, not {safe_repr(provider)}"
        raise TypeError(text)


class _CallSpan:
    """One call to *host* and *port*: its span and its measurements."""

    __slots__ = (
        "_final_error",
        "_host",
        "_instruments",
        "_outer_context",
        "_peer",
        "_port",
        "_span",
        "_span_context",
        "_started",
    )

    def __init__(
        self, instruments: _Instruments, host: str | None, port: int | None
    ) -> None:
        self._instruments = instruments
        self._host = host
        self._port = port
        self._span: trace.Span = trace.INVALID_SPAN
        self._outer_context = self._span_context = context.Context()
        self._started = 0.0
        self._peer: Address | None = None
        self._final_error: Exception | None = None

    def __enter__(self) -> Observer:
        self._started = time.monotonic()
        with _logging_errors():
            self._start_span()
        return self._observe

    def _start_span(self) -> None:
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
        self._outer_context = context.get_current()
        self._span_context = trace.set_span_in_context(self._span)
        context.attach(self._span_context)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        elapsed = time.monotonic() - self._started
        # With ``all_errors`` the exception is a group of the attempts' errors.  The
        # error of the last event tells more.
        error = self._final_error or exc_value
        ended: Attributes = {} if self._peer is None else network_attributes(self._peer)
        if error is not None:
            ended["error.type"] = error_type(error)
        if ended:  # otherwise the call waited successfully until a server was down
            with _logging_errors():
                self._instruments.durations.record(elapsed, ended)
        with _logging_errors():
            self._end_span(ended, error)
        # This does not detach a token.  A coroutine that is garbage collected is closed
        # in an arbitrary context, which must not be changed.
        if context.get_current() is self._span_context:
            context.attach(self._outer_context)

    def _end_span(self, ended: Attributes, error: BaseException | None) -> None:
        span = self._span
        span.set_attributes(ended)
        if self._peer is not None:
            span.set_attributes(peer_attributes(self._peer))
        if isinstance(error, asyncio.CancelledError):
            span.add_event("cancelled")
        elif isinstance(error, Exception):
            text = error_text(error, _MAX_STATUS_LENGTH)
            span.set_status(trace.Status(trace.StatusCode.ERROR, text))
        span.end()

    def _observe(self, event: Event) -> None:
        """Record an event of this call."""
        with _logging_errors():
            match event:
                case AttemptStarted():
                    self._instruments.attempts.add(1, network_attributes(event.address))
                case AttemptFailed():
                    self._peer = None  # a wait may have found a peer up before
                    self._instruments.failures.add(1, failure_attributes(event.attempt))
                case Connected():
                    self._peer = event.address
                case GaveUp():
                    self._final_error = event.error
                case _:
                    pass
        with _logging_errors():
            if self._span.is_recording() and (described := span_event(event)):
                self._span.add_event(*described)


@contextmanager
def _logging_errors() -> Generator[None]:
    """Log what a provider raises.

    OpenTelemetry demands that its API "must not throw unhandled exceptions".
    """
    try:
        yield
    except Exception:  # a processor or a view may raise anything; the connect goes on
        _logger.exception(
            "OpenTelemetry failed: a part of this connect is not recorded"
        )
