"""Notebooks of the documentation: each runs, and shows what its text speaks of."""

import time
from pathlib import Path

import pytest

from docs import notebook
from tests.support.films import ROOT

NOTEBOOKS = [path for path in sorted((ROOT / "docs").glob("*/*.md")) if notebook.is_notebook(path.read_text("utf-8"))]
LONGEST_S = 60.0
"""Processor time of a notebook."""
FACTS = {
    "03-borders": ("no border is obscured", "middle lobe filled   Right heart border"),
    "04-projections": ("VIEW: View Position",),
    "10-maps": ("inside the filled lobe",),
    "12-scores": (
        "kept back: AUC 1.00",
        "called ill: 8 of 8 well films",
        "elsewhere       AUC of the mean gray value: 0.50",
    ),
}
"""What the text of a chapter rests on."""
IN_MAKE_TEST = ("03-borders", "10-maps", "12-scores")
IN_CI = pytest.mark.ci(short="test_a_notebook_runs_and_shows_pictures_with_captions[12-scores]")
COURSE = [path for path in NOTEBOOKS if path.parent.name == "learn"]


def shown(path: Path) -> tuple[str, list[notebook.Shown]]:
    """Run a notebook; return all that it prints, and what each cell shows."""
    cells = [cell for _, cell in notebook.run(path)]
    return "".join(cell.printed for cell in cells), cells


def test_the_course_has_twelve_chapters() -> None:
    assert [path.name[:2] for path in COURSE] == [f"{number:02}" for number in range(1, 13)]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=() if path.stem in IN_MAKE_TEST else IN_CI) for path in NOTEBOOKS],
)
def test_a_notebook_runs_and_shows_pictures_with_captions(path: Path) -> None:
    before = time.process_time()
    printed, cells = shown(path)

    assert time.process_time() - before < LONGEST_S
    assert printed
    assert [fact for fact in FACTS.get(path.stem, ()) if fact not in printed] == []
    pictures = [cell for cell in cells if cell.picture]
    assert pictures
    assert all(cell.caption for cell in pictures if path in COURSE)
