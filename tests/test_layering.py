"""The import graph: one direction only, and pure modules stay pure."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aioconnect

PACKAGE = Path(aioconnect.__file__).parent

# What each module may import of the package, in the order of the layers.
GRAPH: dict[str, set[str]] = {
    "_startup": set(),
    "_shown": set(),
    "_words": set(),
    "_address": {"_shown"},
    "_target": {"_address", "_shown"},
    "_place": {"_address", "_shown", "_target"},
    "_backoff": {"_address", "_shown"},
    "_errors": {"_address", "_shown"},
    "_history": {"_backoff", "_errors", "_place", "_shown"},
    "_guard": {"_address", "_shown"},
    "_order": {"_address"},
    "_eyeballs": {"_address"},
    "_event_types": {"_address", "_errors", "_shown"},
    "_events": {"_event_types"},
    "_cells": set(),
    "_timeline._steps": set(),
    "_timeline._story": {"_cells", "_timeline._steps"},
    "_timeline._waterfall": {"_cells", "_shown", "_timeline._story"},
    "_timeline._svg": {"_cells"},
    "_timeline._picture": {"_cells", "_timeline._story", "_timeline._svg"},
    "_timeline._narrator": {
        "_errors",
        "_event_types",
        "_shown",
        "_target",
        "_timeline._steps",
        "_timeline._story",
    },
    "_timeline": {
        "_event_types",
        "_events",
        "_timeline._narrator",
        "_timeline._picture",
        "_timeline._steps",
        "_timeline._story",
        "_timeline._waterfall",
    },
    "_waits": set(),
    "outcome": {"_address"},
    "sockopts": {"_address", "_backoff", "_shown"},
    "_sockets": {"_address", "_errors", "_shown", "outcome"},
    "_watchers": {"_errors", "_waits"},
    "_ready": {"_errors", "_shown", "_waits", "_watchers"},
    "_pending": {
        "_address",
        "_errors",
        "_shown",
        "_sockets",
        "_waits",
        "_watchers",
        "outcome",
    },
    "_sources": {"_address", "_order"},
    "_lookups": set(),
    "_resolver": {"_address", "_errors", "_lookups", "_shown", "_waits"},
    "_tls": {"_words", "_address", "_backoff", "_shown"},
    "_ownership": set(),
    "_adopt": {"_errors", "_ownership", "_shown", "_tls", "_watchers"},
    "_hooks": {"_ready", "_shown", "_sockets"},
    "_options": {
        "_address",
        "_backoff",
        "_events",
        "_hooks",
        "_guard",
        "_ready",
        "_resolver",
        "_shown",
        "_sockets",
        "_place",
        "_target",
        "_words",
        "outcome",
    },
    "_names": {
        "_address",
        "_errors",
        "_events",
        "_eyeballs",
        "_lookups",
        "_options",
        "_resolver",
        "_shown",
    },
    "_rounds": {
        "_address",
        "_backoff",
        "_errors",
        "_events",
        "_history",
        "_names",
        "_options",
        "_place",
        "_waits",
    },
    "_services": {
        "_backoff",
        "_errors",
        "_events",
        "_names",
        "_options",
        "_order",
        "_shown",
        "_place",
        "_target",
    },
    "_several": {
        "_address",
        "_errors",
        "_eyeballs",
        "_names",
        "_options",
        "_services",
        "_place",
    },
    "_racer": {
        "_address",
        "_errors",
        "_eyeballs",
        "_names",
        "_pending",
        "_rounds",
        "_several",
        "_waits",
        "outcome",
    },
    "_call": {
        "_address",
        "_adopt",
        "_errors",
        "_events",
        "_eyeballs",
        "_guard",
        "_names",
        "_options",
        "_pending",
        "_racer",
        "_ready",
        "_resolver",
        "_rounds",
        "_services",
        "_several",
        "_sockets",
        "_sources",
        "_place",
        "_waits",
        "_watchers",
        "outcome",
    },
    "_waiting": {
        "_address",
        "_backoff",
        "_call",
        "_errors",
        "_events",
        "_history",
        "_options",
        "_ready",
        "_place",
        "_sockets",
        "_waits",
    },
    "_reconnecting": {"_adopt", "_backoff", "_call", "_options", "_place"},
    "_reach": {
        "_address",
        "_adopt",
        "_call",
        "_errors",
        "_names",
        "_options",
        "_pending",
        "_rounds",
        "_shown",
        "_sockets",
        "_place",
        "_waits",
        "_watchers",
    },
    "_connector": {
        "_address",
        "_adopt",
        "_call",
        "_hooks",
        "_options",
        "_reach",
        "_reconnecting",
        "_services",
        "_shown",
        "_sockets",
        "_place",
        "_target",
        "_waiting",
        "_waits",
        "_tls",
    },
    "_api": {
        "_address",
        "_adopt",
        "_call",
        "_connector",
        "_errors",
        "_options",
        "_pending",
        "_reach",
        "_reconnecting",
        "_sockets",
        "_target",
        "_tls",
        "_words",
        "outcome",
    },
    "_as_base": {
        "_address",
        "_connector",
        "_place",
        "_reach",
        "_shown",
    },
    "_loops": {
        "_adopt",
        "_as_base",
        "_call",
        "_connector",
        "_hooks",
        "_options",
        "_reach",
        "_rounds",
        "_shown",
        "_sockets",
        "_place",
        "_watchers",
        "_tls",
    },
}
PURE = (
    "_address",
    "_backoff",
    "_cells",
    "_errors",
    "_event_types",
    "_eyeballs",
    "_guard",
    "_history",
    "_timeline._narrator",
    "_order",
    "_timeline._picture",
    "_shown",
    "_timeline._steps",
    "_timeline._story",
    "_timeline._svg",
    "_place",
    "_target",
    "_timeline._waterfall",
    "_words",
)
IMPURE = {"asyncio", "random", "threading", "time"}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return the modules of the package, and the others, that *path* imports."""
    own: set[str] = set()
    others: set[str] = set()
    within = path.parent.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [a.name for a in node.names]
            above = within[: len(within) + 1 - node.level]
            own |= {".".join((*above, name)) for name in names}
        elif isinstance(node, ast.ImportFrom):
            others.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
    return own, others


