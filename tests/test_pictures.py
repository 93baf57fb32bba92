"""The pictures of the documentation are what their commands draw."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import demo_picture, probed, waterfalls

# Pages do not depend on the version of Python.
pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parent.parent
DRAWN = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
MEASURED = sorted((ROOT / "benchmarks" / "results").glob("*.svg"))

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ET.Element:
    root = ET.fromstring(svg)  # noqa: S314  # it is the repository's
    assert root.tag == f"{SVG}svg"
    return root


def texts_of(svg: str) -> list[str]:
    """Return the texts of *svg*, without what differs from run to run."""
    texts: list[str] = []
    for element in parsed(svg).iter(f"{SVG}text"):
        text = " ".join(" ".join(element.itertext()).split())
        text = re.sub(r":\d+", ":N", text)
        text = re.sub(r"\d[\d.]*\s?(?=m?s\b)", "N ", text)
        text = re.sub(r"[━─═·]+", "-", text)
        texts.append(re.sub(r"^(0|N m?s)$", "scale", text))
    return texts


@pytest.mark.parametrize("path", [*DRAWN, *MEASURED], ids=lambda path: path.stem)
def test_it_is_readable_on_any_page(path: Path) -> None:
    """It paints its background, and the text over it; nothing is loaded or run."""
    svg = path.read_text()
    root = parsed(svg)
    first = shapes(root)[0]
    assert first.tag == f"{SVG}rect"
    assert first.attrib["class"] in {"background", "screen"}
    for side in ("width", "height"):
        assert float(root.attrib[side]) - float(first.attrib[side]) <= 1
    assert not re.search(r"<script|<image|@import|(?:href|src)=|url\((?!#)", svg)
    assert path.stat().st_size < 200_000


def shapes(root: ET.Element) -> list[ET.Element]:
    """Return what is painted, in order."""
    found: list[ET.Element] = []
    for element in root:
        if element.tag == f"{SVG}g":
            found += shapes(element)
        elif element.tag in {f"{SVG}{kind}" for kind in ("rect", "path", "text")}:
            found.append(element)
    return found


def test_each_picture_has_its_command() -> None:
    stems = {path.stem for path in DRAWN}
    assert stems == {*waterfalls.WATERFALLS, demo_picture.PICTURE.stem}
    assert probed.PICTURE in MEASURED


@pytest.mark.parametrize("name", waterfalls.WATERFALLS)
def test_a_waterfall_is_what_its_command_draws(name: str) -> None:
    try:
        drawn = waterfalls.draw(name)
    except OSError as exc:
        pytest.skip(f"no IPv6 on the loopback interface: {exc}")
    stored = (waterfalls.PICTURES / f"{name}.svg").read_text()
    assert texts_of(drawn) == texts_of(stored)


def test_the_command_draws_what_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waterfalls.main([str(tmp_path / "new"), "deadline"]) == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["deadline.svg"]
    with pytest.raises(SystemExit):
        waterfalls.main([str(tmp_path), "dead-line"])
    assert "no waterfall dead-line" in capsys.readouterr().err


def test_the_demo_is_what_the_command_shows(tmp_path: Path) -> None:
    """The text is that of a run; the times are the animation's."""
    if importlib.util.find_spec("uvloop") is None:
        pytest.skip("the recorded demo has a scene on uvloop")
    path = tmp_path / "demo.svg"
    assert demo_picture.main([str(path)]) == 0
    drawn, stored = path.read_text(), demo_picture.PICTURE.read_text()
    if "There is no IPv6" in drawn:
        pytest.skip("no IPv6 on the loopback interface")
    assert without_rounds(texts_of(drawn)) == without_rounds(texts_of(stored))
    assert "@media (prefers-reduced-motion: no-preference)" in stored


def without_rounds(texts: list[str]) -> list[str]:
    """Return *texts* without the attempts, as many as the delays were drawn."""
    return [
        re.sub(r"\d+ rounds", "N rounds", text)
        for text in texts
        if not re.match(r"(✗ attempt|wait for round)", text)
    ]


def test_the_demo_needs_to_know_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo_picture.main([]) == 2
    assert "usage: python -m benchmarks.demo_picture FILE" in capsys.readouterr().err
