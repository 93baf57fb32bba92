"""End TLS in front of a server that speaks none: what an https:// proxy does."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from functools import cache

import trustme

__all__ = ["client_context", "end_tls", "server_context"]

_MOST = 1 << 16


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def server_context(name: str) -> ssl.SSLContext:
    """Return a server's context, whose certificate is for *name*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(name).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """Return a client's context, which trusts the certificates of these servers."""
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context


def end_tls(context: ssl.SSLContext, conn: socket.socket, plain: socket.socket) -> None:
    """Carry between *conn*, with TLS, and *plain*, until either has ended.

    In one thread: a TLS object must not be read and written at once.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    is_open = True
    with contextlib.suppress(ssl.SSLError, OSError):
        while is_open:
            is_shaken = _read(tls, plain)
            _flush(outgoing, conn)
            ready, _, _ = select.select([conn, plain][: 1 + is_shaken], [], [])
            if conn in ready:
                is_open = bool(data := conn.recv(_MOST))
                incoming.write(data)
            if plain in ready and is_open:
                is_open = bool(data := plain.recv(_MOST))
                tls.write(data) if data else _say_goodbye(tls)
                _flush(outgoing, conn)
    for sock in (conn, plain):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _read(tls: ssl.SSLObject, plain: socket.socket) -> bool:
    """Pass on what *tls* has decrypted; tell whether the handshake is done."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    with contextlib.suppress(ssl.SSLWantReadError):
        while data := tls.read(_MOST):
            plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
    return True


def _say_goodbye(tls: ssl.SSLObject) -> None:
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.unwrap()


def _flush(outgoing: ssl.MemoryBIO, conn: socket.socket) -> None:
    while data := outgoing.read():
        conn.sendall(data)
