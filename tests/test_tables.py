"""The tables in the documentation are those that the tools write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from thrown import PAGE, ROWS, Thrown, rows_in

from benchmarks import report

COST = PAGE.with_name("cost.md")


def test_the_table_of_faults_has_all_rows() -> None:
    assert rows_in() == list(ROWS.values())


def test_the_table_of_faults_is_written_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "faults.md"
    page.write_text(PAGE.read_text())
    thrown = Thrown()
    for row in ROWS:
        thrown(row, "connected", 1234)
    thrown.write(page)
    text = page.read_text()
    assert thrown.table() in text
    assert rows_in(page) == list(ROWS.values())
    marked = re.compile("<!-- thrown -->.*?<!-- /thrown -->", re.DOTALL)
    assert marked.sub("", text) == marked.sub("", PAGE.read_text())


def test_a_page_without_marks_is_no_place_for_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks")
    with pytest.raises(pytest.UsageError, match="has no place for the table"):
        Thrown().write(page)


def test_the_table_of_bounds_is_that_of_the_stored_results(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report.main([]) == 0
    printed = capsys.readouterr().out
    marked = re.search(
        "<!-- bounds -->\n(.*?)<!-- /bounds -->", COST.read_text(), re.DOTALL
    )
    assert marked is not None
    assert marked[1] == printed
