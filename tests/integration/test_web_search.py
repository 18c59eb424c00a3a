"""Search box and identifiers on pages and in the JSON API: for whom, and what the audit trail has of it."""

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import httpx
import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.db.states import State
from cxr_node.domain.clock import utc_now
from tests.support import audit_rules, films
from tests.support.node import ATTRIBUTE_RULES
from tests.support.web import Page, served_page, token_of

ACCESSION = str(films.dx().AccessionNumber)
PAGES = ("/studies", "/studies/1", "/films/1")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served_page(tmp_path_factory.mktemp("page") / "node") as served:
        yield served


def recorded(page: Page, event: str) -> list[Element]:
    return audit_rules.recorded(page.config.parent / "cxr-node-data" / "audit", event)


def searched(client: httpx.Client, text: str) -> list[tuple[str, int]]:
    response = client.post("/api/v1/search", json={"text": text})
    assert response.status_code == 200, response.text
    return [(row["kind"], row["number"]) for row in response.json()]


def test_one_hit_is_opened_and_several_are_listed(page: Page) -> None:
    film, uid = films.dx(seed=1), str(films.dx(seed=1).StudyInstanceUID)
    failed = next(job for job in page.node.jobs() if job.state is State.FAILED)
    with page.visited_by("clerk") as client:
        places = {
            text: client.post("/search", data={"text": text}).headers.get("location")
            for text in (uid, str(film.SOPInstanceUID), "film 2", f"job {failed.job_id}")
        }
        several = client.post("/search", data={"text": f" {ACCESSION} "})
        nothing = client.post("/search", data={"text": "<b>x</b>"})
        empty = client.get("/search")

    assert list(places.values()) == ["/studies/2", "/films/2", "/films/2", f"/studies/3#job-{failed.job_id}"]
    assert several.status_code == 200
    assert several.text.count("Accession Number") == 4
    assert 'href="/studies/1"' in several.text
    assert "Nothing is found by <b>&lt;b&gt;x&lt;/b&gt;</b>" in nothing.text
    assert "Whole accession number or Patient ID" in empty.text


def test_identifiers_are_shown_only_to_those_who_may_see_them(page: Page) -> None:
    with page.visited_by("clerk") as client:
        for path in PAGES:
            text = client.get(path).text
            assert ACCESSION in text, path
            assert films.PATIENT_ID in text, path
            assert films.PATIENT_NAME not in text, path
        for path in PAGES[1:]:
            assert client.get(f"/api/v1{path}").json()["identifiers"]["patient_ids"] == [films.PATIENT_ID]
        assert searched(client, films.PATIENT_ID) == [("study", number) for number in (4, 3, 2, 1)]
    with page.visited_by("op") as client:
        for path in PAGES:
            text = client.get(path).text + (client.get(f"/api/v1{path}").text if path != "/studies" else "DX")
            assert ACCESSION not in text, path
            assert films.PATIENT_ID not in text, path
            assert "DX" in text, "equipment is no identifier"
        assert searched(client, ACCESSION) == searched(client, films.PATIENT_ID) == []
        assert searched(client, str(films.dx().StudyInstanceUID)) == [("study", 1)]
        (hit,) = client.post("/api/v1/search", json={"text": "film 1"}).json()
        assert hit["identifiers"] is None
        assert "does not search by accession number" in client.post("/search", data={"text": ACCESSION}).text
    with page.visited_by("admin") as client:
        assert searched(client, str(films.dx().StudyInstanceUID)) == []
        assert searched(client, "1") == [("job", 1)]
        job = client.post("/search", data={"text": "1"})
        assert (job.status_code, "Job 1" in job.text, 'href="/studies' in job.text) == (200, True, False)
        assert "2.25." not in client.post("/api/v1/search", json={"text": "1"}).text
    with page.visited_by() as client:
        assert client.post("/search", data={"text": "1"}).headers["location"] == "/login"
        assert client.post("/api/v1/search", json={"text": "1"}).status_code == 401


def test_studies_and_films_are_filtered_by_identifiers_in_no_address(page: Page) -> None:
    with page.visited_by("clerk") as client:
        plain = client.get("/films?since=all")
        films_with = client.post("/films?where=film_id%3E1", data={"accession_number": ACCESSION})
        studies_with = client.post("/studies", data={"patient_id": films.PATIENT_ID, "accession_number": ACCESSION})
        nothing = client.post("/studies", data={"patient_id": "nobody"})
        empty = client.post("/studies", data={"patient_id": " "})
    with page.visited_by("op") as client:
        assert "Filter by identifier" not in client.get("/studies").text
        assert client.post("/studies", data={"patient_id": films.PATIENT_ID}).status_code == 403

    assert '<th scope="col">accession number</th><th scope="col">Patient ID</th>' in plain.text
    for answer in (films_with, studies_with):
        assert f"<b>accession number is {ACCESSION}</b>" in answer.text
        assert ACCESSION not in "".join(re.findall(r'(?:href|action|hx-get)="([^"]*)"', answer.text))
        assert "all studies of this list" not in answer.text
    assert "No studies" in nothing.text
    assert empty.status_code == 303


