"""Results of real films in viewers: the node with its model, Orthanc with DICOMweb, and OHIF in Chromium.

`make pictures` runs this with CXR_NODE_KEEP_PICTURES set, and keeps what is seen for the documents.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright
from pydicom import Dataset, dcmread

from cxr_node.db.database import Database
from cxr_node.db.states import State
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import AeTitle
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.reading.context import ReadRules
from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.simulators.demo_films import write_demo_films
from deploy.showcase import ohif
from tests.support import screenshots
from tests.support.node import InProcessNode
from tests.support.peers import LOOPBACK, Orthanc, orthanc, program
from tests.unit.report.ohif import DoesNotOpen, shown

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

FILMS = ("normal-man", "normal-woman", "opacity", "effusion", "lateral")
KINDS = (
    "report",
    "report-ohif",
    "report-measurements",
    "text",
    "picture",
    "picture-anatomy",
    "presentation-state",
    "key-images",
    "segmentation",
    "pdf",
)
_SCREEN: ViewportSize = {"width": 1920, "height": 1080}
_PATIENCE_MS = 120_000
_ENDS_MS = 5_000
"""How long OHIF may take to show that it cannot open an object."""
_REDRAW_MS, _REDRAWS = 5_000, 24
"""How long graphics may take to be drawn, and how often the view is changed until they are."""
_DOCUMENT_MS = 3_000
"""How long Chromium may take to draw a PDF, of which the page sees nothing."""
_IS_PAINTED = """() => [...document.querySelectorAll("canvas.cornerstone-canvas")].some(canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const grays = new Set();
  for (let i = 0; i < data.length; i += 4 * 997) grays.add(data[i]);
  return grays.size > 20;
})"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Orthanc with five studies and their results, and the address of OHIF beside it."""

    orthanc: Orthanc
    address: str
    studies: dict[str, str]
    films: dict[str, str]
    """Study and SOP Instance UID of each film."""

    def content(self, film: str, kind: str) -> bytes:
        """Return the file of the result of a kind on a film."""
        number = str(9001 + KIND_BY_NAME[kind].result_type.series_offset)
        (instance,) = self.orthanc.query("Instance", {"StudyInstanceUID": self.studies[film], "SeriesNumber": number})
        return self.orthanc.content(instance)

    def result(self, film: str, kind: str) -> Dataset:
        """Return the result of a kind on a film."""
        return dcmread(BytesIO(self.content(film, kind)))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("ohif")
    try:
        viewer = ohif.ohif()
    except ohif.Unavailable as missing:
        pytest.skip(str(missing))
    films = [dcmread(path) for path in write_demo_films(folder / "films")]
    with orthanc(folder / "orthanc", settings=ohif.dicomweb_settings()) as peer:
        _read_and_send(films, folder, migrated_file, peer)
        with ohif.served(viewer, peer.http_port) as address:
            yield Archive(
                orthanc=peer,
                address=address,
                studies=dict(zip(FILMS, (str(film.StudyInstanceUID) for film in films), strict=True)),
                films=dict(zip(FILMS, (str(film.SOPInstanceUID) for film in films), strict=True)),
            )


def _read_and_send(films: Sequence[Dataset], folder: Path, migrated_file: Path, peer: Orthanc) -> None:
    """Read films with the built-in model, and send them and their results to an archive."""
    pacs = CStoreDestination(
        name="pacs",
        peer=Peer(
            host=LOOPBACK,
            port=peer.port,
            called_ae_title=AeTitle(peer.ae_title),
            calling_ae_title=AeTitle("CXRNODE"),
        ),
    )
    shutil.copyfile(migrated_file, folder / "node.db")
    database = Database(f"sqlite:///{folder / 'node.db'}")
    reader = Reader(bundle.load(bundle_registry.find("chest")), device="cpu")
    kinds = [KIND_BY_NAME[name] for name in KINDS]
    node = InProcessNode(
        database, folder, network=lambda: reader, kinds=kinds, rules=ReadRules(gate=Rules(), limits=Limits()), pacs=pacs
    )
    for film in films:
        pacs.send(film_content(film))
        node.accept(film)
    node.work()
    states = {job.state for job in node.jobs()}
    database.close()
    assert states == {State.DONE, State.NOT_ANALYSED}  # the lateral film


