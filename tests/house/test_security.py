"""The threat model names tests that exist, and no line of it is without one."""

import re

from tests.support.films import ROOT

PAPER = (ROOT / "docs" / "reference" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_the_threat_model_names_exists() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", sources, flags=re.MULTILINE))

    assert set(re.findall(r"`(test_\w+)`", PAPER)) <= defined


def test_every_line_of_the_threat_model_names_a_test() -> None:
    lines = [line for line in PAPER.splitlines() if line.startswith("| ")][1:]

    assert len(lines) > 10
    assert [line for line in lines if "`test_" not in line] == []
