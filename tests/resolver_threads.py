"""The threads of look-ups, which tests wait for."""

from __future__ import annotations

import threading

from aioconnect._io.getaddrinfo_pool import THREAD_NAMES

__all__ = ["PATIENCE", "join_resolver_threads", "resolver_threads"]

PATIENCE = 60.0


def resolver_threads() -> list[threading.Thread]:
    """Return the threads of look-ups that are there now."""
    return [t for t in threading.enumerate() if t.name.startswith(THREAD_NAMES)]


def join_resolver_threads() -> None:
    """Wait for the end of these threads, which must come by itself."""
    for thread in resolver_threads():
        thread.join(PATIENCE)
    assert not resolver_threads()