def film_content(film: Dataset) -> bytes:
    """Return a film as a file."""
    out = BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The old headless mode, and a Chromium without extensions of its own, have no viewer of PDF.
        opened = playwright.chromium.launch(
            executable_path=program("chromium"),
            headless=False,
            args=["--headless=new", "--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader"],
            ignore_default_args=["--disable-extensions", "--disable-component-extensions-with-background-pages"],
        )
        yield opened
        opened.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """OHIF with one study open."""

    page: Page
    faults: list[str]
    """Errors that no code of the page handled."""

    def row(self, kind: str) -> Locator:
        """Return a kind's row or thumbnail in the list of series."""
        number = 9001 + KIND_BY_NAME[kind].result_type.series_offset
        return self.page.locator(f'[data-cy^="study-browser-thumbnail"][data-series="{number}"]')

    def open(self, kind: str) -> None:
        """Open the series of a kind, as a reader does."""
        self.row(kind).dblclick(timeout=_PATIENCE_MS)

    def until_painted(self) -> None:
        """Wait until an image is shown."""
        self.page.wait_for_function(_IS_PAINTED, timeout=_PATIENCE_MS)

    def until_drawn(self) -> None:
        """Wait until graphics are drawn over the image.

        OHIF records which graphics a viewport has when the viewport is ready. If it painted the image before, it draws
        them with the next change of the view. The key i inverts the gray scale, and pressed again restores it.
        """
        graphics = self.page.locator("svg.svg-layer :is(line, polyline, path)")
        for _ in range(_REDRAWS):
            try:
                return expect(graphics).not_to_have_count(0, timeout=_REDRAW_MS)
            except AssertionError:
                self.page.keyboard.press("i")
                self.page.keyboard.press("i")
        raise AssertionError("no graphic is drawn over the image")

    def labels(self) -> list[str]:
        """Return the lines of text over the image."""
        return self.page.locator("svg.svg-layer text tspan").all_text_contents()

    def labels_by_tracking(self) -> dict[str, list[str]]:
        """Return the lines of text over the image by the Tracking UID of their graphic."""
        groups = self.page.locator("svg.svg-layer g[data-annotation-uid]").all()
        lines = {
            group.get_attribute("data-annotation-uid"): group.locator("tspan").all_text_contents() for group in groups
        }
        return {str(uid): texts for uid, texts in lines.items() if any(texts)}

    def keep(self, name: str) -> None:
        """Keep what is seen for the documents, if that is asked for."""
        screenshots.keep(name, lambda path: self.page.screenshot(path=path))

    def must_have_no_error(self) -> None:
        """Fail if a message of an error is shown, or an error was not handled."""
        expect(self.page.locator('[data-sonner-toast][data-type="error"]')).to_have_count(0)
        assert self.faults == []


@pytest.fixture
def view(browser: Browser, archive: Archive) -> Iterator[Callable[[str], Viewer]]:
    with browser.new_context(viewport=_SCREEN, base_url=archive.address) as context:

        def viewer_of(film: str) -> Viewer:
            page = context.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(f"/viewer?StudyInstanceUIDs={archive.studies[film]}", timeout=_PATIENCE_MS)
            page.get_by_text("Skip all").click(timeout=_PATIENCE_MS)  # the viewer introduces itself
            viewer = Viewer(page=page, faults=faults)
            viewer.until_painted()
            return viewer

        yield viewer_of


