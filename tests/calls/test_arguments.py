"""Hosts, ports and paths that cannot be connected to are refused at once."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import aioconnect
from aioconnect.testing import UnixServer


@pytest.mark.parametrize(
    ("host", "port", "error", "says"),
    [
        ("", 80, ValueError, "host is empty"),
        ("a b", 80, ValueError, "white space"),
        ("a\0", 80, ValueError, "NUL"),
        ("a..b", 80, ValueError, "host"),
        (None, 80, TypeError, "host must be a str"),
        ("127.0.0.1", 70000, ValueError, "port must be between 0 and 65535"),
        ("127.0.0.1", -1, ValueError, "port must be"),
        ("127.0.0.1", "nosuch", ValueError, "port: 'nosuch'"),
        ("127.0.0.1", 1.5, TypeError, "port must be"),
        ("127.0.0.1", None, TypeError, "port must be"),
    ],
)
async def test_bad_target(
    host: Any, port: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        await aioconnect.connect(host, port)


async def test_bad_path() -> None:
    with pytest.raises(ValueError, match="the kernel takes at most 107"):
        await aioconnect.connect_unix("x" * 200)
    with pytest.raises(ValueError, match="path is empty"):
        await aioconnect.open_unix_connection("")
    with pytest.raises(TypeError, match="path must be"):
        await aioconnect.connect_unix(7)  # type: ignore[arg-type]  # that is the test
    with pytest.raises(TypeError, match="path must be"):
        await aioconnect.connect_unix(bytearray(b"x"))  # type: ignore[arg-type]  # same
    with pytest.raises(ValueError, match="kind"):
        await aioconnect.connect_unix("x", kind=[])  # type: ignore[arg-type]  # same


async def test_text_of_another_class(unix_listener: UnixServer) -> None:
    """Its value counts, and not what it says of itself."""

    class Path(str):
        __slots__ = ()
        __hash__ = None  # type: ignore[assignment]  # that is the test

    with await aioconnect.connect_unix(Path(unix_listener.path)) as sock:
        assert sock.family == socket.AF_UNIX
