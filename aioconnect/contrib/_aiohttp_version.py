"""Check the installed aiohttp, whose private methods are overridden.

Any version may change them.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, NoReturn

import aiohttp

__all__ = ["check_aiohttp"]

# The oldest version that was tested, and the first one that was not.
_OLDEST = (3, 12)
_TOO_NEW = (3, 15)

# The methods that are overridden, with their parameters.
_OVERRIDDEN = {
    "TCPConnector._create_direct_connection": "req traces timeout client_error",
    "TCPConnector._create_proxy_connection": "req traces timeout",
    "UnixConnector._create_connection": "req traces timeout",
}

# The methods that are called.
_CALLED = {
    "TCPConnector._get_fingerprint": "req",
    "TCPConnector._get_ssl_context": "req",
}


def check_aiohttp(version: str) -> None:
    """Raise `ImportError` unless the integration was tested with aiohttp *version*.

    Another version may connect in a way that the guard does not see.
    """
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if not _OLDEST <= numbers < _TOO_NEW:
        _refuse(f"{version} is installed")
    for name, parameters in {**_OVERRIDDEN, **_CALLED}.items():
        kind, method = name.split(".")
        found = getattr(getattr(aiohttp, kind), method, None)
        if found is None or _parameters(found) != parameters.split():
            _refuse(f"{version} has another {name}")


def _parameters(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)[1:]


def _refuse(but: str) -> NoReturn:
    oldest, too_new = (".".join(map(str, each)) for each in (_OLDEST, _TOO_NEW))
    raise ImportError(
        f"aioconnect.contrib.aiohttp needs aiohttp>={oldest},<{too_new}, but {but}:"
        " in a checkout, pip install '.[aiohttp]'"
    )