def test_every_module_has_its_place() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    inside = {f"_timeline.{path.stem}" for path in PACKAGE.glob("_timeline/_?*.py")}
    timeline = {"_timeline", *inside} - {"_timeline.__init__"}
    assert modules | timeline == set(GRAPH)


@pytest.mark.parametrize("name", GRAPH)
def test_imports(name: str) -> None:
    path = PACKAGE.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    own, others = imports(path)
    assert own == GRAPH[name]
    assert "aioconnect" not in others, "the package imports itself"
    if name in PURE:
        assert not others & IMPURE
    assert others <= {*sys.stdlib_module_names}, "a dependency at run time"


def test_a_graph() -> None:
    """No module imports one that comes after it in the table."""
    seen: set[str] = set()
    for name, allowed in GRAPH.items():
        assert allowed <= seen
        seen.add(name)


def test_importing_is_cheap() -> None:
    """Importing the package imports no command line and no optional partner."""
    code = "import aioconnect, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.startswith("aioconnect._cli")}
    partners = {"anyio", "httpcore", "httpx", "opentelemetry", "rich"}
    assert not loaded & {*partners, "uvloop", "pytest", "argparse"}
    late = ("_event_types", "_guard", "_loops", "_startup", "_timeline", "sockopts")
    assert not loaded & {f"aioconnect.{name}" for name in late}


def test_what_is_imported_late_is_listed() -> None:
    """And it is looked for but once."""
    code = (
        "import aioconnect; late = {'Timeline', 'Event', 'only_public'};"
        "assert late <= {*dir(aioconnect)} and not late & {*vars(aioconnect)};"
        "aioconnect.Timeline; assert 'Timeline' in vars(aioconnect)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("option", "module"), [("observer", "_event_types"), ("allow", "_guard")]
)
def test_what_an_option_needs_is_there_before_it_is_needed(
    option: str, module: str
) -> None:
    """It is imported with the option, while there is nothing that could fail (K14)."""
    code = (
        f"import aioconnect, sys; aioconnect.Connector({option}=print);"
        f"assert 'aioconnect.{module}' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
