"""Pages of a running node in Chromium, with a modality and a PACS that rejects."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pydicom import dcmread

from cxr_node.phantom import dicom
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import ROLES
from tests.support.chromium import open_chromium
from tests.support.films import ROOT
from tests.support.oidc_provider import CLAIMS, provider, settings_of
from tests.support.peers import LOOPBACK, free_port, until
from tests.support.running_node import RunningNode, running, settings_file, to_pacs
from tests.support.web import CLERK, PASSWORD, users

PICTURES = ROOT / "docs" / "pictures" / "page"
CANNOT_UNDERSTAND = 0xC000
SIZES = {1280: 900, 390: 844}
_HEAT_IS_LOADED = """async () => {
  const picture = new Image();
  picture.src = document.querySelector(".layer.heat image").getAttribute("href");
  await picture.decode();
  return picture.naturalWidth > 0;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_chromium(is_whole=True) as opened:
        yield opened


@dataclass(slots=True)
class PacsStatus:
    """With which status the PACS answers."""

    status: int = 0x0000


@pytest.fixture(scope="module")
def pacs_status() -> PacsStatus:
    return PacsStatus()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs_status: PacsStatus) -> Iterator[RunningNode]:
    people = f"{users(('op', 'operator', True), ('reader', 'viewer', True))}\n{CLERK}"
    port = free_port()
    with SimulatedPacs(status=lambda _: pacs_status.status) as archive, provider(CLAIMS) as op:
        # By another name it is another site, as in a hospital.
        oidc = settings_of(op.issuer.replace(LOOPBACK, "localhost"), f"http://{LOOPBACK}:{port}/login/oidc/callback")
        config = settings_file(
            tmp_path_factory.mktemp("node"),
            destinations=(to_pacs(archive.port, archive.ae_title),),
            more=f"[web]\nport = {port}\n{people}\n{oidc}",
        )
        with running(config, wait_for=(*ROLES, "admin"), roles=(*ROLES, "admin")) as started:
            yield started


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return dicom.write_examples(tmp_path_factory.mktemp("films"))


@pytest.fixture
def context(browser: Browser, node: RunningNode) -> Iterator[BrowserContext]:
    with browser.new_context(base_url=f"http://{node.addresses['admin']}") as opened:
        opened.set_default_timeout(30_000)
        yield opened


def log_in(page: Page, name: str = "op") -> None:
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Operations")).to_be_visible()


def keep(page: Page, name: str) -> None:
    """Keep a picture of a page at both widths for the documents, if that is asked for; it never scrolls sideways."""
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
        if os.environ.get("CXR_NODE_KEEP_PICTURES"):
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.wait_for_timeout(300)
            page.screenshot(path=PICTURES / f"{name}-{width}.png")
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.ci(short="tests/integration/test_web_looks.py::test_selected_heat_map_is_shown")
def test_film_appears_on_the_operations_page_and_is_opened(
    context: BrowserContext, node: RunningNode, films: list[Path]
) -> None:
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    keep(page, "login")
    log_in(page)
    expect(page.get_by_text("No film has been received yet.")).to_be_visible()

    node.send(films[1])

    expect(page.locator("a[href='/studies/1']")).to_be_visible()
    expect(page.get_by_role("row", name="1 ◆").get_by_text("delivered")).to_be_visible(timeout=90_000)
    keep(page, "operations")
    page.locator("a[href='/studies/1']").click()
    expect(page.get_by_role("heading", name="Study 1")).to_be_visible()
    page.get_by_role("img", name="Film 1, PA").click()
    expect(page.get_by_role("heading", name="Film 1")).to_be_visible()
    until(lambda: page.locator(".stage img").evaluate("image => image.naturalWidth") > 0, what="the picture")
    anatomy, calipers = page.locator(".layer.anatomy"), page.locator(".layer.calipers")
    heat = page.locator(".layer.heat")
    expect(heat).to_be_hidden()
    page.get_by_label("Heat map").check()
    expect(heat).to_be_visible()
    until(lambda: page.evaluate(_HEAT_IS_LOADED), what="the heat map")
    expect(page.get_by_text("Each map has its own scale")).to_be_visible()
    expect(anatomy).to_be_hidden()
    page.get_by_label("Anatomy").focus()
    page.keyboard.press("Space")
    expect(anatomy).to_be_visible()
    expect(calipers).to_be_hidden()
    page.get_by_label("Calipers").check()
    expect(calipers).to_be_visible()
    page.keyboard.press("Space")
    expect(calipers).to_be_hidden()
    page.get_by_label("Calipers").check()
    expect(page.get_by_role("img", name="score ")).not_to_have_count(0)
    keep(page, "film")
    assert complaints == []


