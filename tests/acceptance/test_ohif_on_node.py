"""OHIF in Chromium, pointed at a node: it lists what the node holds, and opens film, picture and text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, ViewportSize, expect, sync_playwright
from pydicom.dataset import Dataset

from cxr_node.report.kinds.registry import KIND_BY_NAME
from deploy.showcase import ohif
from tests.acceptance.test_ohif import _IS_PAINTED
from tests.support import films
from tests.support.dicomweb import Entrance, entrance, file_of
from tests.support.node import InProcessNode
from tests.support.peers import LOOPBACK, free_port, program

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

KINDS = ("report-ohif", "text", "picture")
_PATIENCE_MS = 120_000
_SCREEN: ViewportSize = {"width": 1920, "height": 1080}


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewed:
    """OHIF at `address`, with a film of a node and its results; a page of it has the token."""

    address: str
    film: Dataset
    page: Page
    statuses: list[int]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program("chromium"),
            args=["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader"],
        )
        yield opened
        opened.close()


def held(web: Entrance) -> Dataset:
    """Store a film at a node, and compose its results."""
    film = films.dx(seed=1, rows=900, columns=720, changes={"PatientID": "OHIF-1"})
    assert web.store(file_of(film)).status_code == 200
    kinds = [KIND_BY_NAME[name] for name in KINDS]
    node = InProcessNode(web.process.database, web.process.settings.node.data_folder, kinds=kinds)
    node.clock.now = web.process.clock()
    node.work()
    return film


@pytest.fixture
def viewed(browser: Browser, tmp_path: Path) -> Iterator[Viewed]:
    try:
        viewer = ohif.ohif()
    except ohif.Unavailable as missing:
        pytest.skip(str(missing))
    port = free_port()
    origins = json.dumps([f"http://{LOOPBACK}:{port}"])
    with (
        entrance(tmp_path / "node", settings=f"origins = {origins}") as web,
        ohif.served(viewer, 0, port=port, root=web.url) as address,
    ):
        film = held(web)
        token = web.token_of("viewer", sees_films=True, sees_identifiers=True)
        page = browser.new_page(viewport=_SCREEN, extra_http_headers={"Authorization": f"Bearer {token}"})
        statuses: list[int] = []

        def note(response: Response) -> None:
            if "/dicomweb/" in response.url:
                statuses.append(response.status)

        page.on("response", note)
        yield Viewed(address=address, film=film, page=page, statuses=statuses)


def test_ohif_lists_and_opens_what_the_node_holds(viewed: Viewed) -> None:
    page = viewed.page
    page.goto(viewed.address, timeout=_PATIENCE_MS)
    expect(page.get_by_text("OHIF-1").first).to_be_visible(timeout=_PATIENCE_MS)

    page.goto(f"{viewed.address}/viewer?StudyInstanceUIDs={viewed.film.StudyInstanceUID}", timeout=_PATIENCE_MS)
    page.get_by_text("Skip all").click(timeout=_PATIENCE_MS)
    page.wait_for_function(_IS_PAINTED, timeout=_PATIENCE_MS)
    for kind in ("picture", "text"):
        number = 9001 + KIND_BY_NAME[kind].result_type.series_offset
        row = page.locator(f'[data-cy^="study-browser-thumbnail"][data-series="{number}"]')
        row.dblclick(timeout=_PATIENCE_MS)
    expect(page.get_by_text("IMPRESSION (AI, research use)")).to_be_visible(timeout=_PATIENCE_MS)

    expect(page.locator('[data-sonner-toast][data-type="error"]')).to_have_count(0)
    assert set(viewed.statuses) <= {200, 204}
