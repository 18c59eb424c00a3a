"""Tables over HTTP: pages, files, the JSON API, roles, and actions on their rows."""

import csv
import io
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from cxr_node.db.errors import StatementTimeout
from cxr_node.db.states import Stage, State
from cxr_node.domain.clock import utc_now
from cxr_node.ops import batches
from cxr_node.queries.tables import paging
from cxr_node.queries.tables.registry import TABLES
from tests.support import audit_rules, films
from tests.support.web import Page, served_page, submit, token_of

FAILED = "where=state%3Dfailed&since=all"
RETRY = "/actions/retry?table=jobs"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node") as served:
        yield served


@pytest.fixture
def own_page(tmp_path: Path) -> Iterator[Page]:
    with served_page(tmp_path / "node") as served:
        yield served


def links(text: str) -> dict[str, str]:
    """Return the links of a page by their words."""
    anchors = re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>(.*?)</a>', text, re.DOTALL)
    return {re.sub(r"<.*?>", "", words).strip(): unescape(address) for address, words in anchors}


def follow(client: httpx.Client, text: str, words: str) -> str:
    """Return the page behind the link of a page."""
    answer = client.get(links(text)[words])
    assert answer.status_code == 200, answer.text
    return answer.text


def rows(text: str) -> list[list[str]]:
    """Return the cells of the rows of a page's table."""
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [unescape(re.sub(r"<.*?>", "", cell)).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def test_findings_above_80_of_the_week_are_a_csv_file_in_three_clicks(own_page: Page) -> None:
    with own_page.node.database.write() as transaction:
        transaction.connection.exec_driver_sql("UPDATE finding SET score = 0.862, code_meaning = '=1+1' WHERE id = 1")
    with own_page.visited_by("reader") as client:
        findings = follow(client, client.get("/").text, "Findings")
        above = follow(client, findings, "above 80, last 7 days")
        answer = client.get(links(above)["CSV"])

    assert answer.headers["content-type"].startswith("text/csv")
    assert re.fullmatch(r'attachment; filename="findings-\d{8}-\d{6}.csv"', answer.headers["content-disposition"])
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["score"], row["threshold"], row["presence"]) == ("86.2", "50.0", "present")
    assert row["code_meaning"] == "'=1+1"
    assert row["received_at"].endswith("+00:00")
    assert [cells[5:8] for cells in rows(above)] == [["", "86.2", "50.0"]]
    recorded = audit_rules.recorded(own_page.config.parent / "cxr-node-data" / "audit", "110113")
    (export,) = (event.findall("ActiveParticipant")[0].get("UserID") for event in recorded)
    assert export == "person/reader"


def test_headings_sort_and_say_so(page: Page) -> None:
    with page.visited_by("reader") as client:
        text = client.get("/films").text
        assert re.findall(r'aria-sort="(\w+)"><a [^>]*>(\w+)', text) == [("descending", "received")]
        text = follow(client, text, "view")
        assert re.findall(r'aria-sort="(\w+)"><a [^>]*>(\w+)', text) == [("ascending", "view")]
        ascending = [cells[4] for cells in rows(text)]
        text = follow(client, text, "view ▲")
        descending = [cells[4] for cells in rows(text)]
    assert ascending == ["AP", "AP", "LATERAL", ""]
    assert descending == ["LATERAL", "AP", "AP", ""]


def test_the_form_adds_a_filter_and_leads_to_an_address_that_keeps_it(page: Page) -> None:
    form = {"form": "1", "since": "24h", "where": ["", "state=done"], "column": "view", "comparison": "contains",
            "value": "A", "columns": ["film_id", "view"], "order": "film_id"}  # fmt: skip
    with page.visited_by("reader") as client:
        answer = client.get("/films", params=form)
        assert answer.status_code == 303
        address = answer.headers["location"]
        text = client.get(address).text
        without = follow(client, text, "view is like %A% ×")

    assert address == "/films?where=state%3Ddone&where=view~%25A%25&since=24h&order=film_id&columns=film_id,view"
    assert rows(text) == [["1", "AP"], ["3", "AP"]]
    assert unescape(links(text)["Link to this list"]) == address
    assert "view is like" not in without


