"""The public surface: what is exported, where it says it lives, what it says."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import typing
from typing import Any

import pytest

import aioconnect

CONTRACT = [
    "Address",
    "AddressBlockedError",
    "Attempt",
    "AttemptFailed",
    "AttemptStarted",
    "Backoff",
    "Connected",
    "ConnectAbortedError",
    "ConnectError",
    "ConnectNotFoundError",
    "ConnectPermissionError",
    "ConnectRefusedError",
    "ConnectResetError",
    "ConnectTimeoutError",
    "Connector",
    "ConnectorOptions",
    "Event",
    "GaveUp",
    "ResolveError",
    "ResolveFailed",
    "ResolveStarted",
    "Resolved",
    "RetryScheduled",
    "Timeline",
    "connect",
    "connect_address",
    "connect_any",
    "connect_sock",
    "connect_unix",
    "create_connection",
    "create_unix_connection",
    "is_refused",
    "is_transient",
    "is_unknown_name",
    "log_events",
    "loop_factory",
    "open_connection",
    "open_unix_connection",
    "only_public",
    "outcome",
    "parse_target",
    "reconnecting",
    "sockopts",
    "system_resolver",
    "wait_until_down",
    "wait_until_up",
]

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(aioconnect.__path__, "aioconnect.")
    if name != "aioconnect.__main__"
]


def test_contract() -> None:
    assert set(CONTRACT) <= set(aioconnect.__all__)


@pytest.mark.parametrize("name", ["aioconnect", *MODULES])
def test_all(name: str) -> None:
    """__all__ is sorted, complete in its module, and everything in it exists."""
    module = importlib.import_module(name)
    names: list[str] = getattr(module, "__all__", [])
    assert names or hasattr(module, "__path__"), "no __all__"
    assert len(set(names)) == len(names)
    for exported in names:
        assert hasattr(module, exported)


@pytest.mark.parametrize("name", aioconnect.__all__)
def test_public_objects(name: str) -> None:
    """Each says what it is, and that it lives where it is imported from."""
    value: Any = getattr(aioconnect, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__ == "aioconnect"
        assert value.__doc__
    if inspect.isclass(value) and issubclass(value, Exception):
        assert issubclass(value, aioconnect.ConnectError)


def test_what_is_imported_later() -> None:
    """It is there as the rest is; what is not is said as Python does."""
    assert set(aioconnect.__all__) <= set(dir(aioconnect))
    assert pickle.loads(pickle.dumps(aioconnect.Connected)) is aioconnect.Connected
    with pytest.raises(AttributeError, match="'aioconnect' has no attribute 'conect'"):
        _ = aioconnect.conect  # type: ignore[attr-defined]  # that is the test


def test_type_hints() -> None:
    """Who asks at run time for the types is told them."""
    fields = typing.get_type_hints(aioconnect.Connector)
    assert fields.keys() == typing.get_type_hints(aioconnect.ConnectorOptions).keys()
    for name in aioconnect.__all__:
        value = getattr(aioconnect, name)
        if inspect.isfunction(value):
            typing.get_type_hints(value)


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (aioconnect.ConnectRefusedError, ConnectionRefusedError),
        (aioconnect.ConnectTimeoutError, TimeoutError),
        (aioconnect.ConnectResetError, ConnectionResetError),
        (aioconnect.ConnectAbortedError, ConnectionAbortedError),
        (aioconnect.ConnectNotFoundError, FileNotFoundError),
        (aioconnect.ConnectPermissionError, PermissionError),
        (aioconnect.AddressBlockedError, PermissionError),
    ],
)
def test_builtins(ours: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(ours, builtin)


def test_coroutines() -> None:
    """What is awaited is a coroutine function, also where it is a method."""
    for name in aioconnect.__all__:
        if name.startswith(("connect", "create_", "open_", "wait_")):
            assert inspect.iscoroutinefunction(getattr(aioconnect, name))
            assert inspect.iscoroutinefunction(getattr(aioconnect.Connector, name))
        if name.startswith("reconnecting"):
            assert callable(getattr(aioconnect.Connector, name))
