"""The layers: each imports itself and what stands below it, and no other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aioconnect

PACKAGE = Path(aioconnect.__file__).parent

# From the bottom to the top.  What stands in no folder is what users import.
LAYERS = ("_sansio", "_io", "_calls", "public", "for others")
FOLDERS = {
    "_sansio": "_sansio",
    "_io": "_io",
    "_calls": "_calls",
    "_cli": "for others",
    "contrib": "for others",
    "testing": "for others",
}

# Code that decides may not look at a clock, ask the system, or wait.
IMPURE = {"asyncio", "os", "random", "select", "subprocess", "threading", "time"}

# Of `socket` it may use constants, types, and functions that do not ask the system.
PURE_OF_SOCKET = re.compile(
    "[A-Z][A-Z0-9_]*|AddressFamily|SocketKind|gaierror|inet_ntop|inet_pton"
)

MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: tuple[str, ...]) -> int:
    """Return the layer of *module*, the parts of its name, counted from the bottom."""
    return LAYERS.index(FOLDERS.get(module[0] if module else "", "public"))


def imports(path: Path) -> tuple[set[tuple[str, ...]], set[str]]:
    """Return the modules of the package, and the others, that *path* imports."""
    own: set[tuple[str, ...]] = set()
    others: set[str] = set()
    within = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = within[: len(within) + 1 - node.level]
            named = node.module.split(".") if node.module else ()
            ends = [()] if named else [(alias.name,) for alias in node.names]
            own |= {(*above, *named, *end) for end in ends}
        elif isinstance(node, ast.ImportFrom):
            others.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
    return own, others


@pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)
def test_imports(path: Path) -> None:
    own, others = imports(path)
    name = path.relative_to(PACKAGE).parts
    layer = layer_of(name if len(name) > 1 else ())
    above = [".".join(one) for one in own if layer_of(one) > layer]
    assert not above or name == ("__main__.py",), "it imports what stands above it"
    assert "aioconnect" not in others, "the package imports itself"
    if layer < LAYERS.index("for others"):
        assert others <= {*sys.stdlib_module_names}, "a dependency at run time"
    if name[0] == "_sansio":
        assert not others & IMPURE


def names_of_socket(path: Path) -> set[str]:
    """Return the names in the `socket` module that *path* uses or imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names |= {node.attr} if node.value.id == "socket" else set()
        elif isinstance(node, ast.ImportFrom) and node.module == "socket":
            names |= {alias.name for alias in node.names}
    return names


def test_decisions_do_not_ask_the_system() -> None:
    """No module of _sansio calls getaddrinfo, getservbyname, and the like."""
    modules = sorted((PACKAGE / "_sansio").rglob("*.py"))
    used = {path.name: names_of_socket(path) for path in modules}
    assert "AF_INET6" in used["addresses.py"]
    for module, names in used.items():
        impure = {name for name in names if not PURE_OF_SOCKET.fullmatch(name)}
        assert not impure, module


def test_importing_is_cheap() -> None:
    """Importing the package imports no command line and no optional partner."""
    code = "import aioconnect, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.startswith("aioconnect._cli")}
    partners = {"aiohttp", "anyio", "httpcore", "httpx", "opentelemetry", "rich"}
    partners |= {"httpcore2", "httpx2"}
    assert not loaded & {*partners, "uvloop", "pytest", "argparse"}
    late = ("_loops", "_startup", "_timeline")
    late_values = ("events", "ip_filter")
    assert not loaded & {f"aioconnect.{name}" for name in late}
    assert not loaded & {f"aioconnect._sansio.{name}" for name in late_values}


def test_what_is_imported_late_is_listed() -> None:
    """And it is looked for but once."""
    code = (
        "import aioconnect; late = {'Timeline', 'Event', 'only_public'};"
        "assert late <= {*dir(aioconnect)} and not late & {*vars(aioconnect)};"
        "aioconnect.Timeline; assert 'Timeline' in vars(aioconnect)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("option", "module"),
    [("observer", "_sansio.events"), ("allow", "_sansio.ip_filter")],
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
