"""Connect from a given source address, and print it: ``python bound.py LOOP``."""

from __future__ import annotations

import socket

from _loops import run

import aioconnect


async def main() -> None:
    """Connect to a server of this process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with await aioconnect.connect(
            "127.0.0.1", port, local_addr=("127.0.0.1", 0)
        ) as sock:
            print(sock.getsockname()[0])


if __name__ == "__main__":
    run(main())
