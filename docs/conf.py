"""Build the site: ``sphinx-build -W -b html docs build/site``, without the network."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

from aioconnect import __version__  # noqa: E402  # it is the checkout's

SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"][
    "Source"
]

project = "aioconnect"
author = "The aioconnect authors"
copyright = author  # noqa: A001  # Sphinx calls it so
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    # Of this folder: it shows docstrings.
    "_reference",
]
exclude_patterns = ["_build"]

# The anchors are GitHub's, so that links lead to the same heading in both places.
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80

highlight_language = "text"
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = "aioconnect"
html_copy_source = False
html_theme_options = {
    "source_repository": f"{SOURCE}/",
    "source_branch": "main",
    "source_directory": "docs/",
}

LINK = re.compile(r"(?<!!)(\[[^\]]*\]\()([^)\s]+)(\))")
FENCED = re.compile(r"(^[ ]*```.*?^[ ]*```[ ]*$)", re.MULTILINE | re.DOTALL)


def for_the_site(text: str, page: Path) -> str:
    """Return the *text* of *page* with links that lead somewhere on the site, too.

    A link to a file outside of docs/ leads to the repository.
    """

    def resolve(found: re.Match[str]) -> str:
        path, hash_, anchor = found[2].partition("#")
        if not path or ":" in path:
            return found[0]
        target = Path(os.path.normpath(page.parent / path))
        if target == ROOT / "CHANGELOG.md":
            target = DOCS / "changelog.md"
        if target.is_relative_to(DOCS) and target.suffix == ".md":
            url = os.path.relpath(target, SITE.get(page, page).parent)
        else:
            kind = "tree" if target.is_dir() else "blob"
            url = f"{SOURCE}/{kind}/main/{target.relative_to(ROOT)}"
        return f"{found[1]}{url}{hash_}{anchor}{found[3]}"

    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(resolve, part) for part in parts[::2]]
    return "".join(parts)


# Pages that come from elsewhere, and where they are on the site.
SITE = {ROOT / "CHANGELOG.md": DOCS / "changelog.md"}


def _read(_: Sphinx, docname: str, source: list[str]) -> None:
    page = DOCS / f"{docname}.md"
    for original, shown in SITE.items():
        if shown == page:
            page, source[0] = original, original.read_text()
    source[0] = for_the_site(source[0], page)


def setup(app: Sphinx) -> None:
    """Change the links of each page that is read."""
    app.connect("source-read", _read)
