"""The test in docs/howto/testing.md that uses fixtures passes in pytest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import ROOT, codes_of
from programs import environment

# The tests of the documentation take longer than the README's command may.
pytestmark = pytest.mark.thorough

PAGE = ROOT / "docs" / "howto" / "testing.md"


def test_the_fixtures_of_the_page(tmp_path: Path) -> None:
    """With its ``conftest.py``, and every fixture of its table is one."""
    section = PAGE.read_text().partition("## In pytest\n")[2].partition("\n## ")[0]
    conftest, program = (code for code in codes_of(PAGE, "python") if code in section)
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    fixtures = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    asks = f"def test_each({', '.join(fixtures)}):\n    pass\n"
    (tmp_path / "test_page.py").write_text(f"{program}\n\n{asks}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env=environment(),
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert len(fixtures) == 11
