"""Compare what a block printed with what its page shows."""

from __future__ import annotations

import difflib
import re
from collections import Counter

__all__ = ["difference", "error_difference", "normalised"]

# What differs from run to run, and what stands for it.  A duration can be "0.31 s",
# "1m30s" or "5 ms"; the ports are those of the ephemeral range.
_UNIT = r"\d+(?:\.\d+)?[ ]?(?:µs|us|ms|s|min|m|h)(?![A-Za-z])"
_PORT = r"3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|60\d{3}"
_BAR = "━─═·▏▎▍▌▋▊▉█░▒▓╸╺▁▂▃▄▅▆▇"
_SUBSTITUTES = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)?", "<when>"),
    (r"(?<![\w:.])\d\d:\d\d:\d\d(?:[.,]\d+)?(?![\w:])", "<when>"),
    (r"0x[0-9a-f]+", "<hex>"),
    (r"(?<!\w)(?=[a-f]*\d)[0-9a-f]{16,32}(?!\w)", "<hex>"),
    (r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", "<address>"),
    (rf"(?<![\w.])(?:{_UNIT})+", "<time>"),
    (r"(?:<time>\s*)+<time>", "<time>"),
    (r"(?<![\w.])\d+ (attempt|round|retr|tr)(?:s|y|ies)?(?!\w)", r"<n> \1s"),
    (r"(?<!\w)(attempt|round|fd|pid|Task|task)([ =-])\d+", r"\1\2<n>"),
    (
        rf"(?<![\w.])(?:{_PORT})(?!\d|[\w.]\d)",
        "<port>",
    ),
    (r"(?<![\w.])\d+\.\d+(?:e-?\d+)?(?![\w.]\d)", "<float>"),
    (r"(?<![\w.])\d+%", "<percent>"),
    (r"(?<![\w.])(?:\d+|<float>)/s(?!\w)", "<rate>"),
    (rf"\s*[{_BAR}](?:[{_BAR} ]*[{_BAR}])?(?: |$)", " <bar> "),
    (r"\s+", " "),
]
_COMPILED = [(re.compile(pattern), to) for pattern, to in _SUBSTITUTES]


def normalised(line: str) -> str:
    """Return *line* without what differs from run to run."""
    for pattern, to in _COMPILED:
        line = pattern.sub(to, line)
    return line.strip()


def _lines(text: str) -> list[str]:
    return [normalised(line) for line in text.strip("\n").splitlines()]


def _fits(expected: list[str], actual: list[str]) -> bool:
    """Tell whether they are equal; a line "..." stands for any lines."""
    if "..." not in expected:
        return expected == actual
    at = expected.index("...")
    if len(actual) < at or expected[:at] != actual[:at]:
        return False
    rest = expected[at + 1 :]
    return any(_fits(rest, actual[one:]) for one in range(at, len(actual) + 1))


def difference(expected: str, *actual: str, in_any_order: bool = False) -> str:
    """Return "" if one of *actual* is *expected*, or else how the first one differs."""
    wanted = _lines(expected)
    for text in actual:
        lines = _lines(text)
        if _fits(wanted, lines):
            return ""
        if in_any_order and Counter(wanted) == Counter(lines):
            return ""
    shown = difflib.unified_diff(
        wanted, _lines(actual[0]), "the page shows", "it printed", lineterm=""
    )
    return "\n".join(shown) + f"\n-- it printed:\n{actual[0]}"


def error_difference(expected: str, stdout: str, error: str) -> str:
    """Return the difference for a block that raised.

    *expected* ends with the last lines of the traceback, or begins it.
    """
    wanted, lines, out = _lines(expected), _lines(error), _lines(stdout)
    ends = (lines[at:] for at in range(len(lines)))
    if any(_fits(wanted, [*out, *end]) for end in ends):
        return ""
    return difference(expected, stdout + error)
