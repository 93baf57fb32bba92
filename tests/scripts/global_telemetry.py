"""Observe with OpenTelemetry's global providers, which are set after the first call."""

from __future__ import annotations

import asyncio
import pickle

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aioconnect import Connector
from aioconnect.contrib.opentelemetry import OpenTelemetryObserver
from aioconnect.testing import listening


async def main() -> None:
    """Connect before and after."""
    spans = InMemorySpanExporter()
    reader = InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    observer = OpenTelemetryObserver()
    connector = Connector(observer=observer)
    with listening() as server:
        (await connector.connect(server.host, server.port)).close()
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(MeterProvider([reader]))
        for _ in range(2):
            (await connector.connect(server.host, server.port)).close()
    assert pickle.loads(pickle.dumps(OpenTelemetryObserver())) == observer
    assert len(spans.get_finished_spans()) == 2
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    assert {metric.name for metric in scope.metrics} == {
        "aioconnect.attempts",
        "aioconnect.connect.duration",
    }


if __name__ == "__main__":
    asyncio.run(main())
