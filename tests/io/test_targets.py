from __future__ import annotations

import pickle
import socket
from typing import Any

import pytest
from target_texts import GOOD, XMPP

from aioconnect import Address, Target
from aioconnect._io.targets import check_targets
from aioconnect._sansio.text import safe_repr


@pytest.mark.parametrize("target", GOOD.values(), ids=ascii)
def test_value(target: Target) -> None:
    """Targets are hashable, equal, picklable, and stay what they are."""
    other = pickle.loads(pickle.dumps(target))
    assert other == target
    assert len({target, other}) == 1
    assert [one for one in GOOD.values() if one == target] == [target]
    with pytest.raises(AttributeError):
        target.host = "other"  # type: ignore[misc]  # that is the test


def test_one_form() -> None:
    """Whatever the host and the port were given as, they compare."""
    assert Target(b"host", "80") == Target("host", 80)  # type: ignore[arg-type]  # that is the test
    assert type(Target("host", "80").port) is int  # type: ignore[arg-type]  # likewise


ADDRESS = Address(socket.AF_INET, ("127.0.0.1", 80))


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({}, ValueError, "a host and a port, an address, or a service"),
        ({"port": 80}, ValueError, "a host and a port, an address, or a service"),
        (
            {"host": "a", "port": 80, "address": ADDRESS},
            ValueError,
            "a host and a port, an address, or a service",
        ),
        (
            {"address": ADDRESS, "service": XMPP},
            ValueError,
            "a host and a port, an address, or a service",
        ),
        ({"host": "a"}, ValueError, "a host and a port go together"),
        ({"address": ADDRESS, "port": 80}, ValueError, "go together"),
        ({"service": XMPP, "port": 80}, ValueError, "go together"),
        ({"host": "", "port": 80}, ValueError, "host is empty"),
        ({"host": "a b", "port": 80}, ValueError, "white space"),
        ({"host": "a\0", "port": 80}, ValueError, "NUL"),
        ({"host": "\ud800", "port": 80}, ValueError, "not a host name"),
        ({"host": 7, "port": 80}, TypeError, "host must be a str"),
        ({"host": "a", "port": -1}, ValueError, "between 0 and 65535, not -1"),
        ({"host": "a", "port": 10**5000}, ValueError, "0 and 65535, not <int>"),
        ({"host": "a", "port": True}, TypeError, "port must be an int"),
        ({"address": ("127.0.0.1", 80)}, TypeError, "must be an Address, not"),
        ({"address": "unix:/x"}, TypeError, "must be an Address, not 'unix:/x'"),
        (
            {"service": "example.org"},
            ValueError,
            "a service is _service._proto.name, not",
        ),
        ({"service": "_a._b."}, ValueError, "a service is _service._proto.name, not"),
        ({"service": "_a._b.c\0"}, ValueError, "NUL"),
        ({"service": 7}, TypeError, "host must be a str, not 7"),
    ],
)
def test_bad_fields(fields: dict[str, Any], error: type[Exception], says: str) -> None:
    """What cannot work is said when the target is made."""
    with pytest.raises(error) as caught:
        Target(**fields)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("host:80", Target("host", 80)),
        (Target("host", 80), Target("host", 80)),
        (ADDRESS, Target(address=ADDRESS)),
        (("host", 80), Target("host", 80)),
        (("host", "https"), Target("host", 443)),
        (("::1", 80), Target("::1", 80)),
        (["host", 80], Target("host", 80)),
    ],
    ids=safe_repr,
)
def test_targets(given: Any, target: Target) -> None:
    assert check_targets([given]) == (target,)
    assert check_targets(iter([given, "other:1"])) == (target, Target("other", 1))


@pytest.mark.parametrize(
    ("targets", "error", "says"),
    [
        ([], ValueError, "targets is empty"),
        (iter(()), ValueError, "targets is empty"),
        ("host:80", TypeError, "targets must be a list of targets, not 'host:80'"),
        (b"host:80", TypeError, "targets must be a list of targets"),
        (
            Target("host", 80),
            TypeError,
            "targets must be a list of targets, not Target(",
        ),
        (None, TypeError, "targets must be a list of targets, not None"),
        (
            ("host", 80),
            TypeError,
            "targets must be a list of targets, not ('host', 80)",
        ),
        (["a:1", "b"], ValueError, "target 'b', character 2: a port is missing"),
        ([80], TypeError, "a text, (host, port), a Target or an Address, not 80"),
        ([b"host:80"], TypeError, "an Address, not b'host:80'"),
        ([("host",)], TypeError, "an Address, not a tuple of 1"),
        ([("host", 80, 0)], TypeError, "an Address, not a tuple of 3"),
        ([("host", 70000)], ValueError, "between 0 and 65535, not 70000"),
        ([("host", None)], TypeError, "port must be an int or a str, not None"),
        ([(None, 80)], ValueError, "a host and a port"),
        ([("a b", 80)], ValueError, "white space"),
        ([10**5000], TypeError, "an Address, not <int>"),
    ],
    # Without an object's address: those who run beside each other compare names.
    ids=lambda value: safe_repr(value).partition(" object at ")[0],
)
def test_bad_targets(targets: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        check_targets(targets)
    assert says in str(caught.value)


@pytest.mark.parametrize("host", ["[x", "[x]", "x]", "a:b%1"])
def test_hosts_that_no_text_can_say(host: str) -> None:
    with pytest.raises(ValueError, match="neither a name nor an IPv6 address"):
        Target(host, 80)


def test_a_service_in_bytes() -> None:
    """It is kept in the one form that compares, as a host is."""
    service: Any = b"_a._b.c"
    assert Target(service=service) == Target(service="_a._b.c")
    assert str(Target(service=service)) == "srv:_a._b.c"
