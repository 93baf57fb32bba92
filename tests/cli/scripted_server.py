"""A server for the command line, with an answer that a test may replace."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["LOADING", "Scripted", "scripted"]

# What Redis says while it reads its file.
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


class Scripted(socketserver.TCPServer):
    """A server with an answer for every connection, which a test may replace."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def where(self) -> str:
        host, port, *_ = self.server_address
        return f"{host!s}:{port}"


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        self.request.settimeout(20)
        if self.request.recv(4096):
            self.request.sendall(server.answer)
            while self.request.recv(4096):
                pass


@contextmanager
def scripted(answer: bytes) -> Iterator[Scripted]:
    with Scripted(answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()
