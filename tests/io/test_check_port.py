from __future__ import annotations

import socket
from typing import Any

import pytest

from aioconnect._io.resolver import check_port


class Eighty:
    def __index__(self) -> int:
        return 80


@pytest.mark.parametrize(
    ("port", "number"),
    [(0, 0), (65535, 65535), ("80", 80), ("0080", 80), (Eighty(), 80)],
)
def test_port(port: Any, number: int) -> None:
    assert check_port(port) == number


def test_service() -> None:
    assert check_port("http") == socket.getservbyname("http", "tcp")


@pytest.mark.parametrize(
    ("port", "error", "says"),
    [
        (-1, ValueError, "0 and 65535, not -1"),
        (65536, ValueError, "0 and 65535, not 65536"),
        ("65536", ValueError, "not '65536'"),
        ("9" * 5000, ValueError, "0 and 65535"),
        (2**32 + 80, ValueError, "0 and 65535"),
        ("no-such-service", ValueError, "neither a number nor a TCP service"),
        ("", ValueError, "neither"),
        ("-1", ValueError, "neither"),
        ("٣", ValueError, "neither"),
        ("a\0", ValueError, "neither"),
        (80.5, TypeError, "an int or a str"),
        (True, TypeError, "an int or a str"),
        (None, TypeError, "an int or a str"),
    ],
)
def test_bad_port(port: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check_port(port)
