"""Resolvers and look-ups of several targets, which tests share."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from aioconnect import (
    Address,
    AttemptStarted,
    SRVRecord,
)
from aioconnect.testing import (
    Recorder,
    StaticResolver,
)

V6, V4 = socket.AF_INET6, socket.AF_INET


def tried(recorder: Recorder) -> list[Address]:
    return [event.address for event in recorder.of(AttemptStarted)]


class Services(StaticResolver):
    """A resolver that knows services, too."""

    def __init__(
        self, records: Sequence[SRVRecord] | Exception, names: dict[str, list[str]]
    ) -> None:
        super().__init__(names)
        self.records = records
        self.asked: list[str] = []

    async def services(self, service: str) -> Sequence[SRVRecord]:
        self.asked.append(service)
        if isinstance(self.records, Exception):
            raise self.records
        return self.records


NAMES = {"a.test": ["127.0.0.1"], "b.test": ["127.0.0.2"]}
