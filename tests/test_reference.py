"""The reference pages name everything that is public, as it is."""

from __future__ import annotations

import builtins
import contextlib
import errno
import importlib
import importlib.util
import inspect
import json
import re
import socket
import ssl
import tomllib
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

import aioconnect
from aioconnect import _cli, checks
from aioconnect._calls import lookup_queue, reconnecting, wait_for_server
from aioconnect._io import getaddrinfo_pool
from aioconnect._sansio import (
    deadline,
    error_report,
    happy_eyeballs,
    history,
    retry_schedule,
)
from aioconnect._timeline import model
from aioconnect.testing import late, refusing

DOCS = Path(__file__).parent.parent / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted(REFERENCE.glob("*.md"))

PUBLIC_MODULES = [
    "aioconnect",
    "aioconnect.checks",
    "aioconnect.outcome",
    "aioconnect.sockopts",
    "aioconnect.testing",
    "aioconnect.testing.plugin",
    *(
        f"aioconnect.contrib.{path.stem}"
        for path in sorted(Path(aioconnect.__path__[0], "contrib").glob("[!_]*.py"))
    ),
]

# A directive that documents an object: ``.. autofunction:: aioconnect.connect``.
DIRECTIVE = re.compile(r"^\.\. (?:auto|py:)\w+:: (aioconnect[\w.]*)", re.MULTILINE)

# How the table calls defaults that are not numbers.
NAMED = {
    "family": "AF_UNSPEC",
    "outcome": "outcome.default",
    "resolver": "system_resolver",
    "retry_on": "is_transient",
}

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")


def page(name: str) -> str:
    return "\n" + (REFERENCE / f"{name}.md").read_text()


def script(name: str) -> ModuleType:
    """Import a module of the folder of the documentation."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table after *heading* that begins with it."""
    lines = iter(text[text.index(f"\n{heading}\n") :].splitlines())
    table: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line[1:-1])
            table.append([cell.strip() for cell in cells])
        elif table:
            break
    return table[2:]


def documented() -> list[str]:
    return [name for path in PAGES for name in DIRECTIVE.findall(path.read_text())]


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_each_public_name_is_documented_once(module: str) -> None:
    try:
        names: list[str] = importlib.import_module(module).__all__
    except ImportError as exc:
        pytest.skip(str(exc))
    found = documented()
    # A module of the package is documented as a module.
    wrong = {name: found.count(f"{module}.{name}") for name in names}
    assert {name: count for name, count in wrong.items() if count != 1} == {}


def test_each_documented_name_exists() -> None:
    """Nothing is documented that is gone, or never was public."""
    for name in documented():
        if name in PUBLIC_MODULES:
            continue
        module, _, attribute = name.rpartition(".")
        assert module in PUBLIC_MODULES, name
        with contextlib.suppress(ImportError):
            assert attribute in importlib.import_module(module).__all__, name


def test_each_option_is_in_the_table() -> None:
    """In the order of the fields, with its default."""
    table = rows(page("options"), "## The options")
    connector = aioconnect.Connector()
    assert [CODE.findall(row[0]) for row in table] == [
        [field.name] for field in fields(aioconnect.Connector)
    ]
    for name, default, _ in table:
        value = getattr(connector, name.strip("`"))
        said = default.partition(":")[0].strip("`")
        assert said == NAMED.get(name.strip("`"), str(value))


def test_each_call_is_in_the_table_of_options() -> None:
    table = rows(page("options"), "## Which call takes which option")
    named = {name for row in table for name in CODE.findall(row[0])}
    functions = {
        name
        for name in aioconnect.__all__
        if callable(getattr(aioconnect.Connector, name, None))
    }
    assert named == {*functions, "loop_factory"}


