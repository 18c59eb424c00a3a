"""Pictures of every page for the documents, at two widths in both themes, made by `make pictures`.

`tests/integration/test_web_looks.py` holds the list of pages against the routes of the application.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db.states import Stage, State
from cxr_node.domain.clock import utc_now
from cxr_node.phantom import dicom
from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import ROLES
from tests.support import worklists
from tests.support.chromium import open_chromium
from tests.support.films import ROOT
from tests.support.page_paths import PAGES
from tests.support.peers import free_port, until
from tests.support.running_node import RunningNode, opened, running, settings_file, to_pacs
from tests.support.web import PASSWORD

pytestmark = pytest.mark.long

PICTURES = ROOT / "docs" / "pictures" / "page"
WIDTHS = {1280: 900, 390: 844}
THEMES = ("dark", "light")
_FILMS = 3
_HIGHEST = 1600
"""Rows of a picture at most: what follows is more of the same table."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium(is_whole=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[RunningNode]:
    """A node that has read the example films of three modalities, with a PACS and a destination that is away."""
    folder = tmp_path_factory.mktemp("pictured")
    films = dicom.write_examples(folder / "films")
    with SimulatedPacs() as archive:
        web_archive = {**to_pacs(free_port(), "ARCHIVE2"), "name": "second-archive"}
        config = settings_file(
            folder / "node",
            destinations=({**to_pacs(archive.port, archive.ae_title), "results": list(KIND_BY_NAME)}, web_archive),
            more="[web]\nport = 0\nlearn = true",
        )
        add_user(config, "kim")
        with running(config, wait_for=(*ROLES, "admin"), roles=(*ROLES, "admin")) as started:
            for film, title in zip(films[:_FILMS], ("DX1", "ER1", "ICU1"), strict=True):
                started.send(film, title)
            until(lambda: _is_composed(started), what="a composed report of each film", timeout_s=240)
            with opened(load(config)) as database:
                worklists.record_step(database, now=utc_now())
            edit(started, browser)
            yield started


def add_user(config: Path, name: str) -> None:
    arguments = ["user", "add", name, "--role", "operator", "--sees-films", "--config", str(config)]
    added = CliRunner().invoke(app, arguments, input=PASSWORD)
    assert added.exit_code == 0, added.output


def log_in(page: Page) -> None:
    page.goto("/login")
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("/")


def edit(node: RunningNode, browser: Browser) -> None:
    """Edit a destination on the page, so that there is an edit to undo."""
    with browser.new_context(base_url=f"http://{node.addresses['admin']}") as context:
        page = context.new_page()
        log_in(page)
        page.goto(PAGES["settings-row"])
        page.locator("#field-timeout_s").fill("55")
        page.get_by_role("button", name="Check").click()
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_text("The file was changed.")).to_be_visible()


def _is_composed(node: RunningNode) -> bool:
    jobs = node.jobs(Stage.COMPOSE)
    return len(jobs) == _FILMS and all(job.state is State.DONE for job in jobs)


def keep(page: Page, name: str, folder: Path) -> None:
    """Keep a picture of the page, if that is asked for; it must not scroll sideways."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
    if not os.environ.get("CXR_NODE_KEEP_PICTURES"):
        return
    target = folder / "page.png"
    page.screenshot(path=target, full_page=True)
    picture = Image.open(target).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, _HIGHEST)))
    theme = "light" if page.evaluate("matchMedia('(prefers-color-scheme: light)').matches") else "dark"
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture.save(PICTURES / f"{name}-{width}-{theme}.jpg", quality=65, optimize=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_pictured(browser: Browser, node: RunningNode, width: int, theme: str, tmp_path: Path) -> None:
    complaints: list[str] = []
    size = {"width": width, "height": WIDTHS[width]}
    address = f"http://{node.addresses['admin']}"
    with browser.new_context(base_url=address, viewport=size, color_scheme=theme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/login")
        keep(page, "login", tmp_path)
        log_in(page)
        expect(page.locator("#health")).to_contain_text("second-archive", timeout=120_000)
        menu = page.locator("nav[aria-label=Pages] a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
        assert set(menu) <= set(PAGES.values())
        for name, path in PAGES.items():
            response = page.goto(path)
            assert response is not None
            assert response.ok, path
            if name == "learn":
                page.get_by_role("button", name="In front, at the heart").click()
                expect(page.locator("[data-rows=borders]")).to_contain_text("obscured", timeout=120_000)
            page.wait_for_timeout(500)
            assert complaints == [], path
            keep(page, name, tmp_path)
            complaints.clear()  # Playwright hides the caret by a style that the page's policy blocks
