"""Draw timelines as text; some tests look at the SVG of the same, too."""

from __future__ import annotations

from typing import Any

import pytest
from timeline.scripted import REFUSED, failed, many_rounds, race, tags, tcp

import aioconnect
from aioconnect import Timeline


def lines(*said: str) -> str:
    return "\n".join(said)


def test_text() -> None:
    wrong = "[SSL] wrong version numb…"
    assert race().to_text(end=10.8) == lines(
        "db.test:5432: connecting for 800 ms",
        "                             0           800 ms",
        "- lookup db.test             ──────────────     600 ms no answer, dropped",
        "✓ lookup AAAA db.test         ──                 50 ms [2001:db8::1]:5432",
        "✓ lookup A db.test            ────              150 ms 192.0.2.1:5432",
        "- attempt [2001:db8::1]:5432   ━━━━━━━━━━━━     500 ms no answer, dropped",
        "✓ attempt 192.0.2.1:5432            ━━           50 ms connected",
        "✗ tls 192.0.2.1:5432                  ═════     200 ms " + wrong,
        "  wait for round 2                        ····· 200 ms not over",
    )


def test_text_in_few_columns() -> None:
    """In few columns a step has two lines, and is truncated if necessary."""
    assert race().to_text(40, end=10.8) == lines(
        "db.test:5432: connecting for 800 ms",
        "  0           800 ms",
        "- lookup db.test                  600 ms",
        "  ──────────────     no answer, dropped",
        "✓ lookup AAAA db.test              50 ms",
        "   ──                [2001:db8::1]:5432",
        "✓ lookup A db.test                150 ms",
        "   ────              192.0.2.1:5432",
        "- attempt [2001:db8::1]:5432      500 ms",
        "    ━━━━━━━━━━━━     no answer, dropped",
        "✓ attempt 192.0.2.1:5432           50 ms",
        "         ━━          connected",
        "✗ tls 192.0.2.1:5432              200 ms",
        "           ═════     [SSL] wrong versio…",
        "  wait for round 2                200 ms",
        "               ····· not over",
    )


def test_colors() -> None:
    """Each outcome has its own color, and there is none by default."""
    plain = race().to_text(end=10.8)
    assert "\x1b" not in plain
    colored = race().to_text(end=10.8, color=True)
    assert "\x1b[31m✗\x1b[0m tls" in colored
    assert "\x1b[32m✓\x1b[0m lookup" in colored
    for code in ("0", "1", "2", "31", "32"):
        colored = colored.replace(f"\x1b[{code}m", "")
    assert colored == plain


def test_many_rounds() -> None:
    """Repeated rounds are folded, in the text and in the SVG."""
    timeline = many_rounds(30)
    times = "\N{MULTIPLICATION SIGN}"
    assert timeline.to_text(end=15.0) == lines(
        "db:5432: connecting for 15.000 s, 30 rounds",
        "                         0         15.000 s",
        "✗ attempt 192.0.2.1:5432 ━                    100 ms connection refused",
        "  wait for round 2       ·                    400 ms",
        "✗ attempt 192.0.2.1:5432 ━                    100 ms connection refused",
        "  wait for round 3       ··                   400 ms",
        "✗ attempt 192.0.2.1:5432  ━                   100 ms connection refused",
        "  wait for round 4        ·                   400 ms",
        "  rounds 4 to 27          ━━━━━━━━━━━━━━━   11.600 s 22 "
        f"{times} connection refused, 2…",
        "✗ attempt 192.0.2.1:5432                 ━    100 ms connection refused",
        "  wait for round 29                      ·    400 ms",
        "✗ attempt 192.0.2.1:5432                 ━    100 ms connection refused",
        "  wait for round 30                      ··   400 ms",
        "✗ attempt 192.0.2.1:5432                  ━   100 ms connection refused",
        "  wait for round 31                       ·   400 ms not over",
    )
    svg = timeline.to_svg(end=15.0)
    assert f"22 {times} connection refused, 2 {times} no answer yet" in svg
    assert svg.count("<g>") == 13
    assert len(many_rounds(8).to_text().splitlines()) == 2 + 8 * 2


def test_very_many_addresses() -> None:
    """Steps of a single round can be left out too; a row says so instead."""
    timeline = Timeline()
    for number in range(600):
        address = tcp("192.0.2.1", number + 1)
        timeline(aioconnect.AttemptStarted(1.0, address, 1))
        timeline(failed(2.0, address, REFUSED))
    rows = timeline.to_text(120).splitlines()[2:]
    assert len(rows) == 513
    assert "attempt 192.0.2.1:64 " in rows[63]
    assert rows[64].split() == [
        *["rounds", "1", "to", "1", "0"],
        *["88", "steps", "not", "kept"],
    ]
    assert "attempt 192.0.2.1:153 " in rows[65]


def test_long_rounds() -> None:
    """Steps that are left out are counted in the row of the folded rounds."""
    timeline = many_rounds(20)
    for number in range(600):
        timeline(aioconnect.AttemptStarted(20.0, tcp("192.0.2.2", number + 1), 21))
    rows = timeline.to_text(120).splitlines()[2:]
    assert [row.split()[:4] for row in rows if "rounds" in row] == [
        ["rounds", "4", "to", "21"]
    ]
    assert sum("128 steps not kept" in row for row in rows) == 1


def test_nothing() -> None:
    """Before the first event, all forms say that there is nothing yet."""
    timeline = Timeline()
    assert timeline.to_text(end=1e6) == "nothing yet: connecting for 0"
    assert timeline.to_dict(end=1e6)["elapsed"] == 0
    assert tags(timeline.to_svg())
    timeline.ended(1e6)
    assert timeline.to_text() == "nothing yet: cancelled after 0"


@pytest.mark.parametrize("width", [19, 0, -1])
def test_too_narrow(width: int) -> None:
    with pytest.raises(ValueError, match="width must be 20 or more"):
        Timeline().to_text(width)


@pytest.mark.parametrize("width", ["80", None, 80.5, True])
def test_no_width(width: Any) -> None:
    with pytest.raises(TypeError, match=f"width must be an int, not {width!r}"):
        Timeline().to_text(width)
