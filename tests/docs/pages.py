"""Find the blocks of a page, and the hidden comments that say how to run them.

docs/development/documentation.md has the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from docs.stage import Entry, entries_of

__all__ = ["ROOT", "Block", "PageError", "blocks_of", "codes_of", "pages"]

ROOT = Path(__file__).parents[2]

# The languages of blocks that are run, and of those that are only shown.
RUN = ("python", "console")
SHOWN = ("text", "sh", "yaml", "dockerfile", "toml", "ini", "json")

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>.*)$")
COMMENT = re.compile(r"^<!--(?P<text>.*?)-->[ ]*$", re.DOTALL | re.MULTILINE)


class PageError(Exception):
    """A page has a block or a comment that nothing understands."""


@dataclass(frozen=True)
class Block:
    """A block of *page*, whose code begins at *line* (the first line is 1).

    *expected* is what it prints, if the page says so.  *setup* is hidden code that runs
    before it, from *setup_line*.  *not_run* is the reason not to run it, or "".
    """

    page: Path
    line: int
    language: str
    code: str
    stage: tuple[Entry, ...] = ()
    setup: str = ""
    setup_line: int = 0
    not_run: str = ""
    expected: str | None = None

    @property
    def where(self) -> str:
        """The page and the line."""
        return f"{named(self.page)}:{self.line}"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name


def pages() -> list[Path]:
    """Return the README, and each page but those for developers."""
    docs = ROOT / "docs"
    found = (page for page in docs.rglob("*.md") if "development" not in page.parts)
    return [ROOT / "README.md", *sorted(found)]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of *page* that can be run, each with its comments.

    Raises:
        PageError: There is a fence or a comment that nothing understands.
    """
    lines = page.read_text().splitlines()
    blocks: list[Block] = []
    whole: dict[str, str] = {}
    start = 0  # the line after the last block
    for block in _fenced(page, lines):
        before = "\n".join(lines[start : block.line - 2])
        own = _comments(page, start, before, whole if not start else None)
        start = block.line + block.code.count("\n") + 1
        if block.language in RUN:
            blocks.append(_with(block, whole, own))
        elif own:
            raise PageError(f"{block.where}: a comment before a block that never runs")
        elif block.language == "text" and blocks and _follows(blocks[-1], before):
            blocks[-1] = replace(blocks[-1], expected=block.code)
    return blocks


def codes_of(page: Path, language: str) -> list[str]:
    """Return the code of each block in *language*, which may be one only shown.

    Raises:
        PageError: There is a fence that nothing understands.
    """
    blocks = _fenced(page, page.read_text().splitlines())
    return [block.code for block in blocks if block.language == language]


def _fenced(page: Path, lines: list[str]) -> Iterator[Block]:
    """Yield each block with a fence around it, of any language."""
    opened: re.Match[str] | None = None
    at = 0
    for number, line in enumerate(lines, 1):
        found = FENCE.match(line)
        if opened is None:
            if found and "`" not in found["language"]:
                opened, at = found, number
        elif found and found["fence"].startswith(opened["fence"]):
            if found["language"].strip():
                raise PageError(f"{named(page)}:{number}: a fence in a fence")
            indent = len(opened["indent"])
            code = "".join(f"{one[indent:]}\n" for one in lines[at : number - 1])
            language = _language(page, at, opened["language"])
            yield Block(page, at + 1, language, code)
            opened = None
    if opened is not None:
        raise PageError(f"{named(page)}:{at}: a fence that nothing closes")


def _language(page: Path, at: int, text: str) -> str:
    if text in RUN or text in SHOWN:
        return text
    path = named(page)
    if text.startswith("{") and ("reference" in page.parts or page.name == "index.md"):
        return "directive"
    known = ", ".join((*RUN, *SHOWN))
    raise PageError(f"{path}:{at}: nothing runs {text!r}; the languages are {known}")


def _comments(
    page: Path, start: int, before: str, whole: dict[str, str] | None
) -> dict[str, tuple[str, int]]:
    """Return the comments at the end of *before*, and their lines.

    The stage of the whole page goes into *whole*: only the title is before it.
    """
    own: dict[str, tuple[str, int]] = {}
    end = len(before)
    for comment in reversed([*COMMENT.finditer(before)]):
        line = start + before[: comment.start()].count("\n") + 1
        verb, text = _verb(comment["text"], f"{named(page)}:{line}")
        if verb == "stage" and whole is not None and _is_top(before, comment):
            whole[verb] = text
        elif not before[comment.end() : end].strip():
            end = comment.start()
            if not verb:
                raise PageError(f"{named(page)}:{line}: nothing understands it")
            own[verb] = (text, line)
        elif verb:
            raise PageError(f"{named(page)}:{line}: {verb!r} is not before a block")
    return own


def _is_top(before: str, comment: re.Match[str]) -> bool:
    """Tell whether only a heading, or other comments, are before *comment*."""
    rest = COMMENT.sub("", before[: comment.start()])
    return all(not line or line.startswith("#") for line in rest.splitlines())


def _verb(text: str, where: str) -> tuple[str, str]:
    if found := re.match(r"\s*(stage|not run):\s*(.*\S)\s*$", text, re.DOTALL):
        return found[1], found[2]
    if found := re.match(r"\s*setup[ ]*\n(.*)$", text, re.DOTALL):
        return "setup", found[1].rstrip() + "\n"
    if re.match(r"\s*(stage|not.run|setup)\b", text):
        raise PageError(f"{where}: write 'stage: ...', 'not run: ...' or 'setup'")
    return "", text


def _with(
    block: Block, whole: dict[str, str], own: dict[str, tuple[str, int]]
) -> Block:
    none = ("", 0)
    try:
        mine = entries_of(own.get("stage", none)[0])
        others = entries_of(whole.get("stage", ""))
    except ValueError as exc:
        raise PageError(f"{block.where}: {exc}") from None
    hosts = {one.host for one in mine}
    stage = (*(one for one in others if one.host not in hosts), *mine)
    setup, line = own.get("setup", none)
    reason = own.get("not run", none)[0]
    return replace(block, stage=stage, setup=setup, setup_line=line + 1, not_run=reason)


def _follows(block: Block, between: str) -> bool:
    """Tell whether a text after *between* is what *block* prints."""
    if block.language != "python" or block.expected is not None:
        return False
    paragraph = between.strip()
    return not paragraph or ("\n\n" not in paragraph and paragraph.endswith(":"))
