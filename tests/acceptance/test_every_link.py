"""Every link of every page, in Chromium, on a node with every kind of result and every part that is off by default."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from cxr_node.db.states import State
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.report.kinds.registry import KIND_BY_NAME
from cxr_node.simulators import his, worklist, worklist_steps
from cxr_node.simulators.fhir import SimulatedFhir
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import ROLES
from cxr_node.simulators.query_archive import SimulatedArchive
from cxr_node.simulators.rejection_notes import rejection_note
from cxr_node.simulators.ris import SimulatedRis
from cxr_node.simulators.worklist import SimulatedWorklist
from tests.support import films
from tests.support.chromium import log_in, open_chromium, watch
from tests.support.page_paths import PAGES
from tests.support.peers import LOOPBACK, free_port, until
from tests.support.running_node import RunningNode, running, settings_file, to_pacs
from tests.support.web import CLERK, users

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

STEP = worklist_steps.step_uid(1)
FILM = films.dx(rows=256, columns=200, changes={"AccessionNumber": "A90"})
OF_STEP = films.dx(rows=256, columns=200, seed=1)
REJECTED = films.dx(rows=256, columns=200, seed=2)
LATERAL = films.dx(rows=256, columns=200, seed=3, changes={"ViewPosition": "LL"})
NOTE = rejection_note(RejectionTitle.QUALITY, REJECTED)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium(is_whole=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that has read films, corrected a patient, claimed a step, and failed to deliver to one destination."""
    adt_port = free_port()
    with ExitStack() as peers:
        pacs = peers.enter_context(SimulatedPacs())
        full = peers.enter_context(SimulatedPacs(status=lambda _: 0xC000))
        fhir, ris = peers.enter_context(SimulatedFhir()), peers.enter_context(SimulatedRis())
        archive, manager = peers.enter_context(SimulatedArchive()), peers.enter_context(SimulatedWorklist())
        manager.add(STEP, [OF_STEP])
        more = f"""
[web]
port = 0
learn = true
{users(("op", "operator", True))}
sees_identifiers = true
{CLERK}
[dicomweb]
enabled = true
port = {free_port()}
[adt]
enabled = true
port = {adt_port}
addresses = ["{LOOPBACK}"]
[priors]
compare = true
[[priors.sources]]
kind = "dicom"
name = "old-archive"
host = "{LOOPBACK}"
port = {archive.port}
ae_title = "{archive.ae_title}"
[ups]
every_s = 0.5
[[ups.worklists]]
kind = "dicom"
name = "ris"
host = "{LOOPBACK}"
port = {manager.port}
ae_title = "{worklist.AE_TITLE}"
workitem = "110003^DCM^Computer Aided Diagnosis"
"""
        destinations = (
            {**to_pacs(pacs.port, pacs.ae_title), "results": list(KIND_BY_NAME)},
            {**to_pacs(full.port, full.ae_title), "name": "full"},
            {"kind": "fhir", "name": "emr", "url": fhir.url, "patient": "identifier",
             "patient_systems": ["=urn:oid:1.2.3"]},
            {"kind": "hl7", "name": "ris", "host": LOOPBACK, "port": ris.port},
        )  # fmt: skip
        folder = tmp_path_factory.mktemp("linked")
        config = settings_file(folder / "node", destinations=destinations, more=more, is_tiny=True)
        with running(config, wait_for=(*ROLES, "admin"), roles=(*ROLES, "admin")) as started:
            for film in (FILM, OF_STEP, REJECTED, LATERAL):
                started.send(films.written(film, folder))
            started.until_idle(240)
            until(
                lambda: manager.steps[STEP].state != worklist_steps.SCHEDULED, what="the claim of a step", timeout_s=120
            )
            started.send(films.written(NOTE, folder))
            message = his.adt("A08", films.PATIENT_ID, name=("New", "Name", "", "", "", "", "L"))
            assert his.send(message, adt_port, timeout_s=60) == "AA"
            started.until_idle(240)
            yield started


def test_every_link_of_every_page_leads_somewhere(chromium: Browser, node: RunningNode) -> None:
    """Pages are opened in the browser, other files requested; forms are not sent."""
    complaints: list[str] = []
    with chromium.new_context(base_url=f"http://{node.addresses['admin']}") as context:
        context.set_default_timeout(60_000)
        page = context.new_page()
        watch(page, complaints)
        log_in(page)
        waiting, followed = ["/"], set[str]()
        while waiting:
            path = waiting.pop()
            shape = shape_of(path)
            if shape in followed:
                continue
            followed.add(shape)
            answer = context.request.get(path)
            assert answer.ok, path
            if not answer.headers["content-type"].startswith("text/html"):
                continue
            page.goto(path)
            page.wait_for_load_state()
            assert complaints == [], path
            waiting += page.locator("a[href^='/']").evaluate_all("links => links.map(a => a.getAttribute('href'))")

    assert any(job.state is State.FAILED for job in node.jobs())
    assert len([shape for shape in followed if shape.startswith("/results/")]) >= len(KIND_BY_NAME)
    menu = (
        "operations",
        "studies",
        "films",
        "findings",
        "deliveries",
        "jobs",
        "steps",
        "exports",
        "refusals",
        "devices",
        "trends",
        "monitoring",
        "settings",
        "users",
        "learn",
        "study",
        "film",
        "tokens",
        "settings-edit",
    )
    assert {f"{PAGES[name]}?" for name in menu} <= followed
    assert any(shape.startswith("/actions/retry?") for shape in followed)


def shape_of(path: str) -> str:
    """Return what a link leads to: the path, and the names of its query; pages of a table are one page."""
    place, _, query = path.partition("#")[0].partition("?")
    return f"{place}?{'&'.join(sorted({part.partition('=')[0] for part in query.split('&')}))}"
