"""Nothing that results.md shows of a result is older than the code that makes results."""

import re
import sys
from pathlib import Path

import pytest

from tests.support import screenshots
from tests.support.films import ROOT


def _named() -> set[str]:
    page = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    return set(re.findall(r"pictures/results/([\w-]+\.(?:jpg|txt))", page))


def test_the_page_shows_each_recorded_file_and_no_other() -> None:
    files = {path.name for path in screenshots.FOLDER.iterdir()} - {screenshots.RECORD.name}
    assert _named() == files == set(screenshots.recorded())


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the record is of sources as Python 3.11 writes them")
def test_no_picture_is_older_than_the_code_that_makes_results() -> None:
    """Make them anew with `make pictures`, and look at each."""
    recorded = screenshots.recorded()
    assert recorded
    for name, entry in recorded.items():
        assert entry == screenshots.entry(screenshots.FOLDER / name), f"{name} is out of date: make pictures"


def test_an_import_or_docstring_makes_no_picture_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "kind.py"
    monkeypatch.setattr(screenshots, "_SOURCES", tmp_path)
    source.write_text("from a import name\nWIDTH = name\n", encoding="utf-8")
    before = screenshots.digest_of_report()

    source.write_text('"""Words."""\n# Moved.\nfrom b import name\nWIDTH = name\n', encoding="utf-8")
    assert screenshots.digest_of_report() == before

    source.write_text("from b import name\nWIDTH = 2 * name\n", encoding="utf-8")
    assert screenshots.digest_of_report() != before