@pytest.mark.parametrize("film", FILMS)
def test_film_text_and_picture_open_without_an_error(film: str, view: Callable[[str], Viewer]) -> None:
    """A film that was not analysed has no picture."""
    viewer = view(film)
    assert viewer.labels() == []
    if film == "lateral":
        expect(viewer.row("picture")).to_have_count(0)
    else:
        viewer.open("picture")
        viewer.until_painted()
        viewer.page.wait_for_load_state("networkidle")
        viewer.keep(f"ohif-{film}-picture")
    viewer.open("text")
    expect(viewer.page.get_by_text("IMPRESSION (AI, research use)")).to_be_visible(timeout=_PATIENCE_MS)
    viewer.keep(f"ohif-{film}-text")
    viewer.must_have_no_error()


@pytest.mark.parametrize("film", FILMS)
def test_words_over_a_film_are_labels_of_its_regions_and_calipers(
    film: str, archive: Archive, view: Callable[[str], Viewer]
) -> None:
    report = archive.result(film, "report-ohif")
    expected = {one.tracking_uid: list(one.labels) for one in shown(report) if one.labels}
    viewer = view(film)

    viewer.open("report-ohif")
    viewer.until_drawn()
    viewer.keep(f"ohif-{film}-report-ohif")

    assert viewer.labels_by_tracking() == expected
    words = ("Opacity: ", "Pleural effusion: ", "Cardiothoracic ratio: ")
    assert all(line.startswith(words) for lines in expected.values() for line in lines)
    viewer.must_have_no_error()


@pytest.mark.parametrize("film", FILMS)
def test_the_page_opens_as_a_document(film: str, view: Callable[[str], Viewer]) -> None:
    viewer = view(film)

    viewer.open("pdf")

    document = viewer.page.locator('object[type="application/pdf"][data^="blob:"]')
    expect(document).to_have_count(1, timeout=_PATIENCE_MS)
    viewer.page.wait_for_function("() => document.querySelector('object').clientHeight > 500", timeout=_PATIENCE_MS)
    viewer.page.wait_for_timeout(_DOCUMENT_MS)
    viewer.keep(f"ohif-{film}-page")
    viewer.must_have_no_error()


def test_kinds_that_ohif_does_not_support_are_marked_in_its_list(view: Callable[[str], Viewer]) -> None:
    """Presentation states and key images are listed with a sign of warning, and open nothing."""
    viewer = view("opacity")
    for kind in ("presentation-state", "key-images"):
        expect(viewer.row(kind).locator("svg")).not_to_have_count(0)
        viewer.open(kind)
        viewer.until_painted()
        assert viewer.labels() == []
    viewer.must_have_no_error()


@pytest.mark.parametrize("kind", ["report", "report-measurements"])
def test_ohif_shows_nothing_of_a_report_with_groups_without_coordinates(
    kind: str, archive: Archive, view: Callable[[str], Viewer]
) -> None:
    """Why there is `report-ohif`: when this fails, OHIF opens the report itself."""
    with pytest.raises(DoesNotOpen):
        shown(archive.result("opacity", kind))
    viewer = view("opacity")
    viewer.open(kind)
    viewer.page.wait_for_timeout(_ENDS_MS)
    expect(viewer.page.locator("canvas.cornerstone-canvas")).to_have_count(0)


def test_ohif_ends_when_the_segmentation_of_a_film_is_opened(view: Callable[[str], Viewer]) -> None:
    """Its viewport reads Pixel Measures, which highdicom takes only with a slice thickness (decision 0202)."""
    viewer = view("opacity")
    viewer.open("segmentation")
    viewer.page.wait_for_timeout(_ENDS_MS)
    expect(viewer.row("segmentation")).to_have_count(0)


def test_orthanc_lists_the_results_in_the_study_of_their_film(archive: Archive, browser: Browser) -> None:
    (study,) = archive.orthanc.query("Study", {"StudyInstanceUID": archive.studies["opacity"]})
    page = browser.new_page(viewport={"width": 1280, "height": 1080})
    page.goto(f"http://{LOOPBACK}:{archive.orthanc.http_port}/app/explorer.html#study?uuid={study}")
    for kind in KINDS:
        expect(page.get_by_text(KIND_BY_NAME[kind].result_type.series_description)).not_to_have_count(0)
    screenshots.keep("orthanc-opacity", lambda path: page.screenshot(path=path))
    page.close()
