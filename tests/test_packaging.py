"""What a package index is told, and the packages that a developer installs."""

from __future__ import annotations

import os
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[str | dict[str, str]]] = PYPROJECT["dependency-groups"]

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def long_description() -> str:
    """Return the README with the substitutions that the build makes."""
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = README
    for substitution in hook["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    return text


def test_no_link_of_the_index_page_is_relative() -> None:
    """Each leads to the repository, and a picture to its bytes."""
    source: str = PYPROJECT["project"]["urls"]["Source"]
    raw = source.replace("github.com", "raw.githubusercontent.com")
    links = LINK.findall(FENCED.sub("", README))
    absolute = LINK.findall(FENCED.sub("", long_description()))
    assert len(links) == len(absolute)
    for link, shown in zip(links, absolute, strict=True):
        if link.endswith(".svg"):
            assert shown == f"{raw}/v$HFPR_VERSION/{link}"
        elif link.startswith("#") or "://" in link:
            assert shown == link
        else:
            assert shown == f"{source}/blob/v$HFPR_VERSION/{link}"


def test_the_index_page_has_the_code_of_the_readme() -> None:
    """Code like `a[0](b)` looks like a link, and must not become one."""
    assert FENCED.findall(long_description()) == FENCED.findall(README)


def test_each_linked_file_is_in_the_sdist() -> None:
    """Tests that run from there look for each file that a page links to."""
    sdist = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in LINK.findall(FENCED.sub("", page.read_text())):
            if "://" in link or link.startswith("#"):
                continue
            target = os.path.normpath(page.parent / link.partition("#")[0])
            path = f"/{Path(target).relative_to(ROOT)}"
            assert any(path.startswith(one) for one in sdist["include"]), link
            assert not any(fnmatch(path, one) for one in sdist["exclude"]), link


def test_each_url_is_of_the_repository() -> None:
    urls: dict[str, str] = PYPROJECT["project"]["urls"]
    assert all(url.startswith(urls["Source"]) for url in urls.values())


def commands() -> list[str]:
    """Return the lines that tell a developer to install from the checkout."""
    told = (
        "CONTRIBUTING.md",
        "benchmarks/__main__.py",
        "docs/development/documentation.md",
    )
    lines = "\n".join((ROOT / path).read_text() for path in told).splitlines()
    return [line for line in lines if re.search(r"pip install.* ('?\.|--group)", line)]


def test_each_command_names_extras_and_groups_that_exist() -> None:
    for command in commands():
        extras = re.findall(r"\.\[([\w,]+)\]", command)
        assert {name for found in extras for name in found.split(",")} <= {*EXTRAS}
        assert {*re.findall(r"--group (\S[\w-]*)", command)} <= {*GROUPS}


def test_each_command_with_a_group_upgrades_pip_first() -> None:
    """The pip of a new virtual environment can be too old for groups."""
    of_groups = [line for line in commands() if "--group " in line]
    assert {*re.findall(r"--group ([\w-]+)", "\n".join(of_groups))} == {*GROUPS}
    for command in of_groups:
        upgrade, _, install = command.partition(" && ")
        assert "pip install 'pip>=25.1'" in upgrade
        assert "--group" in install


def requirements() -> list[str]:
    """Return those of all extras and groups, without what includes another."""
    found = [one for extra in EXTRAS.values() for one in extra]
    return found + [
        one for group in GROUPS.values() for one in group if isinstance(one, str)
    ]


def test_a_package_has_one_oldest_version() -> None:
    """Wherever it is named: groups repeat what extras have."""
    oldest: dict[str, str] = {}
    for requirement in requirements():
        name, _, version = requirement.partition(">=")
        assert oldest.setdefault(name, version) == version, name


def test_no_group_names_the_package() -> None:
    """Without the checkout beside it, pip would look for it on the index."""
    name = PYPROJECT["project"]["name"]
    named = {group for group, found in GROUPS.items() if name in str(found)}
    assert not named
