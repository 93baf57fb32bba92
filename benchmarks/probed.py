"""Make the documentation's picture of a probe, with the program's own command.

``python -m benchmarks.probed FILE`` draws it.  The server is on loopback, and has all
that there is to see: its IPv6 address is silent, and on the other it starts late, and
speaks TLS.
"""

from __future__ import annotations

import os
import shlex
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import trustme

from aioconnect.testing import black_hole

__all__ = ["PICTURE", "probe"]

Configure = Callable[[ssl.SSLContext], None]

PICTURE = Path(__file__).parent / "results" / "probe.svg"

# Seconds until the server listens: between the first try and the second.
_LATE = 0.8

_OPTIONS = ("--tls", "--attempt-timeout", "0.5", "--interval", "0.2")


def probe(picture: Path) -> str:
    """Have the program draw *picture*; return the command."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # trustme's signatures also name pyOpenSSL's contexts.
    cast("Configure", authority.issue_cert("localhost").configure_cert)(context)
    with black_hole("::1") as hole, socket.socket() as listener:
        listener.bind(("127.0.0.1", hole.port))
        serving = threading.Thread(target=_serve_late, args=(listener, context))
        serving.start()
        arguments = ("probe", f"localhost:{hole.port}", *_OPTIONS, "--svg")
        with authority.cert_pem.tempfile() as trusted:
            subprocess.run(
                [sys.executable, "-m", "aioconnect", *arguments, str(picture)],
                check=True,
                env={**os.environ, "SSL_CERT_FILE": trusted},
            )
        serving.join()
    return shlex.join(("aioconnect", *arguments, picture.name))


def _serve_late(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Refuse for a while, and then serve one client, who says nothing."""
    time.sleep(_LATE)
    listener.listen()
    conn, _ = listener.accept()
    with context.wrap_socket(
        conn, server_side=True, do_handshake_on_connect=False
    ) as tls:
        time.sleep(0.1)  # a server that is not on loopback has a way to go
        tls.do_handshake()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m benchmarks.probed FILE (the docs': {PICTURE})")
    print(probe(Path(sys.argv[1])))
