"""Turn a service into hosts and ports: its SRV records, in the order of RFC 2782.

The records are the resolver's to look up, if it can: with ``services(service)``.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Any

from ._backoff import uniform
from ._errors import AttemptError, os_error
from ._names import LookUp, begun
from ._options import Options
from ._shown import shown
from ._target import Place, SRVRecord, Target, in_turn

__all__ = ["ask_for", "check_services", "places_in"]


def check_services(options: Options, targets: Iterable[Target]) -> None:
    """Raise if there is a service among *targets* that nobody can be asked for."""
    for target in targets:
        if target.service is not None and _look_up(options) is None:
            raise ValueError(
                f"target {target} needs a resolver that looks up SRV records, such as"
                " resolver=aioconnect.contrib.aiodns.AiodnsResolver()"
            )


def _look_up(options: Options) -> Any:
    return getattr(options.resolver, "services", None)


def ask_for(loop: asyncio.AbstractEventLoop, options: Options, service: str) -> LookUp:
    """Begin to look up the records of *service*."""
    return begun(loop, _look_up(options)(service))


def places_in(options: Options, lookup: LookUp) -> tuple[Place, ...]:
    """Return what *lookup*, which is done, gave: where to connect, in order.

    Raises:
        AttemptError: It gave nothing.
        TypeError: It gave something else.
        Exception: What the resolver raised that is no `OSError`.
    """
    if lookup.cancelled():
        gave_up = os_error(errno.ECANCELED, "the resolver gave up")
        raise AttemptError("resolve", gave_up, sent=False)
    cause = lookup.exception()
    if isinstance(cause, OSError):
        raise AttemptError("resolve", cause, sent=False)
    records = lookup.result()
    for record in records:
        if not isinstance(record, SRVRecord):
            raise TypeError(f"services() must give SRVRecords, not {shown(record)}")
    found = in_turn(records, uniform)
    if not found:
        error = socket.gaierror(socket.EAI_NONAME, "the service is nowhere available")
        raise AttemptError("resolve", error, sent=False)
    return tuple(options.where(one.host.rstrip("."), one.port) for one in found)
