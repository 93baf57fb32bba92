"""The public surface: the exports, the module that they name, and their help."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import pydoc
import re
import socket
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
    """Each has a docstring, and names the module that users import it from."""
    value: Any = getattr(aioconnect, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__ == "aioconnect"
        assert value.__doc__
    if inspect.isclass(value) and issubclass(value, Exception):
        assert issubclass(value, aioconnect.ConnectError)


def test_what_is_imported_later() -> None:
    """A name that is imported on demand looks like the others, and pickles."""
    assert set(aioconnect.__all__) <= set(dir(aioconnect))
    assert pickle.loads(pickle.dumps(aioconnect.Connected)) is aioconnect.Connected
    with pytest.raises(AttributeError, match="'aioconnect' has no attribute 'conect'"):
        _ = aioconnect.conect  # type: ignore[attr-defined]  # that is the test


def test_type_hints() -> None:
    """The annotations can be evaluated at run time."""
    fields = typing.get_type_hints(aioconnect.Connector)
    assert fields.keys() == typing.get_type_hints(aioconnect.ConnectorOptions).keys()
    for name in aioconnect.__all__:
        value = getattr(aioconnect, name)
        if inspect.isfunction(value):
            typing.get_type_hints(value)


@pytest.mark.parametrize(
    ("error", "builtin"),
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
def test_builtins(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


def test_coroutines() -> None:
    """A function to await is a coroutine function, and so is the method."""
    for name in aioconnect.__all__:
        if name.startswith(("connect", "create_", "open_", "wait_")):
            assert inspect.iscoroutinefunction(getattr(aioconnect, name))
            assert inspect.iscoroutinefunction(getattr(aioconnect.Connector, name))
        if name.startswith("reconnecting"):
            assert callable(getattr(aioconnect.Connector, name))


OPTIONS = {
    field.name: field.default for field in dataclasses.fields(aioconnect.Connector)
}

FUNCTIONS = {
    name: getattr(aioconnect, name)
    for name in aioconnect.__all__
    if inspect.isfunction(getattr(aioconnect.Connector, name, None))
}

# A default is written as users write it.
DEFAULTS = {
    "AF_UNSPEC": socket.AF_UNSPEC,
    "SOCK_STREAM": socket.SOCK_STREAM,
    "is_transient": aioconnect.is_transient,
    "outcome.default": aioconnect.outcome.default,
    "system_resolver": aioconnect.system_resolver,
}


def documented(value: object) -> list[tuple[str, Any]]:
    """Return the options that the docstring of *value* lists, with their defaults."""
    doc = inspect.getdoc(value) or ""
    section = r"^(?:Other o|O)ptions\b[^\n]*:\n((?: +\S.*\n)+)"
    sections = re.findall(section, doc, re.MULTILINE)
    found: list[tuple[str, Any]] = []
    for line in "".join(sections).splitlines():
        # ``name=default: text``, or several of ``name=default``.
        part = line.partition(": ")[0] if ": " in line else line
        for name, default in re.findall(r"(?:^ +|, )(\w+)=([^ :]+?)(?=,|$)", part):
            is_named = default in DEFAULTS
            read = DEFAULTS[default] if is_named else ast.literal_eval(default)
            found.append((name, read))
    return found


def accepted(function: Any) -> dict[str, Any]:
    """Return the keyword arguments of *function* that have a default."""
    found: dict[str, Any] = {}
    parameters = inspect.signature(function).parameters
    for parameter in parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= {k: v for k, v in OPTIONS.items() if k not in parameters}
        elif parameter.kind is parameter.KEYWORD_ONLY:
            found[parameter.name] = parameter.default
    return {k: v for k, v in found.items() if v is not inspect.Parameter.empty}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_list_every_option(name: str) -> None:
    """Each function's help names each option once, with its default."""
    listed = documented(FUNCTIONS[name])
    assert dict(listed) == accepted(FUNCTIONS[name])
    assert len(listed) == len(dict(listed))


def test_docstring_of_connector() -> None:
    """It lists the options in the order of the fields."""
    assert documented(aioconnect.Connector) == list(OPTIONS.items())


@pytest.mark.parametrize("name", ["connect", "create_connection", "open_connection"])
def test_whole_lists_agree(name: str) -> None:
    """Where a function has the whole list, its text is that of `Connector`."""
    doc = inspect.getdoc(aioconnect.Connector) or ""
    start, end = doc.index("    timeout=None: "), doc.index("\n\nRaises:")
    assert doc[start:end] in (inspect.getdoc(FUNCTIONS[name]) or "")


def test_help_of_connector() -> None:
    """It shows the options and the methods, and nothing that is generated."""
    text = pydoc.plain(pydoc.render_doc(aioconnect.Connector))
    assert "class Connector(builtins.object)" in text
    assert "Method resolution order" not in text
    shown = set(re.findall(r"^ \|  (?:async )?(\w+)(?: =|\(|$)", text, re.MULTILINE))
    assert shown == {"Connector", *OPTIONS, *FUNCTIONS}
    assert "__" not in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_of_the_methods(name: str) -> None:
    """One line says what the method does, and where more is said."""
    doc = inspect.getdoc(getattr(aioconnect.Connector, name)) or ""
    assert re.fullmatch(rf"[A-Z].+: see `aioconnect\.{name}`\.", doc)


def test_connector_is_a_slotted_dataclass() -> None:
    """What `help` does not show is there."""
    connector = aioconnect.Connector(timeout=5)
    assert dataclasses.replace(connector, timeout=6) == aioconnect.Connector(timeout=6)
    assert dataclasses.asdict(connector)["timeout"] == 5
    assert not hasattr(connector, "__dict__")
    assert [*inspect.signature(aioconnect.Connector).parameters] == [*OPTIONS]
    with pytest.raises(dataclasses.FrozenInstanceError):
        connector.timeout = 6  # type: ignore[misc]  # that is the test
