"""Ask the system's getaddrinfo, in the one pool of threads of this process (K8)."""

from __future__ import annotations

import encodings.idna
import importlib
import os
import socket
import threading

from .getaddrinfo_pool import GetaddrinfoPool
from .shared_lookup import AddrInfo, GaiQuery

__all__ = ["getaddrinfo", "is_crowded", "lookups_ahead"]

# socket.getaddrinfo imports this for the first str that it gets.  With no descriptor
# left, that import would fail (K14).
_IMPORTED = encodings.idna


def _ask_system(query: GaiQuery) -> tuple[AddrInfo, ...]:
    host, port, family, flags = query
    # Called as asyncio calls it: by its name in the socket module, with positional
    # arguments.  Programs that replace getaddrinfo, to pin or to cache names, rely on
    # this form.
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, flags)
    except socket.gaierror as exc:
        if exc.errno == socket.EAI_NONAME:
            _check_descriptors()
        raise
    return tuple(found)


def _check_descriptors() -> None:
    """Raise the system's error if this process has no descriptor left.

    The first look-up of a process for both families reads the configuration of the name
    service.  If it cannot, glibc calls every name unknown.
    """
    socket.socket(socket.AF_UNIX).close()


def _is_main_interpreter() -> bool:
    """Tell whether this is the main interpreter; no public function says so."""
    is_main = getattr(threading, "_is_main_interpreter", None)  # since 3.12
    if is_main is not None:
        return bool(is_main())
    try:
        interpreters = importlib.import_module("_xxsubinterpreters")
    except ImportError:
        return True  # a Python without subinterpreters
    return bool(interpreters.get_current() == interpreters.get_main())


# A subinterpreter that ends while one of its daemon threads lives aborts the process,
# and an isolated one allows no daemons.  It waits for its threads, so there they end
# as soon as they are idle.
_pool = (
    GetaddrinfoPool(_ask_system)
    if _is_main_interpreter()
    else GetaddrinfoPool(_ask_system, idle_timeout=0.0, daemons=False)
)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)

getaddrinfo = _pool.ask
is_crowded = _pool.is_crowded
lookups_ahead = _pool.lookups_ahead
