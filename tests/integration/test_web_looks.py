"""Every page in Debian's Chromium at two widths: WCAG 2.2 AA as far as axe-core can judge, and no sideways scroll."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from tests.pages import PASSWORD, Page, served_page
from tests.peers import program

PATHS = (
    "/",
    "/studies",
    "/studies/1",
    "/films/1",
    "/films/2",
    "/reports/1",
    "/deliveries",
    "/trends",
    "/behaviour",
    "/settings",
)
WIDTHS = (1280, 390)
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}


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


def broken(results: dict[str, object]) -> list[str]:
    """Return the broken rules, each with where."""
    found = results["violations"]
    assert isinstance(found, list)
    return [f"{each['id']}: {node['target']} {node['html'][:120]}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_can_be_seen_and_used_by_all(served: Page, chromium: Browser, width: int) -> None:
    problems: list[str] = []
    with chromium.new_context(base_url=f"http://{served.address}", viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        page.goto("/login")
        problems += broken(Axe().run(page, options=RULES).response)
        page.get_by_label("Name").fill("op")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("/")
        for path in PATHS:
            page.goto(path)
            for each in page.locator("details").all():
                each.evaluate("details => { details.open = true; }")
            problems += [f"{path} {each}" for each in broken(Axe().run(page, options=RULES).response)]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                problems.append(f"{path} scrolls sideways at {width}")

    assert problems == []
