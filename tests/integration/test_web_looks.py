"""Pages in Chromium at two widths: WCAG 2.2 AA by axe-core, and no horizontal scrolling."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest
from fastapi.routing import APIRoute, APIRouter
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab

from cxr_node import config
from cxr_node.domain.codes import Code
from cxr_node.records import destination_troubles, readings
from cxr_node.web.access import Authenticator
from cxr_node.web.accounts import StoredAccounts
from cxr_node.web.app import application
from cxr_node.web.server import web_context
from cxr_node.wiring.process import Process
from tests.support import films, worklists
from tests.support.chromium import open_chromium, violations
from tests.support.node import received
from tests.support.page_paths import NO_PAGES, PAGES
from tests.support.peers import until
from tests.support.web import PASSWORD, PEOPLE, WAIT_S, Page, served_page

_OF_CLERK = ("operations", "studies", "study", "films", "film", "side-by-side", "findings", "result", "search")
"""Pages that show more to a person who sees identifiers."""
PATHS = (
    *(PAGES[name] for name in _OF_CLERK),
    "/films/2",
    "/films?where=view%3DAP&order=view&columns=film_id,sop_instance_uid,detail,state,delivery_state",
)
_NEW_ROW = "/settings/edit/row?kind=cstore"
OPERATORS = (*(path for name, path in PAGES.items() if name not in _OF_CLERK), _NEW_ROW)

_ENDS_OF_DATES = """() => drawn.flatMap(plot => plot.axes[0]._splits.map((at, k) => {
  const middle = plot.over.offsetLeft + plot.valToPos(at, "x");
  plot.ctx.font = "12px system-ui, sans-serif";
  const half = plot.ctx.measureText(String(plot.axes[0]._values[k]).split("\\n")[0]).width / 2;
  return [middle - half, middle + half, plot.width];
}))"""
"""Left and right end of each date of a chart, and the width of the chart, in pixels."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node", more=f"learn = true\n{PEOPLE}") as running:
        worklists.record_step(running.node.database, now=running.node.clock.now)
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as opened:
        yield opened


def log_in(page: Tab, name: str = "op") -> None:
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("/")


