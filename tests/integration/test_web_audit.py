"""Audit of logins, views and retries on the web pages."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from tests.support import audit_rules, films
from tests.support.web import Page, served_page, token_of


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with served_page(tmp_path / "node") as served:
        yield served


def recorded(page: Page, event: str) -> list[Element]:
    return audit_rules.recorded(page.config.parent / "cxr-node-data" / "audit", event)


def test_successful_and_failed_logins_are_audited(page: Page) -> None:
    with page.visited_by() as client:
        client.post("/login", data={"name": "op", "password": "wrong"})
    with page.visited_by("reader"):
        pass
    logins = recorded(page, "110114")

    assert [login.findall("ActiveParticipant")[0].get("UserID") for login in logins] == ["op", "reader"]
    assert [login[0].get("EventOutcomeIndicator") for login in logins] == ["4", "0"]
    assert {login.findall("ActiveParticipant")[0].get("NetworkAccessPointID") for login in logins} == {"127.0.0.1"}


def test_views_of_films_and_reports_are_audited_once_per_interval(page: Page) -> None:
    with page.visited_by("reader") as client:
        for path in ("/films/1/thumbnail.png", "/films/1/film.png", "/films/1/film.png", "/results/1"):
            assert client.get(path).status_code == 200, path
        assert client.get("/api/v1/results/1").status_code == 200
    with page.visited_by("op") as client:
        assert client.get("/films/1/film.png").status_code == 200
    with page.visited_by("admin") as client:
        assert client.get("/films/1/film.png").status_code == 403
    views = recorded(page, "110103")

    assert [view.findall("ActiveParticipant")[0].get("UserID") for view in views] == ["reader", "reader", "op"]
    for view in views:
        study, patient = view.findall("ParticipantObjectIdentification")
        assert study.get("ParticipantObjectID") == films.dx().StudyInstanceUID
        assert patient.get("ParticipantObjectID") == films.PATIENT_ID


def test_retry_on_the_page_is_audited_with_the_operator(page: Page) -> None:
    with page.visited_by("op") as client:
        answer = client.post("/api/v1/jobs/1/retry", headers={"X-Token": token_of(client)})
        assert answer.status_code == 200, answer.text
    (change,) = recorded(page, "110113")

    assert change.findall("ActiveParticipant")[0].get("UserID") == "person/op"
    assert [item.get("ParticipantObjectID") for item in change.findall("ParticipantObjectIdentification")] == ["jobs/1"]
