from __future__ import annotations

import pickle
import socket
from pathlib import Path
from typing import Any

import pytest

from aioconnect import Address
from aioconnect._sansio.addresses import (
    check_address,
    host_and_port,
    plain_address,
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
        (socket.AF_UNIX, "x" * 108, ValueError, "the kernel takes at most 107"),
        (socket.AF_UNIX, "\0" + "x" * 108, ValueError, "the kernel takes at most 108"),
        (socket.AF_UNIX, 7, TypeError, "path must be"),
    ],
)
def test_bad(family: int, sockaddr: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        Address(family, sockaddr)
    assert says in str(caught.value)


class Said(str):
    """A text that says another one of itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "said"

    def __fspath__(self) -> str:
        return "said"


class Octets(bytes):
    """Octets that say others of themselves."""

    def __bytes__(self) -> bytes:
        return b"said"

    def __getitem__(self, at: Any) -> Any:
        return b"said"[at]


class Number(int):
    """A number that says another one of itself."""

    def __int__(self) -> int:
        return 7

    __index__ = __int__

    def __ge__(self, other: object) -> bool:
        return True

    __le__ = __lt__ = __gt__ = __ge__


class Several(tuple[Any, ...]):
    """A tuple that says another one of itself each time."""

    __slots__ = ()

    def __getitem__(self, at: Any) -> Any:
        return ("192.0.2.1", 7)[at]


@pytest.mark.parametrize(
    ("given", "family", "sockaddr"),
    [
        ((Said("127.0.0.1"), Number(80)), socket.AF_INET, ("127.0.0.1", 80)),
        (Several(("127.0.0.1", 80)), socket.AF_INET, ("127.0.0.1", 80)),
        ((Said("::1"), Number(1), Number(2), Number(3)), socket.AF_INET6, None),
        (Said("/run/x"), socket.AF_UNIX, "/run/x"),
        (Octets(b"/run/x"), socket.AF_UNIX, b"/run/x"),
        ((Number(2), Number(1024)), socket.AF_VSOCK, (2, 1024)),
        ((Number(2), Octets(b"x"), Said("y")), 17, (2, b"x", "y")),
    ],
    ids=["IPv4", "a tuple", "IPv6", "a path", "octets", "vsock", "another"],
)
def test_nothing_but_plain_values(given: Any, family: int, sockaddr: Any) -> None:
    """An address is what C makes of it: no class has a say in it afterwards."""
    plain = {int, str, bytes, socket.AddressFamily, socket.SocketKind}
    address = Address(Number(family), given, Number(6), Number(1))
    sockaddr = sockaddr or ("::1", 1, 2, 3)
    assert address == Address(family, sockaddr, 6, 1)
    members = address.sockaddr if type(address.sockaddr) is tuple else ()
    values = (address.family, address.proto, address.type, *members)
    assert {type(value) for value in values} <= plain
    assert type(address.sockaddr) is type(sockaddr)


@pytest.mark.parametrize("name", ["family", "proto", "type"])
def test_a_number_that_only_says_that_it_fits(name: str) -> None:
    fields: dict[str, Any] = {"family": 2, "sockaddr": ("127.0.0.1", 1)}
    with pytest.raises(ValueError, match=f"{name}: -1 is not between"):
        Address(**{**fields, name: Number(-1)})


class Turning(Address):
    """An address that gives another port each time."""

    reads = 0

    @property
    def sockaddr(self) -> Any:
        """The address, for now."""
        type(self).reads += 1
        return ("127.0.0.1", self.reads)


def test_a_subclass_is_asked_once() -> None:
    """What it says then is the address, and no more of it is asked."""
    turning = object.__new__(Turning)
    for name, value in (("family", 2), ("proto", 0), ("type", 1)):
        object.__setattr__(turning, name, value)
    for asked in (plain_address, check_address):
        before = Turning.reads
        address = asked(turning)
        assert type(address) is Address
        assert address.sockaddr == ("127.0.0.1", before + 1)
        assert Turning.reads == before + 1
    assert check_address(address) is address


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
        unix_address(None)
