"""Results of a real film as programs without a server show them: DCMTK, highdicom, and the pictures themselves.

`make pictures` runs this with CXR_NODE_KEEP_PICTURES set, and keeps what is seen for the documents.
"""

import copy
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path
from shutil import copyfile

import highdicom
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser
from pydicom import Dataset, dcmread

from cxr_node.db.database import Database
from cxr_node.db.states import State
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.reading.context import ReadRules
from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.simulators.demo_films import demo_films
from tests.support import screenshots
from tests.support.chromium import open_chromium
from tests.support.dicomscope import shown_state
from tests.support.node import InProcessNode
from tests.support.peers import program
from tests.support.presentation_states import drawn_state
from tests.support.readers import read_by_dsr2html
from tests.support.validators import run

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

_KINDS = ("report", "text", "picture", "picture-anatomy", "presentation-state", "segmentation")
_WIDTH, _HEIGHT = 1280, 1080
_ZOOM, _WHITE = 1.73, 255
"""Of DICOMscope, for a film of 512 pixels on its screen."""


@pytest.fixture(scope="module")
def film() -> Dataset:
    (path,) = [film.path for film in demo_films() if film.name == "opacity"]
    return dcmread(path)


@pytest.fixture(scope="module")
def results(film: Dataset, tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> dict[str, Dataset]:
    """Read the film with the built-in model; return its results by kind."""
    folder = tmp_path_factory.mktemp("results")
    copyfile(migrated_file, folder / "node.db")
    database = Database(f"sqlite:///{folder / 'node.db'}")
    reader = Reader(bundle.load(bundle_registry.find("chest")), device="cpu")
    kinds = [KIND_BY_NAME[name] for name in _KINDS]
    node = InProcessNode(
        database, folder, network=lambda: reader, kinds=kinds, rules=ReadRules(gate=Rules(), limits=Limits())
    )
    node.accept(film)
    node.work()
    states = {job.state for job in node.jobs()}
    database.close()
    assert states == {State.DONE}
    by_series = {int(one.SeriesNumber) - 9001: one for one in node.pacs.reports()}
    return {name: by_series[KIND_BY_NAME[name].result_type.series_offset] for name in _KINDS}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium(is_whole=True) as opened:
        yield opened


@pytest.mark.parametrize("kind", ["report", "text"])
def test_dsr2html_shows_the_impression_first(
    kind: str, results: dict[str, Dataset], browser: Browser, tmp_path: Path
) -> None:
    path = _written(results[kind], tmp_path)
    read_by_dsr2html(path)
    page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
    page.goto(path.with_suffix(".html").as_uri())
    impression = page.get_by_text("IMPRESSION (AI, research use)").first.bounding_box()
    assert impression is not None
    assert impression["y"] < _HEIGHT / 2
    screenshots.keep(f"dsr2html-{kind}", lambda target: page.screenshot(path=target, full_page=True))
    page.close()


def test_dsrdump_prints_the_impression_in_the_first_lines(results: dict[str, Dataset], tmp_path: Path) -> None:
    printed = run(program("dsrdump"), "+Pl", _written(results["report"], tmp_path)).stdout
    assert "IMPRESSION (AI, research use)" in "".join(printed.splitlines()[:15])
    screenshots.keep_text("dsrdump-report", printed)


@pytest.mark.parametrize("kind", ["picture", "picture-anatomy"])
def test_a_picture_is_in_color_and_wider_than_a_film(kind: str, results: dict[str, Dataset]) -> None:
    pixels = results[kind].pixel_array
    assert pixels.shape[2] == 3
    assert int(np.ptp(pixels.astype(np.int16), axis=2).max()) > 100
    screenshots.keep(kind, lambda path: Image.fromarray(pixels).save(path))


def test_graphics_of_the_presentation_state_are_drawn_in_colors(film: Dataset, results: dict[str, Dataset]) -> None:
    drawn = drawn_state(results["presentation-state"], film)
    assert drawn.size == (2 * film.Columns, 2 * film.Rows)
    assert int(np.ptp(np.asarray(drawn, dtype=np.int16), axis=2).max()) > 100
    screenshots.keep("presentation-state", drawn.save)


def test_dicomscope_shows_the_presentation_state_over_its_film(
    film: Dataset, results: dict[str, Dataset], tmp_path: Path
) -> None:
    """Its outlines are white on the screen, where the viewer puts the film, over the film's own grays."""
    plain, folder = copy.deepcopy(film), tmp_path / "database"
    plain.decompress(generate_instance_uid=False)
    plain.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    folder.mkdir()

    screen = shown_state(tmp_path / "film.dcm", _written(results["presentation-state"], tmp_path), folder)

    grays = np.asarray(screen, dtype=np.uint8).min(axis=2)
    is_white = grays == _WHITE
    layers = results["presentation-state"].GraphicAnnotationSequence
    (outline,) = next(one.GraphicObjectSequence for one in layers if one.GraphicLayer == "AI FINDING 1")
    points = np.asarray(outline.GraphicData, np.float64).reshape(-1, 2) * _ZOOM
    shares = {
        (left, top): is_white[tuple(np.round(np.add(points, (left, top))).astype(int).T[::-1])].mean()
        for left, top in product(range(20), range(50, 90))
    }
    left, top = max(shares, key=lambda place: shares[place])
    assert shares[left, top] > 0.9
    rows, columns = np.mgrid[20 : plain.Rows - 20 : 16, 20 : plain.Columns - 20 : 16]
    shown = grays[np.round(rows * _ZOOM + top).astype(int), np.round(columns * _ZOOM + left).astype(int)]
    assert np.corrcoef(shown.ravel(), plain.pixel_array[rows, columns].ravel())[0, 1] > 0.8
    screenshots.keep("dicomscope-presentation-state", screen.save)


def test_highdicom_reads_the_segments_over_the_film(film: Dataset, results: dict[str, Dataset], tmp_path: Path) -> None:
    """The masks cover the structures that they name: their middle is on the side that they state."""
    segmentation = highdicom.seg.segread(_written(results["segmentation"], tmp_path))
    (masks,) = segmentation.get_pixels_by_source_instance([film.SOPInstanceUID])
    middles = {
        segment.SegmentLabel: float(np.nonzero(masks[:, :, number])[1].mean())
        for number, segment in enumerate(segmentation.SegmentSequence)
    }
    assert middles["Right Lung"] < middles["Heart"] < middles["Left Lung"]
    assert "Opacity" in middles
    screenshots.keep("highdicom-segmentation", lambda path: _colored(film, segmentation, masks).save(path))


def _colored(film: Dataset, segmentation: highdicom.seg.Segmentation, masks: npt.NDArray[np.uint8]) -> Image.Image:
    """Return a film in the recommended colors of its segments, as highdicom converts them."""
    gray = film.pixel_array.astype(np.float64)
    picture = np.repeat((gray / gray.max() * 255)[:, :, np.newaxis], 3, axis=2)
    for number, segment in enumerate(segmentation.SegmentSequence):
        color = highdicom.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb(clip=True)
        inside = masks[:, :, number] > 0
        picture[inside] = 0.65 * picture[inside] + 0.35 * np.array(color)
    return Image.fromarray(picture.astype(np.uint8))


def _written(result: Dataset, folder: Path) -> Path:
    path = folder / "result.dcm"
    content = BytesIO()
    result.save_as(content, enforce_file_format=True)
    path.write_bytes(content.getvalue())
    return path
