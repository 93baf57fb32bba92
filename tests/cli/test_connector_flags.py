"""The flags that set options of a `Connector`."""

from __future__ import annotations

import argparse
import socket
import sys

import pytest

from aioconnect import Backoff, Connector, only_public, parse_target
from aioconnect._cli.connector_flags import add_connector_flags, connector_from
from aioconnect._cli.errors import CommandError
from aioconnect._cli.parser import Parser
from aioconnect.contrib.aiodns import AiodnsResolver


def said(line: str) -> argparse.Namespace:
    parser = Parser(prog="aioconnect probe")
    add_connector_flags(parser)
    return parser.parse_args(line.split())


@pytest.mark.parametrize(
    ("line", "connector"),
    [
        ("", Connector()),
        ("--timeout 3 --attempt-timeout .5", Connector(timeout=3, attempt_timeout=0.5)),
        ("-t 1m --attempt-timeout 5s", Connector(timeout=60, attempt_timeout=5)),
        ("--backoff 100ms,1m,3", Connector(retry=Backoff(0.1, 3, 60, 1))),
        ("--happy-eyeballs-delay 100ms", Connector(happy_eyeballs_delay=0.1)),
        ("--interval 2", Connector(retry=Backoff(2, 1, 2, 0))),
        ("--backoff 1,9", Connector(retry=Backoff(1, 2, 9, 1))),
        ("--backoff 1,9,3", Connector(retry=Backoff(1, 3, 9, 1))),
        ("--backoff 1,9,3,0.5", Connector(retry=Backoff(1, 3, 9, 0.5))),
        ("--attempts 3", Connector(retry=Backoff(attempts=2))),
        ("--interval 2 --attempts 1", Connector(retry=Backoff(2, 1, 2, 0, 0))),
        ("--happy-eyeballs-delay none", Connector(happy_eyeballs_delay=None)),
        ("--happy-eyeballs-delay 0.1", Connector(happy_eyeballs_delay=0.1)),
        ("--resolution-delay 0.1", Connector(resolution_delay=0.1)),
        ("--interleave 0", Connector(interleave=0)),
        ("--family 4", Connector(family=socket.AF_INET)),
        ("--family 6", Connector(family=socket.AF_INET6)),
        ("--local-addr 10.0.0.1", Connector(local_addr=("10.0.0.1", 0))),
        ("--local-addr here:80", Connector(local_addr=("here", 80))),
        ("--local-addr ::1", Connector(local_addr=("::1", 0))),
        ("--local-addr [::1]", Connector(local_addr=("::1", 0))),
        ("--local-addr [::1]:80", Connector(local_addr=("::1", 80))),
        ("--only-public", Connector(allow=only_public)),
        ("--resolver system", Connector()),
        ("--resolver aiodns", Connector(resolver=AiodnsResolver())),
    ],
)
def test_flags(line: str, connector: Connector) -> None:
    assert connector_from(said(line)) == connector


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--timeout 0", "argument -t/--timeout: must be more than 0"),
        ("--attempt-timeout 0", "argument --attempt-timeout: must be more than 0"),
        ("--timeout 1_0", "'1_0' is not a duration"),
        ("--timeout ٣", "'٣' is not a duration"),
        ("--attempts 0", "--attempts: '0' is not a whole number of 1 or more"),
        ("--attempts 1.5", "'1.5' is not a whole number"),
        ("--interleave -1", "--interleave: '-1' is not a whole number of 0 or more"),
        ("--interleave 99999999999", "is not a whole number"),
        ("--family 5", "argument --family: invalid choice: '5'"),
        ("--local-addr [::1", "'[::1' is not HOST, HOST:PORT or [IPv6]:PORT"),
        ("--local-addr :80", "':80' is not HOST, HOST:PORT"),
        ("--local-addr x:y", "'x:y' is not HOST, HOST:PORT"),
        ("--local-addr a:b@c:1", "'***@c:1' is not HOST, HOST:PORT"),
        ("--happy-eyeballs-delay never", "'never' is not a duration"),
    ],
)
def test_bad_flags(line: str, says: str) -> None:
    with pytest.raises(CommandError) as caught:
        connector_from(said(line))
    assert says in str(caught.value)
    assert caught.value.status == 2


def test_resolver_of_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service needs a resolver that can look it up, and the extra for it."""
    targets = [parse_target("srv:_db._tcp.example")]
    assert connector_from(said(""), targets).resolver == AiodnsResolver()
    with pytest.raises(CommandError, match="srv: target needs --resolver aiodns"):
        connector_from(said("--resolver system"), targets)
    monkeypatch.delitem(sys.modules, "aioconnect.contrib.aiodns")
    monkeypatch.setitem(sys.modules, "aiodns", None)
    with pytest.raises(CommandError, match=r"in a checkout, pip install '.\[aiodns\]'"):
        connector_from(said(""), targets)