def test_fixed_numbers() -> None:
    """The table has the numbers of the code, in this order."""
    said = [
        float(number.replace(",", ""))
        for _, number in rows(page("options"), "## Numbers that are fixed")
        for number in re.findall(
            r"(?<![\w.=])\d[\d,]*(?:\.\d+)?(?![\w)]|[.,]\d)", number
        )
    ]
    assert said == [
        happy_eyeballs.MOST_LIVE,
        happy_eyeballs.MINIMUM_ATTEMPT_DELAY,
        happy_eyeballs.MAXIMUM_ATTEMPT_DELAY,
        deadline.LEAST_SHARE,
        retry_schedule._SHORTEST_LAST_ROUND,
        wait_for_server._ATTEMPT_TIMEOUT,
        checks.Check.attempt_timeout,
        reconnecting._FLUSH_TIMEOUT,
        getaddrinfo_pool.MOST_THREADS,
        getaddrinfo_pool.MOST_THREADS // 2,
        lookup_queue.MOST_TARGETS,
        lookup_queue._PATIENCE,
        history._LIFETIME / 60,
        history._MOST_ADDRESSES,
        history._IGNORED_ONCE_IN,
        history._RETRANSMISSION_ROUND_TRIPS,
        history._LEAST_DELAY,
        history._MOST_DELAY,
        error_report._FIRST_KEPT,
        error_report._LAST_KEPT,
        model._FIRST_KEPT,
        model._LAST_KEPT,
    ]


def test_each_error_is_in_the_table() -> None:
    """With the builtin exception that it also is."""
    known = {**vars(builtins), "ssl": ssl, "socket": socket}
    listed: dict[str, str] = {}
    for row in rows(page("errors"), "### Builtin bases and `errno`"):
        pairs = zip(CODE.findall(row[0]), CODE.findall(row[1]), strict=True)
        listed.update(pairs)
    errors = {
        name
        for name in aioconnect.__all__
        if inspect.isclass(value := getattr(aioconnect, name))
        and issubclass(value, Exception)
    }
    explained = {
        name
        for row in rows(page("errors"), "## Classes")
        for name in CODE.findall(row[0])
    }
    assert listed.keys() == explained == errors
    for name, builtin in listed.items():
        first, _, rest = builtin.partition(".")
        base: Any = known[first]
        base = getattr(base, rest) if rest else base
        assert issubclass(getattr(aioconnect, name), base), name


def test_which_error_is_worth_a_retry() -> None:
    """The predicates answer as the table says."""
    predicates = ("is_refused", "is_transient", "is_unknown_name")
    count = 0
    for listed, *answers in rows(page("errors"), "## What is tried again"):
        for code in re.findall(r"`(E\w+[A-Z])`", listed):
            is_lookup = code.startswith("EAI_")
            number = getattr(socket if is_lookup else errno, code)
            error = (socket.gaierror if is_lookup else OSError)(number, "")
            for name, answer in zip(predicates, answers, strict=True):
                assert getattr(aioconnect, name)(error) is (answer == "yes"), code
            count += 1
    assert count > 20


@pytest.mark.parametrize("heading", ["## The order of events", "## Fields"])
def test_each_event_is_in_the_table(heading: str) -> None:
    table = rows(page("events"), heading)
    named = {name for row in table for name in CODE.findall(row[0])}
    assert named == {event.__name__ for event in get_args(aioconnect.Event)}


def test_fields_of_events() -> None:
    """The table has each field, with its type."""
    for name, listed in rows(page("events"), "## Fields"):
        event: Any = getattr(aioconnect, name.strip("`"))
        said = [code for code in CODE.findall(listed) if ": " in code]
        assert said == [f"{f.name}: {f.type}" for f in fields(event) if f.name != "at"]


def test_the_flags_are_those_of_the_parsers() -> None:
    """To bring the page up to date, run ``python -m docs._command_line``."""
    module = script("_command_line")
    text = module.PAGE.read_text()
    assert module.updated(text) == text


def test_each_command_is_on_the_page() -> None:
    text = FENCED.sub("", page("command-line"))
    for name, command in script("_command_line").commands().items():
        assert f"\n## aioconnect {name}\n" in text
        flags = {*command._option_string_actions}
        section = text[text.index(f"\n## aioconnect {name}\n") + 1 :]
        section = section.partition("\n## ")[0]
        assert flags - {"-h", "--help"} <= {
            flag for code in CODE.findall(section) for flag in code.split()
        }


