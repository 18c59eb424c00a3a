"""Nothing that results.md shows of a result is older than the code that makes results."""

import re

from tests.support import screenshots
from tests.support.films import ROOT


def _named() -> set[str]:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    return set(re.findall(r"pictures/results/([\w-]+\.(?:jpg|txt))", page))


def test_the_page_shows_each_recorded_file_and_no_other() -> None:
    files = {path.name for path in screenshots.FOLDER.iterdir()} - {screenshots.RECORD.name}
    assert _named() == files == set(screenshots.recorded())


def test_no_picture_is_older_than_the_code_that_makes_results() -> None:
    """Make them anew with `make pictures`, and look at each."""
    recorded = screenshots.recorded()
    assert recorded
    for name, entry in recorded.items():
        assert entry == screenshots.entry(screenshots.FOLDER / name), f"{name} is out of date: make pictures"
