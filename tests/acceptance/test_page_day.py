"""A day of an administrator on the page, in Chromium: each width and theme, on a node with a PACS that fails."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import ROLES
from tests.support import films
from tests.support.chromium import log_in, open_chromium, violations, watch
from tests.support.peers import free_port
from tests.support.running_node import RunningNode, running, settings_file, to_pacs
from tests.support.web import CLERK, users

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

SIZES = {1280: 900, 390: 844}
THEMES = ("dark", "light")
REJECTED = 0xC000
FAILED = 20
RED_MS = 60_000
"""An unreachable PACS is shown within this time."""


class Archive:
    """A PACS that can go away, come back on its port, and reject."""

    def __init__(self) -> None:
        self.port, self.status = free_port(), 0x0000
        self._open = ExitStack()
        self.start()

    def start(self) -> None:
        """Listen."""
        pacs = SimulatedPacs(status=lambda _: self.status, port=self.port)
        self.ae_title = self._open.enter_context(pacs).ae_title

    def stop(self) -> None:
        """Refuse connections."""
        self._open.close()


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    pacs = Archive()
    yield pacs
    pacs.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[RunningNode]:
    """A node that sends every kind of result."""
    config = settings_file(
        tmp_path_factory.mktemp("node"),
        destinations=({**to_pacs(archive.port, archive.ae_title), "results": list(KIND_BY_NAME)},),
        more=f"[web]\nport = 0\n{users(('op', 'operator', True))}\nsees_identifiers = true\n{CLERK}",
        is_tiny=True,
    )
    with running(config, wait_for=(*ROLES, "admin"), roles=(*ROLES, "admin")) as started:
        yield started


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium(is_whole=True) as opened:
        yield opened


class Day:
    """A browser of one width and theme, and its own films: `number` keeps the seeds of several days apart."""

    def __init__(self, context: BrowserContext, node: RunningNode, folder: Path, *, number: int) -> None:
        self.node, self.folder, self.page = node, folder, context.new_page()
        self._seeds = iter(range(1000 * number, 1000 * (number + 1)))
        self.complaints: list[str] = []
        watch(self.page, self.complaints)

    def send(self, accession: str = "") -> None:
        """Send a film of a new study, as a modality does."""
        film = films.dx(rows=256, columns=200, seed=next(self._seeds), changes={"AccessionNumber": accession})
        self.node.send(films.written(film, self.folder))

    def check(self, name: str) -> None:
        """Check the page that is open: it fits the width, meets WCAG AA, and its console is empty."""
        width = self.page.viewport_size["width"] if self.page.viewport_size else 0
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert violations(self.page) == [], name
        assert self.complaints == [], name


def table(page: Page, name: str) -> Locator:
    """Return the region of a table, which scrolls within itself."""
    return page.locator(f".wide[aria-label='{name}']")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", SIZES)
def test_a_day_of_an_administrator(
    chromium: Browser, node: RunningNode, archive: Archive, tmp_path: Path, width: int, theme: str
) -> None:
    number = 1 + 2 * list(SIZES).index(width) + THEMES.index(theme)
    with chromium.new_context(
        base_url=f"http://{node.addresses['admin']}",
        viewport={"width": width, "height": SIZES[width]},
        color_scheme=theme,  # type: ignore[arg-type]
    ) as context:
        context.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        day = Day(context, node, tmp_path, number=number)
        log_in(day.page)
        _find_and_look(day, f"A{number}0")
        _watch_a_film_arrive(day, f"A{number}1")
        _lose_the_archive_and_get_it_back(day, archive)
        _retry_failed_deliveries(day, archive)
        _pause_and_resume(day, archive)
        _add_a_user(day, context, f"kim{number}")
        _edit_a_destination(day, archive)


def _find_and_look(day: Day, accession: str) -> None:
    """Find a study by its accession number, open its film, window and zoom it."""
    day.send(accession)
    day.node.until_idle(240)
    page = day.page
    page.get_by_role("searchbox").fill(accession)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Accession {accession}")).to_be_visible()
    day.check("study")
    page.locator("main a[href^='/films/']").first.click()
    page.wait_for_selector(".viewer.ready")
    day.check("film")
    state, stage = page.locator("[data-state]"), page.locator(".stage")
    before = state.inner_text()
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.up()
    expect(state).not_to_have_text(before)
    windowed = state.inner_text()
    page.keyboard.press("+")
    expect(state).not_to_have_text(windowed)
    assert windowed.partition("Zoom")[0] == state.inner_text().partition("Zoom")[0]


def _watch_a_film_arrive(day: Day, accession: str) -> None:
    """Watch a film arrive on the page of operations, without a reload."""
    page = day.page
    page.goto("/")
    page.wait_for_selector("body[data-connection=connected]")
    page.evaluate("window.isFirstLoad = true")
    day.send(accession)
    row = table(page, "Newest studies").get_by_role("row", name=accession)
    expect(row).to_be_visible()
    expect(row.get_by_text("delivered")).to_be_visible(timeout=240_000)
    assert page.evaluate("window.isFirstLoad")
    day.check("operations")


def _lose_the_archive_and_get_it_back(day: Day, archive: Archive) -> None:
    """The page is red within a minute after the PACS went away, with the reason, and green again after."""
    page, health = day.page, day.page.locator("#health")
    expect(health).to_contain_text("In order")
    archive.stop()
    day.send()
    expect(health).to_contain_text("Needs attention", timeout=RED_MS)
    expect(health).to_contain_text("refused")
    expect(table(page, "Destinations")).to_contain_text("unreachable")
    day.check("operations while the PACS is away")
    archive.start()
    expect(health).to_contain_text("In order", timeout=240_000)
    day.node.until_idle(240)


def _retry_failed_deliveries(day: Day, archive: Archive) -> None:
    """Deliveries that the PACS rejected are retried in one action."""
    page = day.page
    archive.status = REJECTED
    for _ in range(FAILED // 5):  # more than five results of each
        day.send()
    day.node.until_idle(240)
    archive.status = 0x0000
    page.goto("/")
    day.check("operations with failed jobs")
    table(page, "Failed jobs").get_by_role("link", name="Retry all").click()
    page.wait_for_url("**/actions/retry?**")
    day.check("retry")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="jobs queued again")).to_be_visible()
    queued = int(page.get_by_role("heading", name="jobs queued again").inner_text().split()[0])
    assert queued >= FAILED
    day.node.until_idle(240)
    page.goto("/jobs?where=state%3Dfailed&since=all")
    expect(page.get_by_text("No jobs with these filters.")).to_be_visible()


def _pause_and_resume(day: Day, archive: Archive) -> None:
    """While a destination is paused, its results wait; when it is resumed, they are sent."""
    page = day.page
    page.goto("/")
    destinations = table(page, "Destinations")
    destinations.get_by_role("link", name="Pause").click()
    page.wait_for_url("**/actions/pause?**")
    day.check("pause")
    page.get_by_label("Why").fill("maintenance of the archive")
    page.get_by_role("button", name="Pause").click()
    expect(destinations).to_contain_text("paused")
    day.send()
    expect(destinations.get_by_role("row", name="pacs").get_by_role("cell").nth(1)).not_to_have_text("0")
    day.check("operations with a paused destination")
    destinations.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume").click()
    expect(destinations).to_contain_text("reachable")
    day.node.until_idle(240)
    assert archive.status == 0x0000


def _edit_a_destination(day: Day, archive: Archive) -> None:
    """Edit a destination, test it before it is saved, apply it after looking at the difference, and undo that."""
    page = day.page
    page.goto("/settings/edit")
    day.check("destinations and rules")
    page.get_by_role("link", name="Change pacs").click()
    page.locator("#field-port").fill(str(free_port()))
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator(".checks")).to_contain_text("refused")
    day.check("test of a destination")
    page.locator("#field-port").fill(str(archive.port))
    page.locator("#field-timeout_s").fill("55")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator(".checks .bad")).to_have_count(0)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("+timeout_s = 55")).to_be_visible()
    day.check("difference")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("status").get_by_text("The file was changed.")).to_be_visible()
    assert "timeout_s = 55" in day.node.config.read_text(encoding="utf-8")
    page.get_by_role("link", name="Undo …").click()
    page.wait_for_url("**/settings/edit/undo")
    day.check("undo")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The last edit was undone.")).to_be_visible()
    assert "timeout_s" not in day.node.config.read_text(encoding="utf-8")


def _add_a_user(day: Day, context: BrowserContext, name: str) -> None:
    """A user who is added can log in, and only look."""
    page, password = day.page, f"a long password of {name}."
    page.goto("/users")
    section = page.locator("section[aria-labelledby=add]")
    section.get_by_label("Name").fill(name)
    section.get_by_label("Password").fill(password)
    section.get_by_role("button", name="Add user").click()
    expect(table(page, "Users").get_by_role("rowheader", name=name)).to_be_visible()
    day.check("users")
    browser = context.browser
    assert browser is not None
    with browser.new_context(base_url=f"http://{day.node.addresses['admin']}") as own:
        theirs = own.new_page()
        log_in(theirs, name, password)
        expect(theirs.get_by_role("link", name="Pause")).to_have_count(0)
