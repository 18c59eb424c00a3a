"""Destinations, routes and priority rules edited on the page: checked, compared, tested, applied, undone, audited."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from cxr_node.simulators.pacs import SimulatedPacs
from tests.support.audit_rules import recorded
from tests.support.peers import LOOPBACK, free_port
from tests.support.web import PEOPLE, Page, served_page, token_of

ROW = "/settings/edit/row"


def rows(port: int) -> str:
    return f"""
# PACS of the house
[[deliver.destinations]]
kind = "cstore"  # by DICOM
name = "main"
host = "{LOOPBACK}"
port = {port}  # of the archive
ae_title = "PACS"
"""


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPacs]:
    with SimulatedPacs(tmp_path_factory.mktemp("pacs")) as pacs:
        yield pacs


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, pacs: SimulatedPacs) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("node"), more=f"{PEOPLE}\n{rows(free_port())}") as page:
        yield page


@pytest.fixture
def operator(page: Page) -> Iterator[httpx.Client]:
    """Return an operator's client; the settings file is as it was after the test."""
    text = page.config.read_text(encoding="utf-8")
    with page.visited_by("op") as client:
        yield client
    page.config.chmod(0o600)
    page.config.write_text(text, encoding="utf-8")


def fields(response: httpx.Response) -> dict[str, list[str]]:
    """Return what a browser would post of the form of a page, without its buttons."""
    form = response.text.partition('action="/settings/edit/row"')[2].partition("</form>")[0]
    values: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = (re.search(rf'\b{key}="([^"]*)"', tag) for key in ("name", "value"))
        assert name is not None
        if 'type="checkbox"' not in tag or " checked" in tag:
            values.setdefault(name[1], []).append(unescape(value[1]) if value else "")
    for name_, inner in re.findall(r'<textarea name="([^"]+)"[^>]*>([^<]*)</textarea>', form):
        values[name_] = [unescape(inner)]
    for name_, inner in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        values[name_] = re.findall(r"<option selected>([^<]*)", inner)
    return values


def post(client: httpx.Client, values: dict[str, list[str]], action: str) -> httpx.Response:
    return client.post(ROW, data={**values, "action": action})


def entered(client: httpx.Client, query: str, **changes: str) -> dict[str, list[str]]:
    values = fields(client.get(f"{ROW}?{query}"))
    return values | {f"field.{name}": [value] for name, value in changes.items()}


def test_an_edit_is_checked_compared_applied_audited_and_undone(page: Page, operator: httpx.Client) -> None:
    before = page.config.read_text(encoding="utf-8")
    values = entered(operator, "kind=cstore&index=0", port="11999")
    unseen = post(operator, values, "apply")
    checked = post(operator, values, "check")
    applied = post(operator, fields(checked), "apply")
    listed = operator.get(applied.headers["location"])

    assert unseen.status_code == 400
    assert page.config.read_text(encoding="utf-8") == before.replace(
        re.findall(r"port = \d+  # of the archive", before)[0], "port = 11999  # of the archive"
    )
    assert "+port = 11999  # of the archive" in checked.text
    assert "<code>deliver.destinations.main.port</code>: in force within 1 s" in checked.text
    assert "scrypt" not in checked.text
    assert "The file was changed" in listed.text
    assert "port 11999" in listed.text
    assert "11999" in operator.get("/settings?q=main").text

    shown = operator.get("/settings/edit/undo")
    digest = re.findall(r'name="shown" value="([^"]+)"', shown.text)[0]
    token = token_of(operator)
    stale = operator.post("/settings/edit/undo", data={"token": token, "shown": "x"})
    undone = operator.post("/settings/edit/undo", data={"token": token, "shown": digest})
    assert (stale.status_code, undone.status_code) == (200, 303)
    assert page.config.read_text(encoding="utf-8") == before
    assert operator.get("/settings/edit/undo").status_code == 409
    audit = recorded(page.config.parent / "cxr-node-data" / "audit", "110113")
    texts = [event.find(".//ParticipantObjectIdentification[@ParticipantObjectID='settings']") for event in audit]
    assert len([text for text in texts if text is not None]) == 2


def test_a_wrong_value_is_named_beside_its_field_and_not_written(page: Page, operator: httpx.Client) -> None:
    before = page.config.read_text(encoding="utf-8")
    values = entered(operator, "kind=cstore&index=0", port="many", ae_title="")
    responses = [post(operator, values, action) for action in ("check", "apply", "test")]

    assert {response.status_code for response in responses} == {400}
    assert re.search(r'id="field-port-error">&#34;many&#34; is not right; expected a whole number', responses[0].text)
    assert 'id="field-ae_title-error"' in responses[0].text
    assert 'name="field.port" id="field-port" value="many"' in responses[0].text
    assert page.config.read_text(encoding="utf-8") == before


