from __future__ import annotations

import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect import Address
from aioconnect._address import (
    check_host,
    check_port,
    host_and_port,
    numeric,
    unix_address,
)


@pytest.mark.parametrize(
    ("address", "text", "named"),
    [
        (Address(socket.AF_INET, ("127.0.0.1", 80)), "127.0.0.1:80", ("127.0.0.1", 80)),
        (Address(socket.AF_INET6, ("::1", 80)), "[::1]:80", ("::1", 80)),
        (
            Address(socket.AF_INET6, ("fe80::1", 80, 0, 7)),
            "[fe80::1%7]:80",
            ("fe80::1", 80),
        ),
        (Address(socket.AF_UNIX, "/run/x"), "unix:/run/x", ("unix:/run/x", None)),
        (Address(socket.AF_UNIX, b"/run/x"), "unix:/run/x", ("unix:/run/x", None)),
        (Address(socket.AF_UNIX, "\0x"), "unix:@x", ("unix:@x", None)),
        (
            Address(socket.AF_UNIX, b"/a\n\xff"),
            r"unix:/a\n\udcff",
            (r"unix:/a\n\udcff", None),
        ),
        (Address(socket.AF_VSOCK, (2, 1024)), "vsock:2:1024", ("vsock:2:1024", None)),
    ],
)
def test_text(address: Address, text: str, named: tuple[str, int | None]) -> None:
    assert str(address) == text
    assert host_and_port(address) == named
    assert pickle.loads(pickle.dumps(address)) == address
    assert len({address, pickle.loads(pickle.dumps(address))}) == 1


def test_one_form() -> None:
    """An IPv6 address has four members however it was spelt: duplicates are seen."""
    assert Address(socket.AF_INET6, ("::1", 80)).sockaddr == ("::1", 80, 0, 0)
    assert Address(socket.AF_INET6, ("::1", 80, 5)).sockaddr == ("::1", 80, 5, 0)


@pytest.mark.parametrize(
    ("family", "sockaddr", "error", "says"),
    [
        (
            socket.AF_INET,
            ("localhost", 80),
            ValueError,
            "not an IPv4 address in numbers",
        ),
        (socket.AF_INET, ("::1", 80), ValueError, "not an IPv4"),
        (socket.AF_INET, (None, 80), ValueError, "None is not an IPv4"),
        (socket.AF_INET, ("127.0.0.1\0", 80), ValueError, "not an IPv4"),
        (socket.AF_INET, ("127.0.0.1", 70000), ValueError, "0 and 65535, not 70000"),
        (socket.AF_INET, ("127.0.0.1", -1), ValueError, "0 and 65535"),
        (socket.AF_INET, ("127.0.0.1", "80"), TypeError, "port must be an int"),
        (socket.AF_INET, ("127.0.0.1", True), TypeError, "port must be"),
        (socket.AF_INET, ("127.0.0.1", 80, 0), TypeError, "(host, port)"),
        (socket.AF_INET, "127.0.0.1:80", TypeError, "sockaddr must be"),
        ("inet", ("127.0.0.1", 80), TypeError, "family: 'inet' is not an int"),
        (socket.AF_INET6, ("fe80::1%lo", 80), ValueError, "scope id is the fourth"),
        (socket.AF_INET6, ("::1",), TypeError, "(host, port[, flow, scope])"),
        (socket.AF_INET6, ("::1", 80, 0, -1), ValueError, "not between 0"),
        (socket.AF_INET6, ("::1", 80, 2**20), ValueError, "flow"),
        (socket.AF_INET6, ("::1", 80, 0, "lo"), TypeError, "not an int"),
        (socket.AF_UNIX, "", ValueError, "path is empty"),
        (socket.AF_UNIX, "/run/\0x", ValueError, "NUL"),
        (socket.AF_UNIX, "x" * 108, ValueError, "108 bytes long, the kernel takes 107"),
        (socket.AF_UNIX, "\0" + "x" * 108, ValueError, "the kernel takes 108"),
        (socket.AF_UNIX, 7, TypeError, "path must be"),
    ],
)
def test_bad(family: int, sockaddr: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        Address(family, sockaddr)
    assert says in str(caught.value)


def test_longest_paths() -> None:
    for path in ("x" * 107, "\0" + "x" * 107):
        assert Address(socket.AF_UNIX, path).sockaddr == path


class Moving:
    """A path that is not always the same."""

    path = "/run/x"

    def __fspath__(self) -> str:
        return self.path


def test_the_address_of_a_path_that_moves() -> None:
    """What was known of it is not believed."""
    moving = Moving()
    assert unix_address(moving).sockaddr == "/run/x"
    moving.path = "/run/y"
    assert unix_address(moving).sockaddr == "/run/y"


def test_unix_address() -> None:
    assert unix_address(Path("/run/x")).sockaddr == "/run/x"
    assert unix_address("/run/x", socket.SOCK_SEQPACKET).type == socket.SOCK_SEQPACKET
    with pytest.raises(ValueError, match="kind must be SOCK_STREAM or SOCK_SEQPACKET"):
        unix_address("/run/x", socket.SOCK_DGRAM)
    with pytest.raises(TypeError):
        unix_address(None)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("host", ["example.org", "a_b.c", "bücher.example", "127.1"])
def test_host(host: str) -> None:
    assert check_host(host) == host
    if host.isascii():
        assert check_host(host.encode()) == host


@pytest.mark.parametrize(
    ("host", "error", "says"),
    [
        ("", ValueError, "host is empty"),
        ("a b", ValueError, "white space"),
        ("a\n", ValueError, "white space"),
        ("a\0", ValueError, "NUL"),
        ("x" * 64 + ".org", ValueError, "not a host name"),
        (("x" * 50 + ".") * 5, ValueError, "254 octets"),
        ("a..b", ValueError, "not a host name"),
        (b"\xff", ValueError, "not ASCII"),
        (7, TypeError, "host must be a str"),
        (None, TypeError, "host must be a str"),
    ],
)
def test_bad_host(host: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check_host(host)


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


@pytest.mark.parametrize(
    ("host", "sockaddr"),
    [
        ("127.0.0.1", ("127.0.0.1", 80)),
        ("::1", ("::1", 80, 0, 0)),
        ("fe80::1%7", ("fe80::1", 80, 0, 7)),
        ("localhost", None),
        ("127.1", None),
        ("fe80::1%lo", None),
        ("fe80::1%", None),
        ("fe80::1%99999999999999", None),
        ("127.0.0.1%7", None),
        ("[::1]", None),
        ("127.0.0.1\0", None),
    ],
)
def test_numeric(host: str, sockaddr: Any) -> None:
    address = numeric(host, 80)
    assert (address and address.sockaddr) == sockaddr


@given(st.text(max_size=300), st.integers() | st.text(max_size=8))
def test_only_the_expected_errors(host: str, port: Any) -> None:
    for check, value in ((check_host, host), (check_port, port)):
        try:
            check(value)
        except (ValueError, TypeError) as exc:
            assert str(exc)
    numeric(host, 80)