@pytest.mark.ci(
    short="tests/integration/test_web_operations.py::test_twenty_failed_deliveries_are_retried_in_one_action"
)
def test_dead_letter_is_retried_and_delivered(
    context: BrowserContext, node: RunningNode, films: list[Path], pacs_status: PacsStatus
) -> None:
    page = context.new_page()
    log_in(page)
    pacs_status.status = CANNOT_UNDERSTAND
    node.send(films[0])
    node.until_idle()
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("link", name="failed", exact=True).click()
    keep(page, "jobs")
    pacs_status.status = 0x0000

    page.get_by_label("Select all rows of this page").check()
    page.get_by_role("button", name="Retry selected").click()
    expect(page.get_by_role("heading", name="Retry 1 job?")).to_be_visible()
    keep(page, "retry")
    page.get_by_role("button", name="Retry 1 job").click()

    expect(page.get_by_role("heading", name="1 job queued again")).to_be_visible()
    node.until_idle()
    page.get_by_role("link", name="Failed jobs").click()
    expect(page.get_by_text("No jobs with these filters.")).to_be_visible()
    for name, path in (("studies", "/studies"), ("films", "/films"), ("findings", "/findings"),
                       ("deliveries", "/deliveries"), ("devices", "/devices"), ("study", "/studies/1"),
                       ("result", "/results/1"),
                       ("trends", "/trends"), ("settings", "/settings")):  # fmt: skip
        page.goto(path)
        page.wait_for_load_state()
        if name == "settings":
            page.get_by_role("heading", name="compose").click()
        keep(page, name)


@pytest.mark.ci(short="tests/integration/test_web_search.py::test_one_hit_is_opened_and_several_are_listed")
def test_study_is_found_by_a_patient_id(context: BrowserContext, node: RunningNode, films: list[Path]) -> None:
    node.send(films[1])
    patient_id = str(dcmread(films[1], stop_before_pixels=True).PatientID)
    page = context.new_page()
    log_in(page, "clerk")
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))

    page.get_by_role("searchbox").fill(patient_id)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name=re.compile(r"^Study \d+"))).to_be_visible()
    expect(page.get_by_text(f"Patient ID {patient_id}")).to_be_visible()
    assert urls
    assert [url for url in urls if patient_id in url] == []
    keep(page, "study-identifiers")


@pytest.mark.ci(short="tests/integration/test_web_oidc.py::test_person_logs_in_with_the_roles_of_the_id_token")
def test_person_logs_in_at_the_hospitals_provider(context: BrowserContext, node: RunningNode) -> None:
    page = context.new_page()
    page.goto("/")
    page.get_by_role("link", name="Log in with the hospital").click()
    page.get_by_role("button", name="kim").click()

    expect(page.get_by_role("heading", name="Operations")).to_be_visible()
    expect(page.get_by_role("button", name="Log out oidc/kim")).to_be_visible()
    page.get_by_role("link", name="Studies", exact=True).click()
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()


@pytest.mark.ci(short="tests/integration/test_web.py::test_only_an_operator_with_the_session_token_retries_a_job")
def test_viewer_has_no_retry_button_and_keyboard_reaches_all_links(context: BrowserContext, node: RunningNode) -> None:
    page = context.new_page()
    log_in(page, "reader")
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("button", name="Retry selected")).to_have_count(0)

    page.goto("/")
    reached = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))

    assert {"Skip to content", "Operations", "Studies", "Deliveries", "Trends", "Settings", "Log out reader"} <= reached