def test_a_row_is_added_and_removed(page: Page, operator: httpx.Client) -> None:
    before = page.config.read_text(encoding="utf-8")
    rule = entered(operator, "kind=urgent", priority_boost_s="600", calling_ae_titles="ER1\nER2")
    post(operator, fields(post(operator, rule, "check")), "apply")
    folder = entered(operator, "kind=folder", name="share <b>", folder="results")
    post(operator, fields(post(operator, folder, "check")), "apply")
    text = page.config.read_text(encoding="utf-8")
    listed = operator.get("/settings/edit").text

    assert '[[receive.urgent]]\npriority_boost_s = 600\ncalling_ae_titles = ["ER1", "ER2"]\n' in text
    assert '[[deliver.destinations]]\nkind = "folder"\nname = "share <b>"\nfolder = "results"\n' in text
    assert "share &lt;b&gt;" in listed
    for query in ("kind=folder&index=1", "kind=urgent&index=0"):
        shown = post(operator, entered(operator, query), "remove")
        assert "in force within" in shown.text
        assert post(operator, fields(shown), "apply_remove").status_code == 303
    assert page.config.read_text(encoding="utf-8").strip() == before.strip()


def test_an_edit_of_a_file_that_somebody_else_changed_is_refused(page: Page, operator: httpx.Client) -> None:
    checked = post(operator, entered(operator, "kind=cstore&index=0", port="11999"), "check")
    by_hand = page.config.read_text(encoding="utf-8") + "# by hand\n"
    page.config.write_text(by_hand, encoding="utf-8")
    refused = post(operator, fields(checked), "apply")

    assert refused.status_code == 409
    assert "changed by somebody else" in refused.text
    assert 'value="11999"' in refused.text
    assert page.config.read_text(encoding="utf-8") == by_hand


def test_a_read_only_file_is_shown_as_lines_to_paste(page: Page, operator: httpx.Client) -> None:
    page.config.chmod(0o440)
    checked = post(operator, entered(operator, "kind=cstore&index=0", port="11999"), "check")
    forced = post(operator, fields(checked) | {"shown": ["x"]}, "apply")

    assert "read-only" in operator.get("/settings/edit").text
    assert "# PACS of the house\n[[deliver.destinations]]\nkind = &#34;cstore&#34;  # by DICOM\n" in checked.text
    assert 'value="apply"' not in checked.text
    assert forced.status_code == 400


def test_what_is_entered_is_tested_before_it_is_saved(
    operator: httpx.Client, pacs: SimulatedPacs, tmp_path: Path, page: Page
) -> None:
    values = entered(operator, "kind=cstore&index=0", port=str(pacs.port), ae_title=pacs.ae_title)
    tested, sent = (post(operator, values, action) for action in ("test", "report"))
    away = post(operator, entered(operator, "kind=cstore", name="x", host=LOOPBACK, port="1", ae_title="X"), "report")

    assert "responds to C-ECHO" in tested.text
    assert "was accepted with status 0x0000" in sent.text
    assert "is accepted, in" in tested.text
    assert "test report to x" in away.text
    assert str(pacs.port) not in page.config.read_text(encoding="utf-8")


def test_only_operators_with_their_token_edit(page: Page, operator: httpx.Client) -> None:
    values = entered(operator, "kind=cstore&index=0", port="11999")
    forged = post(operator, values | {"token": ["x"]}, "check")
    undo = operator.post("/settings/edit/undo", data={"token": "x"})
    with page.visited_by("reader") as viewer:
        pages = [viewer.get(path) for path in ("/settings/edit", f"{ROW}?kind=cstore", "/settings/edit/undo")]
        posted = post(viewer, values | {"token": [token_of(viewer)]}, "check")
        assert "/settings/edit" not in viewer.get("/settings").text

    assert {response.status_code for response in (forged, undo, posted, *pages)} == {403}
    missing = [operator.get(f"{ROW}?{query}") for query in ("kind=ftp", "kind=cstore&index=7", "kind=folder&index=0")]
    assert [response.status_code for response in missing] == [404, 404, 404]


def test_a_file_that_became_invalid_is_named_on_the_page(page: Page, operator: httpx.Client) -> None:
    text = page.config.read_text(encoding="utf-8")
    page.config.write_text(text.replace('ae_title = "PACS"', 'ae_title = ""'), encoding="utf-8")
    listed = operator.get("/settings/edit").text
    page.config.write_text(f"{text}\n[gate]\nmaximum_pixels = 1000000\n", encoding="utf-8")
    restart = operator.get("/settings/edit").text

    assert "stay in force: deliver.destinations.main.ae_title" in listed
    assert "after a restart only: gate.maximum_pixels" in restart
