"""What the options accept, and the error at once that names a bad one."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import pickle
import socket
from typing import Any

import pytest

import aioconnect
from aioconnect import Backoff, Connector, ConnectorOptions, sockopts


def test_log_events_without_a_logger() -> None:
    with pytest.raises(TypeError, match="log_events needs a logger"):
        Connector(observer=aioconnect.log_events)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("app",), "logger must be a logging.Logger, not 'app'"),
        ((logging.getLogger("app"), "INFO"), "level must be an int, .*: 'INFO'"),
    ],
)
def test_log_events_with_bad_arguments(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        aioconnect.log_events(*arguments)


def test_a_connector_is_a_value() -> None:
    """A Connector is a frozen, hashable, picklable value."""
    connector = Connector(
        timeout=5,
        retry=[0.1, 0.2],
        prepare=[sockopts.nodelay()],
        local_addr=[["127.0.0.1", 0], ("::1", 0)],  # type: ignore[list-item]  # lists are accepted too
    )
    assert connector.retry == (0.1, 0.2)
    assert connector.prepare == (sockopts.nodelay(),)
    assert connector.local_addr == (("127.0.0.1", 0), ("::1", 0))
    assert pickle.loads(pickle.dumps(connector)) == connector
    assert len({connector, pickle.loads(pickle.dumps(connector))}) == 1
    assert Connector() != connector
    with pytest.raises(AttributeError):
        connector.timeout = 1  # type: ignore[misc]  # that is the test
    assert Connector(local_addr=("127.0.0.1", 0)).local_addr == ("127.0.0.1", 0)
    assert Connector(retry=Backoff()).retry == Backoff()
    assert Connector(interleave=None).interleave == 1


def test_the_same_options() -> None:
    """ConnectorOptions has the fields of Connector."""
    names = {field.name for field in dataclasses.fields(Connector)}
    assert set(ConnectorOptions.__annotations__) == names


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timeout": -1}, ValueError, "timeout must be 0 or more"),
    ({"timeout": math.nan}, ValueError, "timeout"),
    ({"timeout": math.inf}, ValueError, "timeout"),
    ({"timeout": "5"}, TypeError, "timeout must be a number of seconds"),
    ({"timeout": True}, TypeError, "timeout"),
    ({"attempt_timeout": 0}, ValueError, "attempt_timeout must be more than 0"),
    ({"happy_eyeballs_delay": -0.1}, ValueError, "happy_eyeballs_delay"),
    ({"interleave": -1}, ValueError, "interleave must be 0 or more"),
    ({"interleave": 1.5}, TypeError, "interleave must be an int"),
    ({"retry": iter((0.1,))}, TypeError, "retry must not be <tuple_iterator"),
    ({"retry": itertools.repeat(1)}, TypeError, "retry must not be repeat"),
    ({"retry": (d for d in (1,))}, TypeError, "used up by one call"),
    ({"retry": (0.1, -1)}, ValueError, "retry must be 0 or more"),
    ({"retry": [math.nan]}, ValueError, "retry"),
    ({"retry": ["1"]}, TypeError, "retry"),
    ({"retry": (*[0.1] * 200, -1)}, ValueError, "retry must be 0 or more"),
    ({"retry": [*[0.1] * 200, -1]}, ValueError, "retry must be 0 or more"),
    ({"retry": range(2, -2, -1)}, ValueError, "retry must be 0 or more"),
    ({"retry": frozenset({math.nan})}, ValueError, "retry must be 0 or more"),
    ({"retry": "0.1"}, TypeError, "retry must be an iterable of seconds"),
    ({"retry": 3}, TypeError, "retry must be an iterable of seconds"),
    ({"retry_on": OSError(1, "")}, TypeError, "retry_on must be callable"),
    ({"family": socket.AF_UNIX}, ValueError, "family must be AF_UNSPEC, AF_INET or"),
    ({"proto": -1}, ValueError, "proto must be 0 or more"),
    ({"flags": 2**40}, ValueError, "flags must be 0 or more, and fit a C int"),
    ({"timeout": 10**400}, ValueError, "timeout must be 0 or more and finite"),
    ({"flags": "x"}, TypeError, "flags must be an int"),
    ({"prepare": sockopts.nodelay()}, TypeError, "prepare must be a sequence"),
    ({"prepare": [1]}, TypeError, "prepare must be callable"),
    ({"outcome": "so_error"}, TypeError, "outcome must be callable"),
    ({"observer": 1}, TypeError, "observer must be callable"),
    ({"local_addr": "127.0.0.1"}, TypeError, r"local_addr must be \(host, port\)"),
    ({"local_addr": ("127.0.0.1",)}, TypeError, "local_addr must be"),
    ({"local_addr": [("127.0.0.1", 0, 0, 0, 0)]}, TypeError, "local_addr must be"),
    ({"local_addr": 7}, TypeError, "local_addr must be"),
    ({"local_addr": ()}, ValueError, "local_addr is empty"),
    ({"local_addr": ("", 0)}, ValueError, "local_addr: host is empty"),
    ({"local_addr": ("a b", 0)}, ValueError, "local_addr: host has"),
    ({"local_addr": ("127.0.0.1", 70000)}, ValueError, "local_addr: port must be"),
]


@pytest.mark.parametrize(("options", "error", "says"), BAD, ids=range(len(BAD)))
async def test_bad(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Connector(**options)
    with pytest.raises(error, match=says):
        await aioconnect.connect("127.0.0.1", 1, **options)


async def test_misspelt() -> None:
    with pytest.raises(TypeError, match=r"no such option: 'timeot'.*timeout"):
        await aioconnect.connect("127.0.0.1", 1, timeot=1)  # type: ignore[call-arg]  # that is the test
    with pytest.raises(TypeError, match="timeot"):
        Connector(timeot=1)  # type: ignore[call-arg]  # that is the test


def test_repr_shows_what_differs() -> None:
    assert repr(Connector()) == "Connector()"
    connector = Connector(timeout=5, retry=(1,), retry_on=aioconnect.is_refused)
    assert repr(connector) == "Connector(timeout=5, retry=(1,), retry_on=is_refused)"
