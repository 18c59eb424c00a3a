"""Pages in Chromium while films arrive: each page with a state shows it without a reload."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from playwright.sync_api import Page as Tab

from tests.support import films
from tests.support.peers import program
from tests.support.web import PASSWORD, Page, served_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node") as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def context(served: Page, chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context(base_url=f"http://{served.address}") as opened:
        page = opened.new_page()
        page.goto("/login")
        page.get_by_label("Name").fill("op")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("/")
        yield opened


def opened_page(context: BrowserContext, path: str, complaints: list[str]) -> Tab:
    """Return a page that notes errors on its console, and that it was not loaded again."""
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path)
    page.wait_for_selector("body[data-connection=connected]")
    page.evaluate("window.isFirstLoad = true")
    return page


def test_arriving_film_shows_on_every_page_without_a_reload(context: BrowserContext, served: Page) -> None:
    complaints: list[str] = []
    operations, studies, deliveries, study, film = (
        opened_page(context, path, complaints) for path in ("/", "/studies", "/deliveries", "/studies/4", "/films/4")
    )
    expect(film.locator("#film-state")).to_contain_text("waiting")
    expect(operations.get_by_role("link", name="5", exact=True)).to_have_count(0)

    served.node.accept(films.dx(seed=20))

    expect(operations.get_by_role("link", name="5", exact=True)).to_be_visible()
    expect(studies.get_by_role("link", name="5", exact=True)).to_be_visible()

    served.node.pacs.before_send = lambda: None
    served.node.work()

    expect(film.locator("#film-state")).to_contain_text("done")
    expect(film.locator("#reading")).to_contain_text("Opacity")
    expect(film.locator("#overlay image")).to_have_count(1)
    expect(study.get_by_role("heading", name="Reports").locator("~ ul").first).to_contain_text("TID1500")
    expect(deliveries.get_by_role("region", name="Deliveries").get_by_role("row")).to_have_count(6)
    for page in (operations, studies, deliveries, study, film):
        assert page.evaluate("window.isFirstLoad")
    assert complaints == []


def test_ended_session_leads_an_open_page_to_the_login(context: BrowserContext, served: Page) -> None:
    watched = opened_page(context, "/studies", [])
    other = context.new_page()
    other.goto("/")

    other.get_by_role("button", name="Log out op").click()
    served.node.accept(films.dx(seed=21))

    watched.wait_for_url("**/login")
