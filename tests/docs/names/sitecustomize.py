"""Resolve the names of a stage, in each Python that a test of the pages starts.

Python imports this at its start.  The variable DOCS_STAGE has the path of a file with
the names, each with its addresses.  A file tells the stage when a name is asked for.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

_getaddrinfo = socket.getaddrinfo


def _addresses(host: str) -> list[str] | None:
    """Return the addresses of *host*, or None if it is for the system to resolve."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        stage = json.loads(Path(os.environ["DOCS_STAGE"]).read_text())
        name = host.rstrip(".").lower()
        found: list[str] = stage["names"].get(name, [])
        if found:
            Path(stage["asked"], name).touch()
        return found
    return None


def getaddrinfo(
    host: Any,
    port: Any,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[Any]:
    """Ask the system for numbers alone: another name than the stage's is unknown."""
    name = host.decode() if isinstance(host, bytes) else host
    numeric = flags & socket.AI_NUMERICHOST
    found = None if not name or numeric else _addresses(name)
    if found is None:
        return _getaddrinfo(host, port, family, type, proto, flags)
    if not found or family == socket.AF_INET6:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [
        one
        for address in found
        for one in _getaddrinfo(address, port, family, type, proto, flags)
    ]


if "DOCS_STAGE" in os.environ:
    socket.getaddrinfo = getaddrinfo
