from __future__ import annotations

import socket

import pytest

from aioconnect import Address
from aioconnect._sansio.endpoints import Endpoint

XMPP = "_xmpp-client._tcp.example.org"


ADDRESS = Address(socket.AF_INET, ("127.0.0.1", 80))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Endpoint("host", 80), "host:80"),
        (Endpoint("::1", 80), "[::1]:80"),
        (Endpoint("127.0.0.1", 80, ADDRESS), "127.0.0.1:80"),
        (Endpoint("unix:/x", None, Address(socket.AF_UNIX, "/x")), "unix:/x"),
        (Endpoint(None, 0), "this machine, port 0"),
        (Endpoint(None, None), "the peer of the given socket"),
        (Endpoint(None, None, service=XMPP), f"srv:{XMPP}"),
        (Endpoint("a", 1, destination=Endpoint("b", 2)), "b:2 through a:1"),
    ],
)
def test_place(place: Endpoint, text: str) -> None:
    """An error says where the call went."""
    assert str(place) == text