def test_pages_follow_each_other_by_key(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr_node.web import tables

    monkeypatch.setattr(tables, "_ROWS", 3)
    with page.visited_by("reader") as client:
        first = client.get("/jobs?order=job_id").text
        second = follow(client, first, "Next rows")
        again = follow(client, second, "Previous rows")

    assert [cells[0] for cells in rows(first)] == ["1", "2", "3"]
    assert [cells[0] for cells in rows(second)] == ["4", "5", "6"]
    assert rows(again) == rows(first)
    assert "Previous rows" not in links(first)


def test_every_link_of_every_table_leads_somewhere(page: Page) -> None:
    with page.visited_by("op") as client:
        for name, table in TABLES.items():
            text = client.get(f"/{name}").text
            assert f"<h1>{table.title}</h1>" in text
            for words, address in links(text).items():
                if address.startswith("/"):
                    answer = client.get(address)
                    assert answer.status_code == 200, (name, words, address)


def test_a_study_shows_what_its_films_show_and_where_its_results_are(page: Page) -> None:
    with page.visited_by("reader") as client:
        cells = [cells[1:3] for cells in rows(client.get("/studies").text)]
        states = [(row[5], row[-1]) for row in rows(client.get("/films").text)]

    assert cells == [["waiting", "waiting"], ["abnormal", "failed"], ["not analysed", "delivered"],
                     ["abnormal", "delivered"]]  # fmt: skip
    assert states[1] == ("read", "failed"), "not done: its report was rejected"


def test_the_api_describes_tables_and_returns_what_the_page_shows(page: Page) -> None:
    with page.visited_by("reader") as client:
        described = client.get("/api/v1/tables").json()
        shown = client.get("/api/v1/tables/films?where=state=done&columns=film_id,view&limit=1").json()
        following = client.get("/api/v1/tables/films", params={"where": "state=done", "after": shown["after"]}).json()
        everything = client.get("/api/v1/tables/films.json?where=state=done&columns=film_id,view").json()
        nothing = client.get("/api/v1/tables/films.json?where=film_id=99").json()

    assert [table["name"] for table in described] == list(TABLES)
    columns = {column["name"]: column for table in described for column in table["columns"]}
    assert columns["state"]["choices"] == list(State)
    assert columns["score"]["meaning"].startswith("Score of the model, 0 to 100")
    assert shown["rows"] == [{"film_id": 3, "view": "AP"}]
    assert [row["film_id"] for row in following["rows"]] == [1]
    assert everything == [{"film_id": 3, "view": "AP"}, {"film_id": 1, "view": "AP"}]
    assert nothing == []


def test_a_login_without_film_access_has_tables_without_uids(page: Page) -> None:
    with page.visited_by("admin") as client:
        for name, table in TABLES.items():
            for address in (f"/{name}", f"/api/v1/tables/{name}", f"/api/v1/tables/{name}.csv"):
                answer = client.get(address)
                assert answer.status_code == (403 if table.needs_film_access else 200), address
                assert "2.25." not in answer.text
        assert client.get("/jobs?where=study_instance_uid~2.25%25").status_code == 400
        assert client.get("/jobs?columns=sop_instance_uid").status_code == 400
        described = client.get("/api/v1/tables").json()
    names = [column["name"] for table in described for column in table["columns"]]
    assert not [name for name in names if name.endswith("_uid")]


def test_a_wrong_selection_is_answered_by_a_sentence(page: Page) -> None:
    with page.visited_by("op") as client:
        shown = client.get("/films?where=foo%3D1")
        api = client.get("/api/v1/tables/films.csv?order=foo")
        unknown = client.get("/api/v1/tables/patients")

    assert (shown.status_code, api.status_code, unknown.status_code) == (400, 400, 404)
    assert "the table of films has no column &#39;foo&#39;" in shown.text
    assert api.json()["detail"].startswith("the table of films has no column 'foo'")


def test_a_query_that_takes_too_long_says_to_narrow_the_range(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object, **__: object) -> paging.Page:
        raise StatementTimeout

    monkeypatch.setattr(paging, "_rows", too_long)
    with page.visited_by("op") as client:
        shown = client.get("/films?order=view&since=all")
        file = client.get("/api/v1/tables/films.csv")

    assert (shown.status_code, file.status_code) == (503, 503)
    assert "narrow the date range, or sort by received, and try again" in shown.text
    assert file.json()["detail"] == "there was no answer within 10 s: narrow the date range, and try again"


def test_a_file_that_cannot_be_finished_is_not_taken_for_whole(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    of_page = paging.page

    def fails_later(*arguments: object, **options: object) -> paging.Page:
        if options.get("after"):
            raise StatementTimeout
        return of_page(*arguments, **options)  # type: ignore[arg-type]  # theirs

    monkeypatch.setattr(paging, "page", fails_later)
    monkeypatch.setattr(paging, "_CHUNK", 1)
    with page.visited_by("op") as client, pytest.raises(httpx.RemoteProtocolError):
        client.get("/api/v1/tables/jobs.csv")


def test_failed_jobs_are_retried_in_one_action_after_it_is_shown(
    own_page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All jobs of a list, in more than one transaction."""
    node = own_page.node
    for seed in range(10, 13):
        node.accept(films.dx(seed=seed))
    node.work()
    failed = [job.job_id for job in node.jobs() if job.state is State.FAILED]
    with own_page.visited_by("op") as client:
        listed = client.get(f"/jobs?{FAILED}").text
        shown = follow(client, listed, "Retry all jobs of this list")
        before = [job.job_id for job in node.jobs() if job.state is State.FAILED]
        monkeypatch.setattr(batches, "ROWS", 2)
        done = submit(client, shown, f"Retry {len(failed)} jobs")

    assert f"Retry {len(failed)} jobs?" in shown
    assert rows(shown) == [["pacs", "failed", str(len(failed))]]
    assert before == failed
    assert f"<h1>{len(failed)} jobs queued again</h1>" in done.text
    waiting = [job.job_id for job in node.jobs(Stage.DELIVER) if job.state is State.WAITING]
    assert waiting == failed
    (change,) = audit_rules.recorded(own_page.config.parent / "cxr-node-data" / "audit", "110113")
    assert change.findall("ActiveParticipant")[0].get("UserID") == "person/op"
    node.pacs.before_send = lambda: None
    node.clock.now = utc_now()
    node.work()
    assert not [job for job in node.jobs() if job.state is State.FAILED]


def test_chosen_deliveries_are_sent_again_and_waiting_ones_left(own_page: Page) -> None:
    with own_page.visited_by("op") as client:
        chosen = client.get("/actions/retry?table=deliveries&chosen=1&number=1&number=3").text
        none = client.get("/actions/retry?table=jobs&chosen=1").text
        waiting = client.get("/actions/retry?table=jobs&chosen=1&number=10").text

    assert [cells[:2] for cells in rows(chosen)] == [["pacs", "done"], ["pacs", "failed"]]
    assert "No row is selected" in none
    assert "Left as they are, because they have not ended: 1 read waiting." in waiting


def test_delivered_results_of_a_list_are_sent_again_after_it_is_shown(own_page: Page) -> None:
    sent = len(own_page.node.pacs.received)
    with own_page.visited_by("op") as client:
        chosen = client.get("/actions/resend?table=deliveries&chosen=1&number=1&number=3").text
        shown = follow(client, client.get("/studies?since=all").text, "Resend all studies of this list")
        (button,) = re.findall(r">(Send \d+ results? of \d+ stud\w+ to pacs)</button>", shown)
        refused = submit(client, shown, button, {"token": "x"})
        done = submit(client, shown, button)
        again = submit(client, shown, button)
    with own_page.visited_by("reader") as viewer:
        assert viewer.get("/actions/resend?table=studies").status_code == 403

    assert "<h2>1 result of 1 study to pacs</h2>" in chosen
    assert "Not sent: 1 not delivered" in chosen
    assert refused.status_code == 403
    results = int(re.findall(r"<h2>(\d+) results? of \d+ stud", shown)[0])
    assert f"<h1>{results} result" in done.text
    assert "<h1>0 results queued" in again.text
    change = audit_rules.recorded(own_page.config.parent / "cxr-node-data" / "audit", "110113")[-1]
    assert change.findall("ActiveParticipant")[0].get("UserID") == "person/op"
    own_page.node.pacs.before_send = lambda: None
    own_page.node.clock.now = utc_now()
    own_page.node.work()
    assert len(own_page.node.pacs.received) == sent + results


def test_films_of_a_list_are_read_again_after_it_is_shown(own_page: Page) -> None:
    with own_page.visited_by("op") as client:
        shown = follow(client, client.get("/films?since=all").text, "Re-read all films of this list")
        (button,) = re.findall(r">(Read \d+ films? again)</button>", shown)
        refused = submit(client, shown, button, {"token": "x"})
        done = submit(client, shown, button)
        again = submit(client, shown, button)
        nothing = client.get("/actions/reread?table=films&chosen=1").text
    with own_page.visited_by("reader") as viewer:
        assert viewer.get("/actions/reread?table=films").status_code == 403

    (films_of_list,) = re.findall(r"<h1>Read (\d+) films? of \d+ stud", shown)
    assert "read by test 1" in shown
    assert "new versions of results would be sent to pacs" in shown or "1 new version of results" in shown
    assert refused.status_code == 403
    assert f"<h1>{films_of_list} film" in done.text
    assert "<h1>0 films queued" in again.text
    assert "No row is selected" in nothing
    change = audit_rules.recorded(own_page.config.parent / "cxr-node-data" / "audit", "110113")[-1]
    assert change.findall("ActiveParticipant")[0].get("UserID") == "person/op"


def test_chosen_rows_alone_are_acted_on(own_page: Page) -> None:
    """The list of the chosen rows has others, which stay as they are."""
    before = {job.job_id: job.state for job in own_page.node.jobs()}
    failed = next(job_id for job_id, state in before.items() if state is State.FAILED)
    with own_page.visited_by("op") as client:
        shown = client.get(f"/actions/retry?table=jobs&since=all&chosen=1&number={failed}").text
        done = submit(client, shown, "Retry 1 job")
        nothing = client.post("/actions/retry?table=jobs&since=all", data={"rows": "chosen", "token": token_of(client)})
        unclear = client.post("/actions/retry?table=jobs&since=all", data={"token": token_of(client)})

    assert "<h1>1 job queued again</h1>" in done.text
    assert nothing.headers["location"] == "/actions/retry/done?jobs=0&left=0"
    assert unclear.status_code == 422
    assert {job.job_id: job.state for job in own_page.node.jobs()} == {**before, failed: State.WAITING}


def test_actions_are_for_operators_with_the_token_of_their_session(own_page: Page) -> None:
    failed = next(job.job_id for job in own_page.node.jobs() if job.state is State.FAILED)
    with own_page.visited_by("reader") as viewer:
        assert "Retry" not in links(viewer.get(f"/jobs?{FAILED}").text)
        assert viewer.get(f"/actions/retry?table=jobs&{FAILED}").status_code == 403
        data = {"rows": "chosen", "numbers": str(failed)}
        assert viewer.post(RETRY, data={**data, "token": token_of(viewer)}).status_code == 403
    with own_page.visited_by("op") as operator:
        assert operator.post(RETRY, data=data).status_code == 403
        assert operator.post(RETRY, data={**data, "token": "x"}).status_code == 403
        wrong = {**data, "numbers": "1;2", "token": token_of(operator)}
        assert operator.post(RETRY, data=wrong).status_code == 422
        assert operator.get("/actions/retry?table=films").status_code == 404
        answer = operator.post("/api/v1/jobs/retry", json={"jobs": [failed]}, headers={"X-Token": token_of(operator)})

    assert answer.json() == {"requeued": [failed]}