def test_searches_and_shown_identifiers_are_audited_on_the_page(tmp_path: Path) -> None:
    with served_page(tmp_path / "node") as page:
        with page.visited_by("clerk") as client:
            client.post("/search", data={"text": ACCESSION})
            client.post("/search", data={"text": str(films.dx().StudyInstanceUID)})
            client.post("/films", data={"accession_number": ACCESSION})
            for path in ("/studies/1", "/api/v1/films/1"):
                assert client.get(path).status_code == 200
        with page.visited_by("op") as client:
            client.post("/search", data={"text": ACCESSION})
            client.get("/studies/1")
        queries, views = recorded(page, "110112"), recorded(page, "110103")

    texts = [base64.b64decode(query.findtext(".//ParticipantObjectQuery") or "") for query in queries]
    assert [ACCESSION.encode() in text for text in texts] == [True, True, True]
    assert {query.findall("ActiveParticipant")[0].get("UserID") for query in queries} == {"clerk"}
    assert {query.findall("ActiveParticipant")[0].get("NetworkAccessPointID") for query in queries} == {"127.0.0.1"}
    assert len(views) == 4, "the list shows four studies; the pages of one within the hour are the same view"
    assert {view.findall("ActiveParticipant")[0].get("UserID") for view in views} == {"clerk"}
    study, patient = views[-1].findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") in {films.dx(seed=seed).StudyInstanceUID for seed in range(4)}
    assert patient.get("ParticipantObjectID") == films.PATIENT_ID


def test_names_are_shown_where_they_are_kept(tmp_path: Path) -> None:
    with served_page(tmp_path / "node") as page:
        page.node.clock.now = utc_now()
        page.node.accept(films.dx(seed=9), rules=replace(ATTRIBUTE_RULES, keeps_names=True))
        with page.visited_by("clerk") as client:
            assert films.PATIENT_NAME in client.get("/studies/5").text
        with page.visited_by("op") as client:
            assert films.PATIENT_NAME not in client.get("/studies/5").text


def test_a_searched_text_is_in_no_log(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    with page.visited_by("clerk") as client:
        client.post("/search", data={"text": films.PATIENT_ID})
        client.post("/api/v1/search", json={"text": films.PATIENT_ID})
        client.post("/api/v1/search", json={"text": films.PATIENT_ID * 20})

    assert films.PATIENT_ID not in caplog.text


def test_users_and_tokens_get_and_lose_the_permission(page: Page) -> None:
    def command(*arguments: str, secret: str = "") -> str:
        ended = CliRunner().invoke(app, [*arguments, "--config", str(page.config)], input=secret)
        assert ended.exit_code == 0, ended.output
        return ended.stdout.strip().splitlines()[-1]

    password = "a long enough sentence"  # noqa: S105  # of nobody
    command("user", "add", "ann", "--sees-films", "--sees-identifiers", secret=password)
    token = command("token", "add", "archive", "--sees-films", "--sees-identifiers")
    blind = command("token", "add", "count", "--sees-identifiers")
    with page.visited_by() as client:
        client.post("/login", data={"name": "ann", "password": password})
        assert len(searched(client, ACCESSION)) == 4
        for secret, hits in ((token, 4), (blind, 0)):
            headers = {"Authorization": f"Bearer {secret}"}
            response = httpx.post(f"http://{page.address}/api/v1/search", json={"text": ACCESSION}, headers=headers)
            assert (response.status_code, len(response.json())) == (200, hits)

        assert command("user", "role", "ann", "--sees-no-identifiers") == "ann: viewer, sees films"

        assert client.get("/studies").status_code == 303, "the session has ended"
        client.post("/login", data={"name": "ann", "password": password})
        assert searched(client, ACCESSION) == []
    with page.visited_by("op") as operator:
        rows = {row["name"]: row["sees_identifiers"] for row in operator.get("/api/v1/users").json()}
        granted = operator.post(
            "/users",
            data={"token": token_of(operator), "name": "bob", "password": password, "role": "viewer",
                  "sees_films": "true", "sees_identifiers": "true"},
        )  # fmt: skip
    assert (rows["ann"], rows["clerk"], rows["op"]) == (False, True, False)
    assert granted.status_code == 403, "an operator gives only permissions of their own"
