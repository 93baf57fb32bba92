"""What the documentation names exists, and the programs that it shows run."""

from __future__ import annotations

import ast
import contextlib
import errno
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from docs.conf import SOURCE, for_the_site

ROOT = Path(__file__).parent.parent
FACTS = ROOT / "docs" / "development" / "kernel-facts.md"

PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("CONTRIBUTING.md", "README.md", "SECURITY.md")),
]

# The folders with the code that may cite a fact, and that pages may name.
FOLDERS = ("aioconnect", "benchmarks", "tests")

# A heading of a fact, and how comments and docstrings cite one.
HEADING = re.compile(r"^## (K\d+): \S", re.MULTILINE)
CITED = re.compile(r"\bK\d+\b")

# A file or a folder of the repository, with the test in it that is meant.
NAMED = re.compile(
    rf"(?<![\w./-])(?P<path>(?:{'|'.join((*FOLDERS, 'docs'))})/[\w./-]*)"
    r"(?:::(?P<test>\w+))?"
)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

# A program whose first line says how to run it, and what it prints.
PROGRAM = re.compile(
    r"^```python\n(# Run: (?P<run>.*?)python (?P<name>\w+)\.py\n.*?)^```\n\n"
    r"^```text\n(?P<says>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix(""))


def named_in(page: Path) -> set[tuple[str, str | None]]:
    """Return the paths, and the tests in them, that *page* has in backticks."""
    text = FENCED.sub("", page.read_text())
    return {
        (match["path"].rstrip("."), match["test"])
        for code in CODE.findall(text)
        for match in NAMED.finditer(code)
    }


def links_of(page: Path) -> set[str]:
    """Return the links of *page* to other files and to headings."""
    text = FENCED.sub("", page.read_text())
    return {link for link in LINK.findall(text) if "://" not in link}


def anchors_of(page: Path) -> set[str]:
    """Return what links to the headings of *page* end with, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    bare = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in bare}


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Return the names of the functions that *path* defines, methods too."""
    nodes = ast.walk(ast.parse(path.read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in nodes if isinstance(node, kinds))


def test_each_fact_is_there_once() -> None:
    """K1, K2, ... in this order, without a gap; the table at the top has the same."""
    text = FACTS.read_text()
    headings = HEADING.findall(text)
    assert headings == [f"K{number}" for number in range(1, len(headings) + 1)]
    assert re.findall(r"^\| \[(K\d+)\]", text, re.MULTILINE) == headings


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_fact_that_is_cited_is_explained(folder: str) -> None:
    """A reader who meets "K10" in a comment can look it up."""
    known = set(HEADING.findall(FACTS.read_text()))
    missing = {
        f"{path.relative_to(ROOT)}: {fact}"
        for path in (ROOT / folder).rglob("*.py")
        for fact in set(CITED.findall(path.read_text())) - known
    }
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_file_that_is_named_exists(page: Path) -> None:
    missing = {path for path, _ in named_in(page) if not (ROOT / path).exists()}
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_test_that_is_named_exists(page: Path) -> None:
    missing = {
        f"{path}::{test}"
        for path, test in named_in(page)
        if test is not None
        and (ROOT / path).exists()
        and test not in functions_of(ROOT / path)
    }
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading in it if one is named."""
    broken: set[str] = set()
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        other = page.parent / path if path else page
        if not other.exists() or (anchor and anchor not in anchors_of(other)):
            broken.add(link)
    assert not broken


@pytest.mark.parametrize(
    ("page", "link", "on_the_site"),
    [
        ("docs/howto/tls.md", "checks.md#tls", "checks.md#tls"),
        ("docs/howto/tls.md", "#a-heading", "#a-heading"),
        ("docs/howto/tls.md", "https://a.example/b.md", "https://a.example/b.md"),
        ("docs/howto/tls.md", "../../CHANGELOG.md", "../changelog.md"),
        ("docs/index.md", "../README.md#a", f"{SOURCE}/blob/main/README.md#a"),
        ("docs/index.md", "../tests/cli", f"{SOURCE}/tree/main/tests/cli"),
        ("CHANGELOG.md", "docs/howto/tls.md", "howto/tls.md"),
        ("CHANGELOG.md", "SECURITY.md", f"{SOURCE}/blob/main/SECURITY.md"),
    ],
)
def test_links_on_the_site(page: str, link: str, on_the_site: str) -> None:
    """A link to a file outside of docs/ leads to the repository; code is no link."""
    text = f"[one]({link})\n```python\na[0]({link})\n```\n![picture](../a.svg)\n"
    shown = text.replace(f"[one]({link})", f"[one]({on_the_site})")
    assert for_the_site(text, ROOT / page) == shown


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_function_that_is_named_exists(page: Path) -> None:
    """It is defined in the file: "`function` in `file`", or a row of the map."""
    text = FENCED.sub("", page.read_text())
    pairs = re.findall(r"`([\w.]+)`\s+in\s+`([\w/]+\.py)`", text)
    rows = re.findall(r"\| `([\w/]+\.py)` \| `([\w.]+)`", text)
    pairs += [(name, path) for path, name in rows]
    missing = {
        f"{name} in {path}"
        for name, path in pairs
        if (ROOT / path).exists() and not is_defined(name.split("."), ROOT / path)
    }
    assert not missing


def is_defined(names: list[str], path: Path) -> bool:
    """Tell whether each of *names* is defined or assigned somewhere in *path*."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    known = {node.name for node in nodes if isinstance(node, kinds)}
    stored = (node for node in nodes if isinstance(node, ast.Name))
    known |= {node.id for node in stored if isinstance(node.ctx, ast.Store)}
    return known.issuperset(names)


PROGRAMS = {match["name"]: match for match in PROGRAM.finditer(FACTS.read_text())}


def test_each_fact_has_a_program() -> None:
    """And no program of the page is left out here."""
    assert [name.upper() for name in PROGRAMS] == HEADING.findall(FACTS.read_text())
    assert FACTS.read_text().count("```python\n") == len(PROGRAMS)


def needs_of(program: str) -> list[str]:
    """Return what the second line of *program* says that it needs."""
    found = re.match(r"# Run: .*\n# Needs: (.*)\n", program)
    return found[1].split(", ") if found else []


VERSIONS: dict[str, Callable[[], str]] = {
    "Linux": lambda: platform.release() if platform.system() == "Linux" else "",
    "glibc": lambda: platform.libc_ver()[1],
    "uvloop": lambda: metadata.version("uvloop"),
}


def skip_unless_there(need: str) -> None:
    """Skip unless this machine has what a program needs, or was seen with."""
    kind, _, version = need.partition(" ")
    if kind == "Python":
        if sys.version_info >= (3, 14):  # "3.11 to 3.13", and older ones run nothing
            pytest.skip(f"was seen with Python {version}")
    elif kind in VERSIONS:
        if not is_version(VERSIONS[kind](), version):
            pytest.skip(f"was seen with {kind} {version}")
    elif kind == "IPv6":
        skip_unless_answered(socket.AF_INET6, ("::1", 1))
    elif kind == "vsock":
        skip_unless_answered(socket.AF_VSOCK, (1, 1))
    elif shutil.which(need) is None:
        pytest.skip(f"needs the program {need}")


def is_version(version: str, beginning: str) -> bool:
    return f"{version}.".startswith(f"{beginning}.")


def skip_unless_answered(family: int, sockaddr: tuple[str | int, int]) -> None:
    """Skip unless this machine can be connected to, if only with a refusal."""
    code = errno.EAFNOSUPPORT
    with contextlib.suppress(OSError), socket.socket(family) as sock:
        sock.setblocking(False)
        code = sock.connect_ex(sockaddr)
    if code not in (0, errno.ECONNREFUSED, errno.EINPROGRESS):
        pytest.skip(f"needs a way to {sockaddr[0]}: {os.strerror(code)}")


def skip_unless_allowed(unshare: list[str]) -> None:
    try:
        probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if probe.returncode:
        pytest.skip(f"namespaces are not allowed here: {probe.stderr!r}")


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_print_what_the_page_says(name: str, tmp_path: Path) -> None:
    """Each is run as its first line says, where this machine lets it."""
    program = PROGRAMS[name]
    for need in needs_of(program[1]):
        skip_unless_there(need)
    unshare = program["run"].split()
    if unshare:
        skip_unless_allowed(unshare)
    script = tmp_path / f"{name}.py"
    script.write_text(program[1])
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}
    done = subprocess.run(
        [*unshare, sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
        env=env,
    )
    if "PermissionError" in done.stderr:
        pytest.skip(f"not allowed here: {done.stderr.splitlines()[-1]}")
    assert done.stdout == program["says"], done.stderr