def routes_of(router: APIRouter) -> Iterator[APIRoute]:
    """Yield the routes of a router, and of those that it includes."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif included := getattr(route, "original_router", None):
            yield from routes_of(included)


def test_the_list_of_pages_has_every_page(served: Page) -> None:
    """A page that is in no list is neither pictured nor checked for WCAG."""
    with Process.open(config.load(served.config)) as process, web_context(process) as context:
        accounts = StoredAccounts(database=process.database, read_database=context.read_database, clock=process.clock)
        app = application(context, Authenticator(process.settings.web, b"key", accounts=accounts))
        routes = [route for route in routes_of(app.router) if "GET" in (route.methods or ())]

    paths = [path.partition("?")[0] for path in PAGES.values()]
    pages = [route for route in routes if not route.path.startswith("/api/")]
    assert {page.path for page in pages if not any(page.path_regex.match(path) for path in paths)} == NO_PAGES
    assert len(pages) > len(NO_PAGES) + 20


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        pytest.param(
            1280, "dark", marks=pytest.mark.ci(short="test_every_page_meets_wcag_aa_and_fits_the_width[390-light]")
        ),
        (390, "light"),
    ],
)
def test_every_page_meets_wcag_aa_and_fits_the_width(
    served: Page, chromium: Browser, width: int, theme: Literal["dark", "light"]
) -> None:
    """Colors are the same at both widths; `tests/acceptance/test_page_day.py` has all four pairs."""
    problems: list[str] = []
    with chromium.new_context(
        base_url=f"http://{served.address}", viewport={"width": width, "height": 900}, color_scheme=theme
    ) as context:
        context.set_default_navigation_timeout(1000 * WAIT_S)
        page = context.new_page()
        page.goto("/login")
        problems += violations(page)
        log_in(page, "clerk")
        for path in (*PATHS, *OPERATORS):
            if path == OPERATORS[0]:
                page.get_by_role("button", name="Log out").click()
                log_in(page)
            page.goto(path)
            if path == _NEW_ROW:
                page.get_by_label("port", exact=False).first.fill("many")
                page.get_by_role("button", name="Check").click()
                expect(page.get_by_text("expected a whole number")).to_be_visible()
            if path.startswith("/films/"):
                expect(page.locator(".viewer.ready")).to_have_count(path.count("=") + 1)
            if path == "/search":
                page.get_by_role("searchbox").fill("ACC-1")
                page.keyboard.press("Enter")
                expect(page.get_by_text("4 found")).to_be_visible()
            for details in page.locator("details").all():
                details.evaluate("details => { details.open = true; }")
            problems += [f"{path} {violation}" for violation in violations(page)]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                problems.append(f"{path} scrolls sideways at {width}")

    assert problems == []


@pytest.mark.parametrize("width", [1280, 1920])
def test_no_table_of_the_operations_page_is_cut(served: Page, chromium: Browser, width: int) -> None:
    """Destinations and stages with the column of an operator, one of them with a sentence on its trouble."""
    with served.node.database.write() as transaction:
        destination_troubles.note(transaction, "pacs", "the connection is refused", now=served.node.clock.now)
    with chromium.new_context(base_url=f"http://{served.address}", viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        log_in(page)
        tables = page.locator(".wide")
        expect(page.get_by_text("unreachable").first).to_be_visible()
        cut = tables.evaluate_all("all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)")

        assert tables.count() > 3
        assert cut == []


def test_charts_are_drawn_in_the_colors_of_the_theme(served: Page, chromium: Browser) -> None:
    with chromium.new_context(base_url=f"http://{served.address}", color_scheme="dark") as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        log_in(page)
        page.goto("/trends?days=1")
        plots = page.locator("[data-chart] canvas")
        expect(plots).to_have_count(2)
        dark = plots.first.evaluate("canvas => canvas.toDataURL()")
        page.emulate_media(color_scheme="light")
        until(lambda: plots.first.evaluate("canvas => canvas.toDataURL()") != dark, what="a chart in other colors")

        assert page.locator("table.hours td").count() == 7 * 24
        plots.first.evaluate("canvas => { canvas.dataset.is = 'before' }")
        page.evaluate("htmx.trigger('#trends', 'live')")
        expect(page.locator("canvas[data-is=before]")).to_have_count(0)
        expect(plots).to_have_count(2)
        assert errors == []


def test_narrow_screens_cut_no_date_and_show_the_page_in_the_menu(served: Page, chromium: Browser) -> None:
    """The last date of an axis may lie at the right edge, and the menu scrolls within itself."""
    width = 390
    with chromium.new_context(base_url=f"http://{served.address}", viewport={"width": width, "height": 844}) as context:
        page = context.new_page()
        log_in(page)
        for days in (1, 7):
            page.goto(f"/trends?days={days}")
            expect(page.locator("[data-chart=queue] canvas")).to_be_visible()
            ends = page.evaluate(_ENDS_OF_DATES)
            assert len(ends) > 1
            assert [end for end in ends if end[0] < 0 or end[1] > end[2]] == []
        box = page.locator("nav[aria-label=Pages] [aria-current]").bounding_box()

    assert box is not None
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width


def test_selected_heat_map_is_shown(served: Page, chromium: Browser) -> None:
    effusion = Code(value="60046008", scheme_designator="SCT", meaning="Pleural effusion")
    with served.node.database.read() as connection:
        reading = readings.latest(connection, 1, received(films.dx()).identity)
    assert reading is not None
    assert reading.prediction is not None
    (opacity,) = reading.prediction.findings
    both = (opacity, replace(opacity, key="pleural_effusion", code=effusion, score=0.6))
    with served.node.database.write() as transaction:
        again = replace(reading, prediction=replace(reading.prediction, findings=both))
        readings.write(transaction, 1, again, now=served.node.clock.now)
    with chromium.new_context(base_url=f"http://{served.address}") as context:
        page = context.new_page()
        log_in(page)
        page.goto("/films/1")
        page.get_by_label("Heat map").check()
        shown = page.locator(".layer.heat image:visible title")
        expect(shown).to_have_text(["Opacity: where its score comes from"])

        page.locator("[data-heat]").select_option("Pleural effusion")

        expect(shown).to_have_text(["Pleural effusion: where its score comes from"])
