"""API tokens: made and revoked by page and command, accepted by the API alone, without a token against forgery."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db.states import State
from cxr_node.domain.clock import utc_now
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.ops.tokens import TokenAdministration
from cxr_node.wiring.process import Process
from tests.support.audit_rules import recorded
from tests.support.running_node import opened
from tests.support.web import Page, served_page, token_of, users

pytestmark = pytest.mark.ci_on_postgresql


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    people = users(("op", "operator", True), ("blind", "operator", False), ("reader", "viewer", True))
    with served_page(tmp_path_factory.mktemp("page") / "node", more=people) as served:
        yield served


def command(page: Page, *arguments: str) -> Result:
    ended = CliRunner().invoke(app, ["token", *arguments, "--config", str(page.config)])
    assert ended.exit_code in (0, 1), ended.output
    return ended


def add(page: Page, name: str, *arguments: str) -> str:
    return command(page, "add", name, *arguments).stdout.strip()


def request(page: Page, secret: str, path: str, *, method: str = "GET") -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.request(method, f"http://{page.address}{path}", headers=headers, timeout=30)


def test_a_token_reads_the_api_with_its_permissions(page: Page) -> None:
    viewer, seer = add(page, "statistics"), add(page, "research", "--sees-films")

    assert request(page, viewer, "/api/v1/overview").status_code == 200
    assert request(page, viewer, "/api/v1/tables/studies").status_code == 403
    assert request(page, seer, "/api/v1/tables/studies").status_code == 200
    assert request(page, seer, "/api/v1/users").status_code == 403


def test_a_token_of_an_operator_changes_things_without_a_csrf_token(page: Page) -> None:
    failed = next(job for job in page.node.jobs() if job.state is State.FAILED)
    path = f"/api/v1/jobs/{failed.job_id}/retry"

    assert request(page, add(page, "watcher"), path, method="POST").status_code == 403
    answer = request(page, add(page, "retrier", "--role", "operator"), path, method="POST")

    assert answer.json() == {"requeued": [failed.job_id]}


def test_a_token_opens_no_page(page: Page) -> None:
    secret = add(page, "scraper", "--role", "operator", "--sees-films")

    for path in ("/", "/studies", "/users", "/films/1/film.png"):
        assert request(page, secret, path).headers["location"] == "/login", path


def test_wrong_expired_and_revoked_tokens_are_refused(page: Page) -> None:
    with Process.open(load(page.config), clock=lambda: utc_now() - timedelta(days=2)) as process:
        expired = TokenAdministration(process=process, by="person/test").add("old", Permissions(), days=1)
    revoked = add(page, "gone")
    assert request(page, revoked, "/api/v1/overview").status_code == 200
    assert command(page, "revoke", "gone").exit_code == 0

    for secret in ("cxr_guess", expired, revoked):
        answer = request(page, secret, "/api/v1/overview")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "revoked before" in command(page, "revoke", "gone").output
    assert "there is no token" in command(page, "revoke", "nothing").output


def test_the_page_shows_a_token_once_and_revokes_it(page: Page) -> None:
    with page.visited_by("op") as operator:
        values = {"token": token_of(operator), "name": "by-page", "days": "7", "role": "viewer"}
        shown = operator.post("/tokens", data=values)
        (secret,) = re.findall(r"cxr_[\w-]{40,}", shown.text)
        again = operator.post("/tokens", data=values)
        assert secret not in operator.get("/tokens").text
        assert shown.headers["cache-control"] == "no-store"
        assert request(page, secret, "/api/v1/overview").status_code == 200
        listed = {row["name"]: row for row in operator.get("/api/v1/tokens").json()}
        revoked = operator.post("/tokens/revoke", data={"token": token_of(operator), "name": "by-page"})

    assert (again.status_code, "already" in again.text) == (400, True)
    assert (listed["by-page"]["created_by"], listed["by-page"]["last_used_at"] is not None) == ("person/op", True)
    assert revoked.status_code == 303
    assert request(page, secret, "/api/v1/overview").status_code == 401


def test_nobody_makes_a_token_with_rights_that_they_lack(page: Page) -> None:
    values = {"name": "more", "days": "7", "sees_films": "true"}
    with page.visited_by("blind") as operator:
        assert operator.post("/tokens", data={**values, "token": token_of(operator)}).status_code == 403
    with page.visited_by("reader") as viewer:
        assert viewer.get("/tokens").status_code == 403
        assert viewer.post("/tokens", data={**values, "token": token_of(viewer)}).status_code == 403
    with page.visited_by("op") as operator:
        assert operator.post("/tokens", data=values).status_code == 403, "no CSRF token"


def test_tokens_are_audited_and_stored_as_digests(page: Page) -> None:
    secret = add(page, "audited")
    for _ in range(2):
        request(page, secret, "/api/v1/overview")
    command(page, "revoke", "audited")
    request(page, secret, "/api/v1/overview")
    trail = page.config.parent / "cxr-node-data" / "audit"
    changes = [row for row in recorded(trail, "110113") if row.find(".//*[@ParticipantObjectID='tokens/audited']")]
    logins = [row for row in recorded(trail, "110114") if row.find(".//*[@UserID='token/audited']") is not None]

    assert len(changes) == 2
    assert len(logins) == 1, "once an hour"
    assert any(row.find(".//*[@UserID='token/']") is not None for row in recorded(trail, "110114"))
    assert secret not in "".join(path.read_text(encoding="utf-8") for path in trail.glob("*.xml"))
    stored = [path.read_bytes() for path in (page.config.parent / "cxr-node-data").glob("node.db*")]
    assert secret.encode() not in b"".join(stored)


def test_the_api_describes_tokens_as_a_security_scheme(page: Page) -> None:
    secret = add(page, "reader-of-the-description")
    described = request(page, secret, "/api/v1/openapi.json").json()

    assert described["components"]["securitySchemes"]["API token"]["scheme"] == "bearer"
    assert {"API token": []} in described["paths"]["/api/v1/overview"]["get"]["security"]


def test_a_token_needs_a_name_and_a_term(page: Page) -> None:
    assert "is no name of a token" in command(page, "add", "a b").output
    assert "at most 3660 days" in command(page, "add", "for-ever", "--days", "9999").output
    assert "no tokens" not in command(page, "list").output


def test_rows_of_tokens_are_those_of_both_databases(database_url: str, tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'[database]\nurl = "{database_url}"\n', encoding="utf-8")
    settings = load(config)
    settings.node.data_folder.mkdir(exist_ok=True)
    with opened(settings) as database, Process.open(settings, make_database=lambda _: database) as process:
        from cxr_node.db import migrate

        migrate.upgrade(database)
        tokens = TokenAdministration(process=process, by="person/test")
        tokens.add("one", Permissions(role=PageRole.OPERATOR, sees_films=True), days=1)
        tokens.revoke("one")
        (token,) = tokens.tokens()

    assert (token.permissions.role, token.permissions.sees_films, token.created_by) == ("operator", True, "person/test")
    assert token.revoked_at is not None
    assert token.expires_at - token.created_at == timedelta(days=1)
