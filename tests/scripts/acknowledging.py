"""Append each received line to a file, then send it back.

The test kills this program and starts it again and again.  Therefore it imports almost
nothing, and a connection that it leaves is reset.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys


def serve(conn: socket.socket, journal: int) -> None:
    """Keep what the client says, and tell it what was kept."""
    rest = b""
    while data := conn.recv(1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            # One write is one line, or none if the kill comes first.
            os.write(journal, line + b"\n")
            conn.sendall(line + b"\n")


journal = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
with socket.socket() as listener:
    # The port is held by a socket of the parent's, which does not listen.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
    while True:
        conn, _ = listener.accept()
        with conn, contextlib.suppress(OSError):
            serve(conn, journal)
