"""Logins by OpenID Connect at a real provider, and with manipulated responses."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.audit_rules import recorded
from tests.support.films import ROOT
from tests.support.oidc_provider import CLAIMS, Provider, provider, settings_of
from tests.support.pages import blocks
from tests.support.web import PEOPLE, Page, served_page, token_of

HOW_TO = ROOT / "docs" / "how-to" / "oidc.md"
CALLBACK = "http://127.0.0.1:1/login/oidc/callback"
"""Registered at the provider, which sends nobody there: the test follows its answer to where the page is."""


@pytest.fixture(scope="module")
def op() -> Iterator[Provider]:
    with provider(CLAIMS) as running:
        yield running


@pytest.fixture(scope="module")
def page(op: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with served(tmp_path_factory.mktemp("page"), op.issuer) as running:
        yield running


@pytest.fixture(autouse=True)
def restored(op: Provider) -> Iterator[None]:
    yield
    op.override({})


@contextmanager
def served(folder: Path, issuer: str) -> Iterator[Page]:
    with served_page(folder / "node", more=f"{PEOPLE}\n{settings_of(issuer, CALLBACK)}") as running:
        yield running


def start_login(client: httpx.Client) -> str:
    """Begin a login, and return where the browser is sent to."""
    answer = client.get("/login/oidc")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def consent(address: str, sub: str) -> str:
    """Agree at the provider's page, and return what it sends the browser back with."""
    answer = httpx.post(address, data={"sub": sub}, timeout=30)
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(CALLBACK)
    return urlsplit(answer.headers["location"]).query


def finish_login(client: httpx.Client, query: str) -> httpx.Response:
    return client.get(f"/login/oidc/callback?{query}")


def log_in(client: httpx.Client, sub: str) -> httpx.Response:
    return finish_login(client, consent(start_login(client), sub))


def test_person_logs_in_with_the_roles_of_the_id_token(page: Page) -> None:
    with page.visited_by() as client:
        assert "Log in with the hospital" in client.get("/login").text
        welcome = log_in(client, "kim")
        assert welcome.status_code == 200
        assert "oidc/kim" in client.get("/").text
        assert client.get("/films/1").status_code == 200
        assert client.post("/api/v1/jobs/1/retry", headers={"X-Token": token_of(client)}).status_code in (200, 409)
    with page.visited_by() as client:
        assert log_in(client, "sam").status_code == 200
        assert client.get("/films/1").status_code == 403
        assert client.post("/api/v1/jobs/1/retry", headers={"X-Token": token_of(client)}).status_code == 403

    with page.visited_by("op") as client:
        assert client.get("/films/1").status_code == 200, "local users may log in as before"


def test_person_without_a_role_is_rejected_and_audited(page: Page) -> None:
    with page.visited_by() as client:
        log_in(client, "kim")
    with page.visited_by() as client:
        answer = log_in(client, "eve")
        assert answer.status_code == 401
        assert "no role of this node" in answer.text
        assert client.get("/").status_code == 303

    logins = recorded(page.config.parent / "cxr-node-data" / "audit", "110114")
    outcomes = [
        (login.findall("ActiveParticipant")[0].get("UserID"), login[0].get("EventOutcomeIndicator")) for login in logins
    ]
    assert outcomes[-2:] == [("oidc/kim", "0"), ("oidc/eve", "4")]


def test_response_to_another_login_is_rejected(page: Page) -> None:
    with page.visited_by() as client, page.visited_by() as other:
        stolen = consent(start_login(other), "kim")
        start_login(client)
        wrong_state = finish_login(client, stolen)
        begun_nowhere = httpx.get(f"http://{page.address}/login/oidc/callback?{stolen}")
        denied = finish_login(other, "error=access_denied&state=" + parse_qs(stolen)["state"][0])

    assert (wrong_state.status_code, begun_nowhere.status_code, denied.status_code) == (401, 401, 401)
    assert "not for the login that this browser started" in wrong_state.text
    assert "this browser started no login" in begun_nowhere.text
    assert "the provider reports access_denied" in denied.text


def test_code_of_another_browser_is_rejected_by_pkce(page: Page) -> None:
    with page.visited_by() as client, page.visited_by() as thief:
        code = parse_qs(consent(start_login(client), "kim"))["code"][0]
        state = parse_qs(urlsplit(start_login(thief)).query)["state"][0]
        answer = finish_login(thief, f"code={code}&state={state}")

    assert answer.status_code == 401, "the proof of the other login does not fit"


def test_token_of_another_login_or_a_changed_one_is_rejected(page: Page, op: Provider) -> None:
    with page.visited_by() as client:
        assert log_in(client, "kim").status_code == 200
    last = op.last_token()
    for token in (last, f"{last}x", ""):
        op.override({"/oauth2/token": {"id_token": token}})
        with page.visited_by() as client:
            answer = log_in(client, "sam")
            assert answer.status_code == 401
            assert "the ID Token is invalid" in answer.text
            assert client.get("/").status_code == 303


def test_expired_token_is_rejected(tmp_path: Path) -> None:
    with (
        provider(CLAIMS, tokens_live_s=-600) as late,
        served(tmp_path, late.issuer) as page,
        page.visited_by() as client,
    ):
        answer = log_in(client, "kim")

    assert (answer.status_code, "it has expired" in answer.text) == (401, True)


def test_provider_with_another_issuer_is_rejected(tmp_path: Path, op: Provider) -> None:
    op.override({"/.well-known/openid-configuration": {"issuer": "https://id.example"}})
    with served(tmp_path, op.issuer) as page, page.visited_by() as client:
        answer = client.get("/login/oidc")
        assert (answer.status_code, "issuer is not oidc.issuer" in answer.text) == (401, True)
        op.override({"/.well-known/openid-configuration": {"token_endpoint": "http://id.example/token"}})
        answer = client.get("/login/oidc")
        assert (answer.status_code, "no token_endpoint over TLS" in answer.text) == (401, True)
        op.override({})
        assert client.get("/login/oidc").status_code == 303, "it is asked again"


def test_local_users_log_in_while_the_provider_is_unreachable(tmp_path: Path) -> None:
    with served(tmp_path, "http://127.0.0.1:1") as page:
        with page.visited_by() as client:
            answer = client.get("/login/oidc")
            assert (answer.status_code, "is unreachable" in answer.text) == (401, True)
        with page.visited_by("op") as client:
            assert client.get("/").status_code == 200


def test_people_log_in_with_the_settings_of_the_how_to_page(op: Provider, tmp_path: Path) -> None:
    (block,) = (content for language, content in blocks(HOW_TO.read_text(encoding="utf-8")) if language == "toml")
    settings = block.replace("https://id.hospital.example/realms/hospital", op.issuer)
    settings = settings.replace("https://cxr.hospital.example/login/oidc/callback", CALLBACK)
    settings = "".join(line for line in settings.splitlines(keepends=True) if not line.startswith("tls_ca"))
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "oidc-secret").write_text("of the tests\n", encoding="utf-8")
    with served_page(tmp_path / "node", more=f"{PEOPLE}\n{settings}") as page, page.visited_by() as client:
        assert "Log in with the hospital" in client.get("/login").text
        assert log_in(client, "kim").status_code == 200
        assert client.get("/films/1").status_code == 200
        with page.visited_by() as other:
            assert log_in(other, "eve").status_code == 401