# How the page calls the types of JSON.
TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "str": str,
    "float": (int, float),
    "str or null": (str, type(None)),
    "float or null": (int, float, type(None)),
    "object or null": (dict, type(None)),
    "list of objects": list,
    "list of str": list,
}


def check_against_page(record: dict[str, Any], heading: str, *absent: str) -> None:
    """Assert that *record* has the keys and types of the table below *heading*."""
    table = {row[0].strip("`"): row[1] for row in rows(page("json"), heading)}
    assert [*record] == [key for key in table if key not in absent]
    for key, value in record.items():
        assert isinstance(value, TYPES[table[key]]), (key, value)
        if table[key] == "list of str":
            assert all(isinstance(one, str) for one in record[key])


def written(capfd: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    _cli.main(arguments)
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_records_of_probe(capfd: pytest.CaptureFixture[str]) -> None:
    """A record, its error and its steps have what the page says."""
    with late(0.1) as server, refusing() as closed:
        target, refused = (f"localhost:{one.port}" for one in (server, closed))
        (record,) = written(capfd, "probe", target, "--interval", "0.2", "--json")
        (failed,) = written(capfd, "probe", refused, "--json")
    for one in (record, failed):
        check_against_page(one, "## The record")
        for step in one["steps"]:
            check_against_page(step, "## A step")
    check_against_page(failed["error"], "## The error")
    kinds = {step["kind"] for step in record["steps"]}
    assert kinds == {"lookup", "attempt", "wait"}


def test_records_of_sweep(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with refusing() as closed:
        fleet = tmp_path / "fleet.txt"
        fleet.write_text(f"{closed.host}:{closed.port}\n")
        (record,) = written(capfd, "sweep", str(fleet), "--json")
    check_against_page(record, "## The record", "steps", "steps_left_out")
    check_against_page(record["error"], "## The error")


def test_the_record_on_the_page() -> None:
    (shown,) = re.findall(
        r"^```json\n(.*?)^```", page("json"), re.MULTILINE | re.DOTALL
    )
    record = json.loads(shown)
    check_against_page(record, "## The record")
    for step in record["steps"]:
        check_against_page(step, "## A step")


def test_each_variable_is_on_the_page() -> None:
    """Each environment variable that the package reads."""
    package = Path(aioconnect.__path__[0])
    source = "".join(path.read_text() for path in package.rglob("*.py"))
    read = re.findall(r"environ(?:\.get|ment)\(\"(\w+)\"", source)
    proxy = re.findall(r"\"((?:https|http|all|no)_proxy)\"", source, re.IGNORECASE)
    names = {*read, *proxy}
    assert len(names) > 8
    listed = {
        name
        for row in rows(page("environment"), "# Environment variables")
        for name in CODE.findall(row[0])
    }
    assert names <= listed


def test_each_extra_is_on_the_page() -> None:
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())
    text = page("versions")
    extras = {
        name for row in rows(text, "## Installing") for name in CODE.findall(row[0])
    }
    assert extras == {*project["project"]["optional-dependencies"]}


def test_sections_of_docstrings() -> None:
    """A section becomes a definition list, and nothing else changes."""
    convert = script("_reference").definition_lists
    assert convert(
        [
            "Connect.",
            "",
            "Options (seconds):",
            "    timeout=None: Limit of the",
            "        whole call.",
            "    retry=(): Delays.  (): none.",
            "",
            "Other options:",
            "    family=0, proto=0,",
            "    flags=0",
            "",
            "Raises:",
            "    ValueError, TypeError: No good.",
            "",
            "    $ an example",
            "a_ word",
        ]
    ) == [
        "Connect.",
        "",
        "Options (seconds):",
        "",
        "",
        "``timeout=None``",
        "    Limit of the",
        "    whole call.",
        "",
        "``retry=()``",
        "    Delays.  (): none.",
        "",
        "",
        "Other options:",
        "",
        "``family=0``, ``proto=0``, ``flags=0``",
        "",
        "",
        "Raises:",
        "",
        "",
        "`ValueError`, `TypeError`",
        "    No good.",
        "",
        "",
        "    $ an example",
        r"a\_word",
    ]
