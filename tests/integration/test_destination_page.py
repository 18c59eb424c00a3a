"""Destinations are tested on the settings page: by operators, without an object."""

from pathlib import Path

from cxr_node.simulators.pacs import SimulatedPacs
from tests.support.audit_rules import recorded
from tests.support.peers import LOOPBACK, free_port
from tests.support.web import PEOPLE, served_page, token_of


def destination(name: str, ae_title: str, port: int) -> str:
    values = f'name = "{name}"\nae_title = "{ae_title}"\nhost = "{LOOPBACK}"\nport = {port}'
    return f'[[deliver.destinations]]\nkind = "cstore"\n{values}\n'


def test_an_operator_tests_a_destination_on_the_page(tmp_path: Path) -> None:
    with SimulatedPacs(tmp_path / "pacs") as pacs:
        rows = destination("main PACS", pacs.ae_title, pacs.port) + destination("away", "PACS", free_port())
        with served_page(tmp_path / "node", more=f"{PEOPLE}\n{rows}") as page:
            with page.visited_by("op") as operator:
                token = token_of(operator)
                assert "Test main PACS" in operator.get("/settings").text
                answers = {
                    name: operator.post("/settings/destinations/test", data={"name": name, "token": token})
                    for name in ("main PACS", "away", "nowhere")
                }
                forged = operator.post("/settings/destinations/test", data={"name": "away", "token": "x"})
            with page.visited_by("reader") as viewer:
                assert "Test main PACS" not in viewer.get("/settings").text
                refused = viewer.post("/settings/destinations/test", data={"name": "away", "token": token_of(viewer)})
            tested = recorded(page.config.parent / "cxr-node-data" / "audit", "110113")

    assert "responds to C-ECHO" in answers["main PACS"].text
    assert "is accepted, in" in answers["main PACS"].text
    assert "refused" in answers["away"].text
    assert "Next: check that it runs" in answers["away"].text
    assert (answers["nowhere"].status_code, forged.status_code, refused.status_code) == (404, 403, 403)
    assert [row.find(".//*[@ParticipantObjectID='destinations/away']") is not None for row in tested] == [False, True]
    assert list((tmp_path / "pacs").glob("*")) == []
