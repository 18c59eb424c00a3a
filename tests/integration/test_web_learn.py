"""Page of the phantom: what its films and readings show, and what a person changes in Chromium."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Position, expect
from playwright.sync_api import Page as Tab

from cxr_node.api.lesson import LessonRequest, open_reader, take_film
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality
from cxr_node.phantom.pathology import Ball
from cxr_node.web.learn import film_content
from tests.support.chromium import open_chromium, violations
from tests.support.web import PASSWORD, PEOPLE, Page, served_page

pytestmark = pytest.mark.slow

AT_THE_HEART = Ball(across=0.3, down=0.75, backward=0.15, radius_mm=45.0, density=0.9)
SOON_MS = 90_000
"""The first film waits for the process that computes it."""


@pytest.fixture(scope="module")
def films() -> dict[str, dict[str, Any]]:
    """What the page gets of four films of the phantom."""
    requests = {
        "normal": request(),
        "filled": request(consolidation=AT_THE_HEART),
        "ap": request(view=View.AP),
        "breathed out": request(breath=0.1),
    }
    with open_reader() as reader:
        return {name: film_content(take_film(reader, choice)) for name, choice in requests.items()}


def request(
    *, view: View = View.PA, breath: float = 0.9, consolidation: Ball | None = None, side: Laterality = Laterality.RIGHT
) -> LessonRequest:
    return LessonRequest(view=view, rotation_deg=0.0, breath=breath, side=side, consolidation=consolidation)


def states(film: dict[str, Any]) -> dict[str, str]:
    return {border["name"]: border["state"] for border in film["borders"]}


def score(film: dict[str, Any], name: str) -> float:
    (finding,) = [finding for finding in film["findings"] if finding["name"] == name]
    return float(finding["percent"])


def test_a_filled_lung_hides_the_border_of_the_heart(films: dict[str, dict[str, Any]]) -> None:
    assert states(films["normal"])["Right heart border"] == "clear"
    assert states(films["filled"])["Right heart border"] == "obscured"
    assert states(films["filled"])["Left heart border"] == "clear"


def test_a_filled_lung_is_denser_and_has_a_higher_score(films: dict[str, dict[str, Any]]) -> None:
    normal, filled = (
        {row["zone"]: float(row["right"].split()[0]) for row in films[name]["zones"]} for name in ("normal", "filled")
    )

    assert filled["lower"] > normal["lower"]
    assert score(films["filled"], "Opacity") > score(films["normal"], "Opacity")
    assert (films["normal"]["lesion_percent"], films["filled"]["lesion_percent"] > 1) == (0.0, True)


def test_the_heart_is_larger_on_an_ap_film(films: dict[str, dict[str, Any]]) -> None:
    ratios = {name: {key: float(value) for key, value in film["ratio"].items()} for name, film in films.items()}

    assert ratios["ap"]["true"] > ratios["normal"]["true"]
    assert ratios["ap"]["measured"] > ratios["normal"]["measured"]


def test_the_diaphragm_rises_when_the_patient_breathes_out(films: dict[str, dict[str, Any]]) -> None:
    out, full = (films[name]["lungs"]["left"] for name in ("breathed out", "normal"))

    assert out[3] - out[1] < full[3] - full[1]


def test_gray_values_are_those_of_the_film(films: dict[str, dict[str, Any]]) -> None:
    film = films["normal"]
    gray = np.frombuffer(base64.b64decode(film["gray"]), np.uint8).reshape(film["rows"], film["columns"])

    assert gray.min() < 60
    assert gray.max() > 200
    assert {layer["key"] for layer in film["layers"]} == {"anatomy", "borders", "calipers", "outlines"}


def test_the_process_that_serves_the_page_loads_no_pytorch() -> None:
    program = "import sys, cxr_node.web.server; print('cxr_node.web.learn' in sys.modules, 'torch' in sys.modules)"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ended.stdout.split() == ["True", "False"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node", more=f"learn = true\n{PEOPLE}") as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as opened:
        yield opened


def open_page(tab: Tab) -> None:
    """Log in as a person who sees no film of a patient, open the page from the menu, and wait for the first film."""
    tab.request.post("/login", form={"name": "admin", "password": PASSWORD})
    tab.goto("/")
    tab.get_by_role("link", name="Learn").click()
    expect(tab.get_by_role("status").filter(has_text="Taken and read")).to_be_visible(timeout=SOON_MS)


def row(tab: Tab, table: str, name: str) -> Locator:
    return tab.locator(f"[data-rows={table}] tr", has_text=name)


def test_a_person_moves_a_consolidation_and_sees_what_changes(served: Page, chromium: Browser) -> None:
    complaints: list[str] = []
    with chromium.new_context(base_url=f"http://{served.address}", viewport={"width": 1280, "height": 900}) as context:
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        open_page(tab)
        border, zone = row(tab, "borders", "Right heart border"), row(tab, "zones", "upper")
        expect(border).to_contain_text("clear")

        tab.get_by_role("button", name="In front, at the heart").click()
        expect(border).to_contain_text("obscured", timeout=SOON_MS)
        tab.get_by_label("Radius, 0: none").focus()
        tab.keyboard.press("Home")
        expect(border).to_contain_text("clear", timeout=SOON_MS)
        before = zone.inner_text()
        tab.locator(".lesson .stage").click(position=place(tab, 0.72, 0.25))

        expect(tab.get_by_label("left lung")).to_be_checked()
        expect(zone).not_to_have_text(before, use_inner_text=True, timeout=SOON_MS)
        assert tab.locator(".lesson svg .borders path").count() > 3
    assert complaints == []


def place(tab: Tab, across: float, down: float) -> Position:
    """Return a place on the film, in pixels of the page, from parts of its width and height."""
    bounds = tab.locator(".lesson .stage").bounding_box()
    assert bounds is not None
    return {"x": across * bounds["width"], "y": down * bounds["height"]}


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (390, "light")])
def test_the_page_meets_wcag_aa_and_fits_the_width(served: Page, chromium: Browser, width: int, theme: str) -> None:
    with chromium.new_context(
        base_url=f"http://{served.address}",
        viewport={"width": width, "height": 900},
        color_scheme=theme,  # type: ignore[arg-type]
    ) as context:
        tab = context.new_page()
        open_page(tab)

        assert violations(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_parameters_outside_their_bounds_are_refused(served: Page) -> None:
    with served.visited_by("admin") as client, served.visited_by() as stranger:
        for wrong in ("view=LATERAL", "rotation=16", "breath=1.1", "radius=71", "density=-1", "side=bilateral"):
            assert client.get(f"/learn/film?{wrong}").status_code == 422, wrong
        assert stranger.get("/learn/film").status_code == 303
