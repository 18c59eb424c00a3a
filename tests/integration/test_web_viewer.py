"""Page of a film in Chromium: what the canvas shows, overlays, keys, fingers, and films that arrive."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.codes import Code
from cxr_node.domain.radiograph import WHITE
from cxr_node.domain.reading import Measurement, Presence, Region, Structure
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.records import readings
from tests.support import films
from tests.support.chromium import open_chromium
from tests.support.node import received
from tests.support.web import PASSWORD, Page, served_page

pytestmark = pytest.mark.slow

Gray = npt.NDArray[np.float64]

SIDE = 100
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
GRAY = """(side) => {
  const canvas = document.querySelector("canvas"), context = new OffscreenCanvas(side, side).getContext("2d");
  context.drawImage(canvas, -Math.floor((canvas.width - side) / 2), -Math.floor((canvas.height - side) / 2));
  return Array.from(context.getImageData(0, 0, side, side).data.filter((_, index) => index % 4 === 0));
}"""
BOXES = """() => [...document.querySelectorAll(".labels text")].map((text) => {
  const { x, y, width, height } = text.getBBox();
  return [text.textContent, x, y, x + width, y + height];
})"""
SQUARE = ((4.0, 6.0), (20.0, 6.0), (20.0, 20.0), (4.0, 20.0))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node") as running:
        _draw_on_film_1(running)
        for seed in (7, 8, 9):  # with three more films the strip is wider than a telephone
            running.node.accept(films.dx(seed=seed, changes={"StudyInstanceUID": films.dx().StudyInstanceUID}))
        yield running


def _draw_on_film_1(page: Page) -> None:
    """Give the reading of film 1 a region, a structure and calipers whose labels would cover each other."""
    with page.node.database.read() as connection:
        reading = readings.latest(connection, 1, received(films.dx()).identity)
    assert reading is not None
    assert reading.prediction is not None
    (opacity,) = reading.prediction.findings
    effusion = replace(
        opacity,
        key="pleural_effusion",
        code=Code(value="60046008", scheme_designator="SCT", meaning="Pleural effusion"),
        score=0.6,
        presence=Presence.PRESENT,
        regions=(Region(outline=tuple((column + 20.0, row + 30.0) for column, row in SQUARE)),),
    )
    prediction = replace(
        reading.prediction,
        findings=(replace(opacity, regions=(Region(outline=SQUARE),)), effusion),
        structures=(Structure(key=Anatomy.RIGHT_LUNG, confidence=0.9, regions=(Region(outline=SQUARE),)),),
    )
    calipers = tuple(
        Measurement(
            key=key,
            code=concepts.TRACHEAL_DEVIATION,
            value=123.0,
            unit=concepts.MILLIMETER,
            line=((1.0, 40.0 + shift), (46.0, 40.0 + shift)),
            provenance="a test",
        )
        for shift, key in enumerate(("MTCD", "MITD", "mediastinal_width", "tracheal_deviation"))
    )
    with page.node.database.write() as transaction:
        readings.write(
            transaction, 1, replace(reading, prediction=prediction, measurements=calipers), now=page.node.clock.now
        )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as opened:
        yield opened


@pytest.fixture
def browsing(served: Page, chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    opened: list[BrowserContext] = []

    def logged_in(**options: Any) -> BrowserContext:
        context = chromium.new_context(base_url=f"http://{served.address}", **options)
        opened.append(context)
        context.request.post("/login", form={"name": "op", "password": PASSWORD})
        return context

    yield logged_in
    for context in opened:
        context.close()


@pytest.fixture
def film(browsing: Callable[..., BrowserContext]) -> Tab:
    return opened_film(browsing())


def opened_film(context: BrowserContext, path: str = "/films/1") -> Tab:
    """Return the page of a film that is drawn; an error on its console fails the test."""
    page = context.new_page()
    watch(page)
    page.goto(path)
    page.wait_for_selector(".viewer.ready")
    return page


def watch(page: Tab) -> None:
    """Fail at errors of a page."""

    def complain(text: str) -> None:
        raise AssertionError(text)

    page.on("console", lambda message: complain(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complain(str(error)))


def shown(page: Tab) -> Gray:
    """Return the gray values in the middle of the canvas, shape (SIDE, SIDE), 0 to 255, once they are painted."""
    page.evaluate(PAINTED)
    return np.array(page.evaluate(GRAY, SIDE), np.float64).reshape(SIDE, SIDE)


def expected(low: float = 0.0, high: float = WHITE) -> Gray:
    """Return the gray values of film 1 in a window."""
    p_values = pixels.radiograph(parse(received(films.dx()).content, limits=Limits()), limits=Limits()).p_values
    shades: Gray = 255 * np.clip((p_values - low) / (high - low), 0, 1)
    return shades


def difference(canvas: Gray, film: Gray) -> float:
    """Return the greatest difference of gray values where the film lies, to a pixel in the middle of the canvas."""
    rows, columns = film.shape
    return min(
        float(np.max(np.abs(canvas[top : top + rows, left : left + columns] - film)))
        for top in range((SIDE - rows) // 2 - 1, (SIDE - rows) // 2 + 3)
        for left in range((SIDE - columns) // 2 - 1, (SIDE - columns) // 2 + 3)
    )


def window_of(page: Tab) -> tuple[float, float]:
    """Return the window that the page states, once it is painted."""
    page.evaluate(PAINTED)
    words = page.locator("[data-state]").inner_text().split()
    return float(words[1]), float(words[3].rstrip("."))


@pytest.mark.parametrize("is_plain", [False, True], ids=["webgl", "canvas"])
def test_the_canvas_shows_each_value_in_the_window(browsing: Callable[..., BrowserContext], is_plain: bool) -> None:
    context = browsing()
    if is_plain:
        context.add_init_script("window.WebGL2RenderingContext = undefined")
    page = opened_film(context)
    assert page.evaluate("document.querySelector('canvas').getContext('2d') !== null") is is_plain
    page.keyboard.press("1")
    assert difference(shown(page), expected()) <= 1

    page.keyboard.press("i")
    assert difference(shown(page), 255 - expected()) <= 1
    page.keyboard.press("i")
    page.keyboard.press("r")
    assert difference(shown(page), np.rot90(expected(), -1)) <= 1
    page.keyboard.press("Shift+R")
    page.keyboard.press("l")
    low, high = window_of(page)
    assert 0 < low < high < WHITE
    assert difference(shown(page), expected(low, high)) <= 1


def test_dragging_changes_the_window_and_the_wheel_zooms_at_the_pointer(film: Tab) -> None:
    box = film.locator(".stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.4
    fitted = shown(film)
    film.mouse.move(x, y)
    film.evaluate(PAINTED)
    value, state = (film.locator(f"[data-{name}]").inner_text() for name in ("value", "state"))

    film.mouse.wheel(0, -400)
    expect(film.locator("[data-state]")).not_to_have_text(state)
    assert not np.array_equal(shown(film), fitted)
    assert film.locator("[data-value]").inner_text() == value
    film.keyboard.press("0")
    assert np.array_equal(shown(film), fitted)

    film.mouse.down()
    film.mouse.move(x - 100, y - 50)
    film.mouse.up()
    low, high = window_of(film)
    assert high - low == pytest.approx(WHITE - 100 * WHITE / 512, abs=2)
    assert (low + high) / 2 == pytest.approx(WHITE / 2 + 50 * WHITE / 512, abs=2)
    film.keyboard.press("1")
    assert difference(shown(film), expected(low, high)) <= 1
    film.keyboard.press("x")
    assert np.array_equal(shown(film), fitted)


def test_fingers_zoom_and_move_the_film(browsing: Callable[..., BrowserContext]) -> None:
    context = browsing(viewport={"width": 390, "height": 844}, has_touch=True)
    page = opened_film(context)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    state = page.locator("[data-state]")
    before = state.inner_text()
    page.locator(".stage").scroll_into_view_if_needed()
    box = page.locator(".stage").bounding_box()
    assert box is not None
    session = context.new_cdp_session(page)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, apart in (("touchStart", 20), ("touchMove", 60), ("touchMove", 80), ("touchEnd", 0)):
        points = [{"x": middle[0] + side * apart, "y": middle[1], "id": side + 1} for side in (-1, 1)] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    zoom = int(before.split()[-2])
    expect(state).to_contain_text(re.compile(rf"Zoom {4 * zoom // 10}\d %"))
    page.get_by_role("button", name="Fit").click()
    expect(state).to_have_text(before)


def test_layers_follow_the_film_and_labels_stay_apart_on_it(film: Tab) -> None:
    path = film.locator(".anatomy path")
    expect(path).to_be_hidden()
    film.keyboard.press("a")
    film.keyboard.press("c")
    expect(path).to_be_visible()
    film.keyboard.press("1")
    shown(film)
    stage = film.locator(".stage").bounding_box()
    assert stage is not None
    column, row = path.evaluate("path => [path.getScreenCTM().e, path.getScreenCTM().f]")
    assert column == pytest.approx(stage["x"] + (stage["width"] - 48) / 2, abs=1)
    assert row == pytest.approx(stage["y"] + (stage["height"] - 64) / 2, abs=1)

    for key in ("0", "r"):
        film.keyboard.press(key)
        shown(film)
        labels = film.evaluate(BOXES)
        assert len(labels) >= 4
        for number, (text, left, top, right, bottom) in enumerate(labels):
            assert left >= 0, text
            assert top >= 0, text
            assert right <= stage["width"], text
            assert bottom <= stage["height"], text
            for other in labels[number + 1 :]:
                assert right <= other[1] or other[3] <= left or bottom <= other[2] or other[4] <= top, (text, other[0])


def test_a_finding_highlights_its_region_and_the_other_way_round(film: Tab) -> None:
    region, name = film.locator(".outlines [data-mark=lung_opacity]"), film.get_by_role("button", name="Opacity")
    row = film.locator(".reading tr[data-mark=lung_opacity]")
    film.keyboard.press("o")
    expect(region).to_be_hidden()

    name.hover()
    expect(region).to_be_visible()
    film.mouse.move(0, 0)
    expect(region).to_be_hidden()
    name.press("Enter")
    film.keyboard.press("Tab")
    expect(region).to_be_visible()
    expect(name).to_have_attribute("aria-pressed", "true")
    film.keyboard.press("Escape")
    expect(name).to_have_attribute("aria-pressed", "false")

    film.keyboard.press("o")
    region.hover(force=True)
    expect(row).to_have_class("lit")
    film.mouse.move(0, 0)
    film.keyboard.press("n")
    film.keyboard.press("n")
    expect(film.get_by_role("button", name="Pleural effusion")).to_have_attribute("aria-pressed", "true")


def test_keys_are_listed_and_can_be_confined_to_the_film(film: Tab) -> None:
    film.keyboard.press("?")
    dialog = film.get_by_role("dialog", name="Keys of the viewer")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Keys work wherever").uncheck()
    dialog.get_by_role("button", name="Close").click()
    before = shown(film)

    film.locator("h1").click()
    film.keyboard.press("i")
    assert np.array_equal(shown(film), before)
    film.locator("canvas").focus()
    film.keyboard.press("i")
    assert not np.array_equal(shown(film), before)
    film.keyboard.press("+")
    zoomed = shown(film)
    film.keyboard.press("ArrowDown")
    assert not np.array_equal(shown(film), zoomed)


def test_films_of_a_study_are_switched_and_shown_side_by_side(film: Tab) -> None:
    film.keyboard.press("a")
    film.keyboard.press("]")
    film.wait_for_url("**/films/5")
    film.wait_for_selector(".viewer.ready")
    film.keyboard.press("[")
    film.wait_for_url("**/films/1")
    film.wait_for_selector(".viewer.ready")
    expect(film.locator(".anatomy path")).to_be_visible()  # as it was left

    film.keyboard.press("v")
    film.wait_for_url("**/films/1?beside=5")
    expect(film.locator(".viewer.ready")).to_have_count(2)
    expect(film.get_by_role("heading", name="Findings of film")).to_have_count(2)
    film.keyboard.press("v")
    film.wait_for_url("**/films/1")


def test_without_scripts_the_picture_is_shown(browsing: Callable[..., BrowserContext]) -> None:
    page = browsing(java_script_enabled=False).new_page()
    page.goto("/films/1")

    expect(page.get_by_role("img", name="Film 1 as it hangs")).to_be_visible()
    expect(page.get_by_role("button", name="Rotate")).to_be_hidden()
    expect(page.locator(".outlines path").first).to_be_visible()


def test_arriving_film_shows_on_every_page_without_a_reload(
    browsing: Callable[..., BrowserContext], served: Page
) -> None:
    context = browsing()
    pages = [context.new_page() for _ in range(5)]
    for page, path in zip(pages, ("/", "/studies", "/deliveries", "/studies/4", "/films/4"), strict=True):
        watch(page)
        page.goto(path)
        page.wait_for_selector("body[data-connection=connected]")
        page.evaluate("window.isFirstLoad = true")
    operations, studies, deliveries, study, film = pages
    expect(film.locator(".film-state")).to_contain_text("waiting")

    served.node.accept(films.dx(seed=20))

    expect(operations.locator("a[href='/studies/5']")).to_be_visible()
    expect(studies.locator("a[href='/studies/5']")).to_be_visible()

    served.node.pacs.before_send = lambda: None
    served.node.work()

    expect(film.locator(".film-state")).to_contain_text("read")
    expect(film.locator(".reading")).to_contain_text("Opacity")
    expect(film.locator(".overlay image")).to_have_count(1)
    expect(study.get_by_role("heading", name="Results").locator("~ ul").first).to_contain_text("report, version 1")
    expect(deliveries.get_by_role("region", name="Deliveries").get_by_role("row")).to_have_count(7)
    for page in pages:
        assert page.evaluate("window.isFirstLoad")


def test_ended_session_leads_an_open_page_to_the_login(browsing: Callable[..., BrowserContext], served: Page) -> None:
    context = browsing()
    watched, other = context.new_page(), context.new_page()
    watched.goto("/studies")
    watched.wait_for_selector("body[data-connection=connected]")
    other.goto("/")

    other.get_by_role("button", name="Log out op").click()
    served.node.accept(films.dx(seed=21))

    watched.wait_for_url("**/login")
