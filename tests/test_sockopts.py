"""Each option is read back from the socket that connect returned."""

from __future__ import annotations

import errno
import os
import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest

import aioconnect
from aioconnect import sockopts
from aioconnect.testing import Server, UnixServer

TCP = socket.IPPROTO_TCP
SOL = socket.SOL_SOCKET

# Of an option that is set for every family.
_ANY = -1


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (
            sockopts.keepalive(60, 10.5, 5),
            {
                (SOL, socket.SO_KEEPALIVE): 1,
                (TCP, socket.TCP_KEEPIDLE): 60,
                (TCP, socket.TCP_KEEPINTVL): 11,
                (TCP, socket.TCP_KEEPCNT): 5,
            },
        ),
        (sockopts.nodelay(), {(TCP, socket.TCP_NODELAY): 1}),
        (sockopts.user_timeout(1.5), {(TCP, socket.TCP_USER_TIMEOUT): 1500}),
        (sockopts.tos(0x10), {(socket.IPPROTO_IP, socket.IP_TOS): 0x10}),
        (sockopts.fast_open(), {(TCP, 30): 1}),
        (
            sockopts.buffers(20_000, 30_000),
            # Linux doubles them, for its own bookkeeping (socket(7)).
            {(SOL, socket.SO_SNDBUF): 40_000, (SOL, socket.SO_RCVBUF): 60_000},
        ),
    ],
    ids=["keepalive", "nodelay", "user_timeout", "tos", "fast_open", "buffers"],
)
async def test_read_back(
    option: sockopts.SocketOptions, expected: dict[tuple[int, int], int], port: int
) -> None:
    with await aioconnect.connect("127.0.0.1", port, prepare=[option]) as sock:
        for (level, name), value in expected.items():
            assert sock.getsockopt(level, name) == value


async def test_needs_privileges(port: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("SO_MARK needs CAP_NET_ADMIN")
    options = [sockopts.mark(7), sockopts.bind_device("lo")]
    with await aioconnect.connect("127.0.0.1", port, prepare=options) as sock:
        assert sock.getsockopt(SOL, 36) == 7  # SO_MARK
        assert sock.getsockopt(SOL, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"


async def test_tos_of_ipv6(ipv6_listener: Server) -> None:
    """Each family has its own option, so the SYN is marked too."""
    prepare = [sockopts.tos(8)]
    with await aioconnect.connect("::1", ipv6_listener.port, prepare=prepare) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 8


async def test_unix_sockets_take_their_options(
    unix_listener: UnixServer,
) -> None:
    """TCP options do not touch a Unix socket; buffers apply to both."""
    prepare = [
        sockopts.nodelay(),
        sockopts.keepalive(1, 1, 1),
        sockopts.buffers(9999, 9999),
    ]
    with await aioconnect.connect_unix(unix_listener.path, prepare=prepare) as sock:
        assert sock.getsockopt(SOL, socket.SO_SNDBUF) == 2 * 9999


async def test_a_device_that_comes_later(port: int) -> None:
    """A missing device is named, and retried like an unreachable network."""
    if os.geteuid() != 0:
        pytest.skip("SO_BINDTODEVICE needs CAP_NET_RAW before Linux 5.7")
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect(
            "127.0.0.1",
            port,
            prepare=[sockopts.bind_device("nosuch0")],
            retry=(0, 0),
        )
    assert "socket: bind_device('nosuch0'): No such device" in str(caught.value)
    assert caught.value.errno == errno.ENODEV
    assert caught.value.attempt_count == 3
    assert caught.value.attempts[0].phase == "socket"


async def test_a_scope_that_comes_later() -> None:
    """An interface name in an address is retried, too."""
    with pytest.raises(aioconnect.ResolveError, match="no interface nosuch0") as caught:
        await aioconnect.connect("fe80::1%nosuch0", 9, retry=(0, 0))
    assert caught.value.attempt_count == 3


async def test_the_failed_option_is_named(port: int) -> None:
    """An error names the option that the kernel refused, and keeps its errno."""
    options = (_ANY, SOL, 9999, 1)
    prepare = [sockopts.nodelay(), sockopts.SocketOptions("unheard_of(1)", (options,))]
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect("127.0.0.1", port, prepare=prepare)
    assert "socket: unheard_of(1): Protocol not available" in str(caught.value)
    assert caught.value.errno == errno.ENOPROTOOPT


def test_deferred_fast_open(in_namespace: Callable[..., str]) -> None:
    """With a cookie the handshake waits for the first write; the socket is usable."""
    in_namespace("fast_open.py")


def test_values() -> None:
    option = sockopts.keepalive(1, 2, 3)
    assert option == sockopts.keepalive(1, 2, 3)
    assert hash(option) == hash(sockopts.keepalive(1, 2, 3))
    assert pickle.loads(pickle.dumps(option)) == option
    assert repr(option) == "aioconnect.sockopts.keepalive(1, 2, 3)"


@pytest.mark.parametrize(
    ("function", "arguments", "error", "says"),
    [
        (sockopts.keepalive, (0, 1, 1), ValueError, "idle must be more than 0"),
        (sockopts.keepalive, (1, -1, 1), ValueError, "interval"),
        (sockopts.keepalive, (1, 1, 0), ValueError, "count must be between 1 and 127"),
        (sockopts.keepalive, (1, 1, 1.5), TypeError, "count must be an int"),
        (sockopts.user_timeout, (0,), ValueError, "seconds"),
        (sockopts.bind_device, ("x" * 16,), ValueError, "1 to 15 bytes"),
        (sockopts.bind_device, ("",), ValueError, "1 to 15 bytes"),
        (sockopts.mark, (-1,), ValueError, "n must be between"),
        (sockopts.tos, (256,), ValueError, "value must be between 0 and 255"),
        (sockopts.buffers, (0, 1), ValueError, "send must be between"),
        (sockopts.buffers, (1, "1"), TypeError, "receive must be an int"),
    ],
)
def test_bad(
    function: Any, arguments: tuple[Any, ...], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        function(*arguments)
