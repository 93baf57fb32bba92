"""End a subinterpreter that has looked a name up, and one whose look-up hangs."""

from __future__ import annotations

import importlib
import sys
from typing import Any

INSIDE = f"""
import asyncio, socket, sys, threading, time

sys.path[:] = {sys.path!r}

import aioconnect
from aioconnect._io.getaddrinfo import _pool

assert _pool._idle_timeout == 0  # its end would wait for idle threads

real, asked = socket.getaddrinfo, threading.Event()

def getaddrinfo(host, *arguments):
    assert not threading.current_thread().daemon
    asked.set()
    time.sleep(0.3 if host == "127.2" else 0)
    return real(host, *arguments)

async def main():
    (found,) = await aioconnect.system_resolver("127.1", 80)
    assert found.sockaddr == ("127.0.0.1", 80)
    asked.clear()
    hung = asyncio.create_task(aioconnect.system_resolver("127.2", 80))
    while not asked.is_set():
        await asyncio.sleep(0.001)
    hung.cancel()

socket.getaddrinfo = getaddrinfo
asyncio.run(main())
if sys.version_info < (3, 12):
    # There destroy() refuses where the C API waits.
    for thread in set(threading.enumerate()) - {{threading.current_thread()}}:
        thread.join()
"""


def end_one(kind: str) -> None:
    """Run a subinterpreter of *kind*, ``isolated`` or ``legacy``, to its end."""
    if sys.version_info >= (3, 13):
        interpreters: Any = importlib.import_module("_interpreters")
        number = interpreters.create(kind)
        failed = interpreters.exec(number, INSIDE)
        assert failed is None, failed.errdisplay
    else:
        interpreters = importlib.import_module("_xxsubinterpreters")
        number = interpreters.create(isolated=kind == "isolated")
        interpreters.run_string(number, INSIDE)
    interpreters.destroy(number)


for _ in range(3):
    end_one(sys.argv[1])
print("ended")
