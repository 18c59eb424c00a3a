"""Operations page: what a person sees first, and what an operator does from it."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from cxr_node.db.states import Stage, State
from cxr_node.domain.clock import utc_now
from cxr_node.records import destination_troubles, pauses
from tests.support import films
from tests.support.web import Page, served_page, submit


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with served_page(tmp_path / "node") as served:
        yield served


def table(text: str, name: str) -> list[list[str]]:
    """Return the cells of the rows of a table of the page."""
    body = text.partition(f'aria-label="{name}"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[unescape(re.sub(r"<.*?>", "", cell)).strip() for cell in row] for row in cells]


def test_twenty_failed_deliveries_are_retried_in_one_action(page: Page) -> None:
    node = page.node
    for seed in range(10, 29):
        node.accept(films.dx(seed=seed))
    node.work()
    failed = [job.job_id for job in node.jobs(Stage.DELIVER) if job.state is State.FAILED]
    assert len(failed) == 21
    with page.visited_by("op") as client:
        text = client.get("/").text
        assert table(text, "Failed jobs") == [["deliver", "pacs", "21", "Retry all 21", "0xA700, out of resources"]]
        address = re.search(r'href="(/actions/retry[^"]+)"', text)
        assert address is not None
        shown = client.get(unescape(address[1])).text
        submit(client, shown, "Retry 21 jobs")
        after = client.get("/").text

    assert "Retry 21 jobs?" in shown
    assert table(after, "Failed jobs") == []
    node.pacs.before_send = lambda: None
    node.clock.now = utc_now()
    node.work()
    assert {job.state for job in node.jobs(Stage.DELIVER) if job.job_id in failed} == {State.DONE}


def test_an_unreachable_destination_says_since_when_and_why(page: Page) -> None:
    with page.node.database.write() as transaction:
        destination_troubles.note(transaction, "pacs", "the connection is refused", now=page.node.clock.now)
    with page.visited_by("reader") as client:
        row, why = table(client.get("/").text, "Destinations")

    assert re.fullmatch(r"unreachable for \d+ s", row[1])
    assert why == ["", "the connection is refused"]
    assert row[4] == "1"


def test_a_pause_is_shown_with_who_made_it(page: Page) -> None:
    with page.node.database.write() as transaction:
        pauses.add(transaction, Stage.DELIVER, "pacs", by="person/kim", now=utc_now())
        pauses.add(transaction, Stage.READ, "", by="person/kim", now=utc_now())
    with page.visited_by("op") as client:
        text = client.get("/").text

    destination, who = table(text, "Destinations")
    stages = {row[0]: row[1:] for row in table(text, "Stages")}
    assert re.fullmatch(r"paused for \d+ s", destination[1])
    assert who == ["", "by person/kim"]
    assert destination[-1] == "Resume"
    assert (stages["read"][3], stages["read"][-1]) == ("1", "Resume")
    assert stages["compose"][-1] == ""


def test_the_newest_studies_show_result_and_delivery(page: Page) -> None:
    with page.visited_by("reader") as client:
        text = client.get("/").text
    with page.visited_by("admin") as client:
        without_films = client.get("/").text

    rows = table(text, "Newest studies")
    assert [row[:3] for row in rows] == [
        ["4", "waiting", "waiting"],
        ["3", "abnormal", "failed"],
        ["2", "not analysed", "delivered"],
        ["1", "abnormal", "delivered"],
    ]
    assert 'href="/studies/4"' in text
    assert [row[:2] for row in table(without_films, "Newest studies")] == [
        ["4", "waiting"],
        ["3", "failed"],
        ["2", "delivered"],
        ["1", "delivered"],
    ]
    assert "/studies/" not in without_films
    assert "Retry" not in text


def test_a_destination_without_deliveries_is_listed(tmp_path: Path) -> None:
    from tests.support.web import PEOPLE

    more = f'{PEOPLE}\n[[deliver.destinations]]\nkind = "folder"\nname = "archive"\nfolder = "{tmp_path / "results"}"\n'
    with served_page(tmp_path / "node", more=more) as served, served.visited_by("reader") as client:
        rows = table(client.get("/").text, "Destinations")

    assert [row[:2] for row in rows] == [["pacs", "reachable"], ["archive", "nothing sent yet"]]


def test_nothing_is_done_in_green_whose_report_did_not_arrive(page: Page) -> None:
    with page.visited_by("reader") as client:
        for path in ("/studies/3", "/films/3", "/films?where=film_id=3", "/jobs?where=study_id=3"):
            text = client.get(path).text
            assert "chip ok" not in text, path
            assert 'class="state done"' not in text, path
