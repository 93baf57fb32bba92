"""Exit while a look-up thread is idle, and ask for another look-up too late."""

from __future__ import annotations

import asyncio
import atexit
import socket
import sys
import threading
from functools import partial

from aioconnect._io.getaddrinfo import getaddrinfo

# In debug mode a loop says on standard error that a slow machine has been slow.
run = partial(asyncio.run, debug=False)


async def look_up() -> None:
    assert await getaddrinfo(asyncio.get_running_loop(), "127.1", 80, socket.AF_INET, 0)


def ask_at_the_end() -> None:
    """Ask while the interpreter ends: an idle thread can still answer."""
    run(look_up())
    # Nobody waits for these, and the loop is closed.
    loop = asyncio.new_event_loop()
    for number in range(20):
        getaddrinfo(loop, f"127.{number}", 80, socket.AF_INET, 0)
    loop.close()
    print("asked")


if sys.argv[1] == "atexit":
    atexit.register(ask_at_the_end)
    run(look_up())
else:
    # A daemon's own, under way when the main thread ends.
    thread = threading.Thread(target=run, args=(look_up(),), daemon=True)
    thread.start()
    print("asked")
