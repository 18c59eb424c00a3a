"""Users added and changed by page and command: each change counts at once, is audited, and gives no one more rights."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.web.access import COOKIE
from tests.support.audit_rules import recorded
from tests.support.running_node import settings_file
from tests.support.web import PASSWORD, Page, served_page, token_of, users

pytestmark = pytest.mark.ci_on_postgresql


SECRET, OTHER, SHORT = "nine small green frogs", "seven tall red chairs", "short"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    people = users(("op", "operator", True), ("blind", "operator", False), ("reader", "viewer", True))
    with served_page(tmp_path_factory.mktemp("page") / "node", more=people) as served:
        yield served


def command(config: Path, *arguments: str, password: str = "") -> Result:
    return CliRunner().invoke(app, ["user", *arguments, "--config", str(config)], input=password)


def post(client: httpx.Client, path: str, **values: str) -> httpx.Response:
    return client.post(path, data={"token": token_of(client), **values})


@contextmanager
def log_in(page: Page, name: str, password: str = SECRET) -> Iterator[httpx.Client]:
    with page.visited_by() as client:
        assert client.post("/login", data={"name": name, "password": password}).status_code == 303
        yield client


def can_log_in(page: Page, name: str, password: str = SECRET) -> bool:
    answer = httpx.post(f"http://{page.address}/login", data={"name": name, "password": password}, timeout=30)
    return answer.status_code == 303


def test_a_user_added_on_the_page_logs_in_without_a_restart(page: Page) -> None:
    with page.visited_by("op") as operator:
        answer = post(operator, "/users", name="ada", password=SECRET, role="viewer", sees_films="true")
        assert answer.headers["location"] == "/users?done=added", answer.text
        rows = {row["name"]: row for row in operator.get("/api/v1/users").json()}

    assert (rows["ada"]["role"], rows["ada"]["sees_films"], rows["ada"]["is_of_settings"]) == ("viewer", True, False)
    assert rows["ada"]["created_by"] == "person/op"
    with log_in(page, "ada") as client:
        assert client.get("/studies").status_code == 200
        assert client.get("/users").status_code == 403
        assert client.get("/api/v1/users").status_code == 403
        assert "Users</a>" not in client.get("/").text


def test_a_user_added_by_a_command_logs_in_without_a_restart(page: Page) -> None:
    added = command(page.config, "add", "bob", "--role", "operator", password=f"{SECRET}\n")
    assert added.exit_code == 0, added.output

    with log_in(page, "bob") as client:
        assert client.get("/users").status_code == 200
        assert client.get("/studies").status_code == 403, "sees no films"
    assert can_log_in(page, "op", PASSWORD), "users of the settings keep working"


def test_changes_of_password_role_and_lock_end_sessions_at_once(page: Page) -> None:
    assert command(page.config, "add", "cleo", password=SECRET).exit_code == 0
    with log_in(page, "cleo") as client:
        assert command(page.config, "password", "cleo", password=OTHER).exit_code == 0
        assert client.get("/").status_code == 303
    assert not can_log_in(page, "cleo")
    with log_in(page, "cleo", OTHER) as client, page.visited_by("op") as operator:
        assert post(operator, "/users/permissions", name="cleo", role="operator").status_code == 303
        assert client.get("/").status_code == 303
    with log_in(page, "cleo", OTHER) as client, page.visited_by("op") as operator:
        assert client.get("/users").status_code == 200
        assert post(operator, "/users/lock", name="cleo").status_code == 303
        assert client.get("/").status_code == 303
        assert not can_log_in(page, "cleo", OTHER)
        assert post(operator, "/users/unlock", name="cleo").status_code == 303
    assert can_log_in(page, "cleo", OTHER)


def test_a_user_changes_the_own_password_and_goes_on(page: Page) -> None:
    assert command(page.config, "add", "nora", password=SECRET).exit_code == 0
    entered = {"old": SECRET, "new": OTHER, "again": OTHER}
    with log_in(page, "nora") as elsewhere, log_in(page, "nora") as client:
        for changes, why in (
            ({"old": OTHER}, "old password is wrong"),
            ({"again": SECRET}, "not entered the same twice"),
            ({"new": SHORT, "again": SHORT}, "at least 15"),
            ({"new": SECRET, "again": SECRET}, "is the old one"),
        ):
            refused = post(client, "/password", **entered | changes)
            assert (refused.status_code, why in refused.text) == (400, True), why
        assert client.post("/password", data={"token": "forged", **entered}).status_code == 403

        assert post(client, "/password", **entered).status_code == 303

        assert "was changed" in client.get("/password?done=1").text, "still logged in"
        assert elsewhere.get("/").status_code == 303
    assert not can_log_in(page, "nora")
    assert can_log_in(page, "nora", OTHER)
    trail = recorded(page.config.parent / "cxr-node-data" / "audit", "110113")
    assert sum(message.find(".//*[@ParticipantObjectID='users/nora']") is not None for message in trail) == 2
    with page.visited_by("blind") as of_settings:
        assert of_settings.get("/password").status_code == 403
        assert "/password" not in of_settings.get("/").text


def test_sessions_are_listed_and_ended(page: Page) -> None:
    with page.visited_by("reader") as reader, page.visited_by("op") as operator:
        listed = json.loads(command(page.config, "sessions", "reader", "--json").output)
        assert [row["address"] for row in listed] == ["127.0.0.1"]
        assert f"End session {listed[0]['session_id']}" in operator.get("/users").text
        assert post(operator, "/users/end-session", session=str(listed[0]["session_id"])).status_code == 303
        assert reader.get("/").status_code == 303
        again = post(operator, "/users/end-session", session=str(listed[0]["session_id"]))
        assert (again.status_code, "has ended" in again.text) == (400, True)
    with page.visited_by("reader") as reader:
        assert "1 sessions of reader have ended" in command(page.config, "end-sessions", "reader").output
        assert reader.get("/").status_code == 303


def test_a_short_password_and_a_taken_name_are_refused(page: Page) -> None:
    with page.visited_by("op") as operator:
        short = post(operator, "/users", name="dora", password=SHORT)
        repeated = post(operator, "/users", name="OP", password=SECRET)
        odd = post(operator, "/users", name="a b", password=SECRET)
    by_command = command(page.config, "add", "dora", password=SHORT)

    assert (short.status_code, repeated.status_code, odd.status_code) == (400, 400, 400)
    assert "at least 15 are needed" in short.text
    assert "already" in repeated.text
    assert "is no user name" in odd.text
    assert (by_command.exit_code, "at least 15 are needed" in by_command.output) == (1, True)
    assert not can_log_in(page, "dora", "short")


def test_nobody_gives_or_takes_rights_that_they_lack(page: Page) -> None:
    assert command(page.config, "add", "eve", "--sees-films", password=SECRET).exit_code == 0
    with page.visited_by("blind") as operator:
        for path, values in (
            ("/users", {"name": "fay", "password": SECRET, "sees_films": "true"}),
            ("/users/password", {"name": "eve", "password": OTHER}),
            ("/users/permissions", {"name": "eve"}),
            ("/users/lock", {"name": "eve"}),
        ):
            assert post(operator, path, **values).status_code == 403, path
        assert post(operator, "/users", name="fay", password=SECRET).status_code == 303
    with page.visited_by("reader") as viewer:
        assert post(viewer, "/users", name="gil", password=SECRET).status_code == 403
    with page.visited_by("op") as operator:
        assert operator.post("/users", data={"name": "gil", "password": SECRET}).status_code == 403, "no token"
        assert operator.post("/users", data={"name": "gil", "password": SECRET, "token": "x"}).status_code == 403
    assert not can_log_in(page, "gil")
    assert can_log_in(page, "eve")


def test_an_operator_cannot_lock_or_demote_themselves(page: Page) -> None:
    assert command(page.config, "add", "hal", "--role", "operator", password=SECRET).exit_code == 0
    with log_in(page, "hal") as client:
        lock = post(client, "/users/lock", name="hal")
        demote = post(client, "/users/permissions", name="hal", role="viewer")

    assert (lock.status_code, demote.status_code) == (400, 400)
    assert "cannot lock yourself" in lock.text
    assert can_log_in(page, "hal")


def test_users_of_the_settings_are_changed_there(page: Page) -> None:
    with page.visited_by("op") as operator:
        answer = post(operator, "/users/password", name="reader", password=SECRET)

    assert (answer.status_code, "defined by [[web.users]]" in answer.text) == (400, True)
    assert "defined by [[web.users]]" in command(page.config, "lock", "reader").output
    assert "there is no user" in command(page.config, "lock", "nobody").output


def test_changes_of_users_are_audited_without_the_password(page: Page) -> None:
    command(page.config, "add", "ida", password=SECRET)
    command(page.config, "role", "ida", "--role", "operator")
    command(page.config, "lock", "ida")
    trail = page.config.parent / "cxr-node-data" / "audit"
    changes = [change for change in recorded(trail, "110113") if change.find(".//*[@ParticipantObjectID='users/ida']")]

    types = [change.find(".//EventTypeCode").get("csd-code") for change in changes]  # type: ignore[union-attr]
    assert types == ["110137", "110136", "110137"]
    text = "".join(path.read_text(encoding="utf-8") for path in trail.glob("*.xml"))
    assert SECRET not in text
    assert "scrypt" not in text


def test_the_list_shows_users_of_settings_and_database(page: Page) -> None:
    command(page.config, "add", "jo", password=SECRET)
    rows = {row["name"]: row for row in json.loads(command(page.config, "list", "--json").output)}

    assert rows["op"]["defined_in"] == "settings"
    assert rows["jo"]["defined_in"] == "database"
    assert "jo" in command(page.config, "list").output


def test_a_cookie_of_another_node_opens_nothing(page: Page) -> None:
    with page.visited_by() as client:
        client.cookies.set(COOKIE, "a.b.c")
        assert client.get("/users").status_code == 303


def test_the_first_user_is_made_without_page_and_database(tmp_path: Path) -> None:
    config = settings_file(tmp_path)

    added = command(config, "add", "kim", "--role", "operator", "--sees-films", password=SECRET)

    assert added.exit_code == 0, added.output
    assert [row["name"] for row in json.loads(command(config, "list", "--json").output)] == ["kim"]
    assert SECRET not in (load(config).node.data_folder / "node.db").read_bytes().decode("latin-1")


def test_a_command_without_a_password_says_so(tmp_path: Path) -> None:
    ended = command(settings_file(tmp_path), "add", "kim")

    assert (ended.exit_code, "standard input has no password" in ended.output) == (1, True)
