"""What a package index is told, and the packages that a developer installs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

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


def test_each_url_is_of_the_repository() -> None:
    urls: dict[str, str] = PYPROJECT["project"]["urls"]
    assert all(url.startswith(urls["Source"]) for url in urls.values())
