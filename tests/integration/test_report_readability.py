"""What DCMTK's programs print of the default report: short, with the impression first."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize

from cxr_node.domain import concepts
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Laterality, Observation, Presence, Topic
from cxr_node.report.kinds import basic_text, secondary_capture, tid1500
from cxr_node.report.source import ReferredResult, ReportedFilm
from cxr_node.report.sr.tree import items
from tests.support import films
from tests.support.chromium import open_chromium
from tests.support.peers import program
from tests.support.readers import read_by_dsr2html
from tests.support.validators import run
from tests.unit.report.studies import everything, finding, parsed, read, request, square

_SCREEN: ViewportSize = {"width": 1920, "height": 1080}
_BOTTOM_OF = """words => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    if (texts.currentNode.data.includes(words)) {
      const range = document.createRange();
      range.selectNode(texts.currentNode);
      return range.getBoundingClientRect().bottom;
    }
  }
}"""


def _two_findings() -> ReportedFilm:
    """Return a film with two findings, the ratio and a quality, as the default report has them."""
    effusion = finding("Effusion", 0.8, Presence.PRESENT, laterality=Laterality.RIGHT, regions=(square(1, 1, 9),))
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, laterality=Laterality.LEFT, regions=(square(20, 1, 9),))
    film = read(films.dx(), opacity, effusion, measurements=everything(films.dx()).reading.measurements)
    usable = Observation(key="q", topic=Topic.QUALITY, code=concepts.QUALITY_ASSESSMENT, value=concepts.USABLE)
    return replace(film, reading=replace(film.reading, observations=(usable,)))


def _default_results(film: ReportedFilm) -> dict[str, Instance]:
    """Return the results of a destination's default settings, the report last."""
    results: list[ReferredResult] = []
    instances: dict[str, Instance] = {}
    for kind in (basic_text.TEXT, secondary_capture.PICTURE, tid1500.REPORT):
        (instances[kind.name],) = kind.compose(replace(request([film]), results=tuple(results)))
        results += kind.referred([instances[kind.name]])
    return instances


def _written(instance: Instance, folder: Path) -> Path:
    path = folder / "document.dcm"
    path.write_bytes(instance.content)
    return path


def test_dsrdump_prints_under_80_lines_with_the_impression_first(tmp_path: Path) -> None:
    report = _default_results(_two_findings())["report"]
    printed = run(program("dsrdump"), "+Pl", _written(report, tmp_path)).stdout.splitlines()

    assert len(printed) < 80
    (line,) = [number for number, text in enumerate(printed, start=1) if "IMPRESSION (AI, research use)" in text]
    assert line <= 15
    assert len(list(items(parsed(report)))) < 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium() as opened:
        yield opened


def test_dsr2html_shows_the_text_on_one_screen(browser: Browser, tmp_path: Path) -> None:
    path = _written(_default_results(_two_findings())["text"], tmp_path)
    assert _bottom(path, browser, "OFFIS DCMTK") <= _SCREEN["height"]


def test_dsr2html_shows_the_impression_in_the_upper_half_of_a_screen(browser: Browser, tmp_path: Path) -> None:
    """The whole report takes two screens: each measurement group has a title and three blocks in DCMTK's page.

    The required rows of TID 1500 alone take more than one (results.md).
    """
    path = _written(_default_results(_two_findings())["report"], tmp_path)
    assert _bottom(path, browser, "A score is not a probability.") < _SCREEN["height"] / 2
    assert _bottom(path, browser, "OFFIS DCMTK") <= 2 * _SCREEN["height"]


def _bottom(path: Path, browser: Browser, words: str) -> float:
    """Return where a line of dsr2html's page ends, in pixels from the top."""
    read_by_dsr2html(path)
    page = browser.new_page(viewport=_SCREEN)
    page.goto(path.with_suffix(".html").as_uri())
    bottom: float = page.evaluate(_BOTTOM_OF, words)
    page.close()
    return bottom
