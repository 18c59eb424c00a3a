"""Web pages over HTTP: logins, permissions, JSON resources, metrics, headers."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image

from cxr_node.db.states import State
from cxr_node.domain.clock import utc_now
from cxr_node.domain.explanations import Group, explanations
from cxr_node.domain.identifiers import AeTitle
from cxr_node.queries.tables.registry import TABLES
from cxr_node.records import destination_troubles
from cxr_node.web import metrics
from cxr_node.wiring.process import Process
from tests.conftest import KINDS
from tests.support import films
from tests.support.accounts import MemoryAccounts
from tests.support.films import ROOT
from tests.support.queue import SENDER
from tests.support.web import PASSWORD, Page, served_page, token_of

pytestmark = pytest.mark.ci_on_postgresql

PAGES = ("/", "/parts/operations", "/studies", "/studies/1", "/films", "/films/1", "/films/2", "/findings",
         "/results/1", "/deliveries", "/jobs", "/refusals", "/devices", "/trends", "/trends?days=1", "/monitoring",
         "/settings", "/users", "/tokens")  # fmt: skip
FILM_PAGES = ("/studies", "/studies/1", "/films", "/findings", "/refusals", "/films/1", "/films/1/film.png",
              "/films/1/thumbnail.png", "/films/1/heat/1.png", "/films/1/frame", "/results/1")  # fmt: skip
RESOURCES = {
    "/": "/api/v1/overview",
    "/studies/{study_id}": "/api/v1/studies/{study_id}",
    "/films/{film_id}": "/api/v1/films/{film_id}",
    "/results/{result_id}": "/api/v1/results/{result_id}",
    **{f"/{name}": f"/api/v1/tables/{name}" for name in TABLES},
    "/trends": "/api/v1/trends",
    "/monitoring": "/api/v1/monitoring",
    "/settings": "/api/v1/settings",
    "/users": "/api/v1/users",
    "/tokens": "/api/v1/tokens",
}


@pytest.fixture
def page(tmp_path: Path, database_url: str) -> Iterator[Page]:
    with served_page(tmp_path / "node", database_url=database_url) as served:
        yield served


@pytest.fixture
def sqlite_page(tmp_path: Path) -> Iterator[Page]:
    with served_page(tmp_path / "node") as served:
        yield served


@pytest.fixture(scope="module", params=KINDS)
def shared_page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page on each database, for tests that leave jobs, films and settings as they are."""
    folder = tmp_path_factory.mktemp("page")
    url = request.getfixturevalue("new_postgresql_url")() if request.param == "postgresql" else ""
    with served_page(folder / "node", database_url=url) as served:
        yield served


@pytest.fixture(scope="module")
def shared_sqlite_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page on SQLite, for tests that leave jobs, films and settings as they are."""
    with served_page(tmp_path_factory.mktemp("page") / "node") as served:
        yield served


def test_every_page_says_that_a_destination_is_unreachable_and_why(sqlite_page: Page) -> None:
    with sqlite_page.node.database.write() as transaction:
        at = sqlite_page.node.clock.now  # not before the last delivery
        destination_troubles.note(transaction, "pacs", "the connection is refused", now=at)

    with sqlite_page.visited_by("op") as client:
        for path in ("/", "/studies", "/deliveries", "/parts/health"):
            text = client.get(path).text
            assert "Needs attention" in text, path
            assert "the connection is refused" in text, path


def test_every_page_is_shown_and_names_no_patient(shared_page: Page) -> None:
    film = films.dx()
    with shared_page.visited_by("op") as client:
        for path in PAGES:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].startswith("text/html")
            for secret in (str(film.PatientName), str(film.PatientID), "scrypt:"):
                assert secret not in answer.text, path
        for kind in ("film", "thumbnail"):
            picture = client.get(f"/films/1/{kind}.png")
            assert picture.content.startswith(b"\x89PNG")


def test_every_page_has_a_described_json_resource(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by("op") as client:
        described = client.get("/api/v1/openapi.json").json()["paths"]
        client.post("/tokens", data={"token": token_of(client), "name": "program", "days": "1"})
        for resource in RESOURCES.values():
            assert resource in described or resource.startswith("/api/v1/tables/")
            answer = client.get(re.sub(r"\{\w+\}", "1", resource))
            assert answer.status_code == 200, resource
            assert answer.json()
        document = client.get("/api/v1/films/1").json()
        assert [finding["key"] for finding in document["findings"]] == ["lung_opacity"]
        assert document["turnaround"]["total_s"] == 2.0
        (failed,) = client.get("/api/v1/tables/jobs?where=state=failed").json()["rows"]
        assert failed["detail"] == "0xA700, out of resources"


def test_trends_are_grouped_by_equipment(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by("admin") as client:
        trends = client.get("/api/v1/trends?by=modality").json()
        page = client.get("/trends?by=modality").text
        unknown = client.get("/api/v1/trends?by=patient")

    (group,) = trends["per_group"]
    assert (trends["by"], group["group"], group["films"], group["reasons"]) == ("modality", "DX", 4, {"VIEW": 1})
    assert (group["reported"], group["p95_s"]) == (2, 2.0)
    assert [(row["group"], row["films"], row["p99"]) for row in trends["scores"]] == [("DX", 2, 0.75)]
    assert "Scores by modality" in page
    assert unknown.status_code == 422


def test_heat_map_is_transparent_where_it_is_low(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by("op") as client:
        (document,) = client.get("/api/v1/films/1").json()["heat_maps"]
        answer = client.get(f"/films/1/heat/{document['finding_id']}.png")
        of_another = client.get(f"/films/2/heat/{document['finding_id']}.png")
        page = client.get("/films/1").text

    assert (document["key"], document["presence"], len(document["area"])) == ("lung_opacity", "present", 4)
    assert of_another.status_code == 404
    assert f'href="/films/1/heat/{document["finding_id"]}.png"' in page
    opacity = np.asarray(Image.open(BytesIO(answer.content)).convert("RGBA"))[:, :, 3]
    assert opacity.shape == (16, 24)
    assert opacity[0, 0] < 20 < 190 < opacity[15, 23]


def test_reason_of_a_film_is_explained_on_its_pages(shared_sqlite_page: Page) -> None:
    explanation = explanations()[Group.NOT_ANALYSED]["VIEW"]
    with shared_sqlite_page.visited_by("op") as client:
        pages = [unescape(client.get(path).text) for path in ("/films/2", "/studies/2")]
        document = client.get("/api/v1/films/2").json()

    for page in pages:
        for words in (explanation.title, explanation.fact, explanation.effect, explanation.remedy):
            assert words in page
    assert explanation.as_row() in document["explanations"]


def test_settings_are_searched_and_shown_as_the_file_writes_them(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by("reader") as client:
        every = unescape(client.get("/settings").text)
        changed = unescape(client.get("/settings?changed=true").text)
        searched = unescape(client.get("/settings?q=storage+commitment").text)

    for leak in ("Section(", "PosixPath", "SecretText", "scrypt:", ">None<"):
        assert leak not in every, leak
    assert "[[web.users]] reader" in every
    assert "<code>[gate]</code>" in every
    assert "<code>[gate]</code>" not in changed
    assert f"Of {shared_sqlite_page.config}" in changed
    assert ">line 4<" in changed
    assert "commitment_bytes" in searched
    assert "maximum_age" not in searched


def test_nothing_is_shown_without_a_login(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by() as client:
        for path in (*PAGES, *FILM_PAGES):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
        for resource in RESOURCES.values():
            assert client.get(re.sub(r"\{\w+\}", "1", resource)).status_code == 401
        assert client.post("/api/v1/jobs/1/retry").status_code == 401
        part = client.get("/parts/operations", headers={"HX-Request": "true"})
        assert part.headers["hx-redirect"] == "/login"


def test_the_page_of_the_phantom_is_off_by_default(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by("op") as client:
        assert client.get("/learn").status_code == 404
        assert client.get("/learn/film").status_code == 404
        assert "/learn" not in client.get("/").text


def test_login_without_film_access_sees_no_films_and_no_uids(shared_page: Page) -> None:
    with shared_page.visited_by("admin") as client:
        for path in FILM_PAGES:
            assert client.get(path).status_code == 403, path
        shown = "".join(
            client.get(path).text
            for path in ("/", "/deliveries", "/jobs", "/trends", "/settings", "/api/v1/tables/jobs",
                         "/api/v1/tables/deliveries", "/api/v1/overview", "/api/v1/trends")
        )  # fmt: skip
        assert client.get("/api/v1/tables/studies").status_code == 403
    film = films.dx()
    for uid in (film.StudyInstanceUID, film.SOPInstanceUID):
        assert uid not in shown
    assert "2.25." not in shown


def test_metrics_and_health_need_no_login_and_name_no_patient(shared_page: Page) -> None:
    with shared_page.visited_by() as client:
        metrics = client.get("/metrics")
        ready = client.get("/health/ready")
        live = client.get("/health/live")

    assert (metrics.status_code, ready.json(), live.json()["ok"]) == (200, {"ok": True, "problems": []}, True)
    assert 'cxr_node_films_received_total{sender="DX1"} 4.0' in metrics.text
    assert 'cxr_node_jobs{stage="deliver",state="failed"} 1.0' in metrics.text
    assert 'cxr_node_films_not_analysed{reason="VIEW"} 1.0' in metrics.text
    for share in ("0.5", "0.9", "0.95", "0.99"):
        assert f'cxr_node_stage_seconds{{quantile="{share}",stage="total"}} 2.0' in metrics.text
    assert "2.25." not in metrics.text


def test_film_counter_continues_between_scrapes(sqlite_page: Page) -> None:
    with sqlite_page.visited_by() as client:
        client.get("/metrics")
        sqlite_page.node.accept(films.dx(seed=4))
        assert 'cxr_node_films_received_total{sender="DX1"} 5.0' in client.get("/metrics").text


def test_metrics_name_a_bounded_number_of_senders(sqlite_page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_MAXIMUM_TITLES", 2)
    for seed in range(10, 14):
        sender = replace(SENDER, calling_ae_title=AeTitle(f"STRANGER{seed}"))
        sqlite_page.node.accept(films.dx(seed=seed), sender=sender)
    with sqlite_page.visited_by() as client:
        counted = re.findall(r'films_received_total\{sender="(.*)"\} (.*)', client.get("/metrics").text)

    assert counted == [("DX1", "4.0"), ("STRANGER10", "1.0"), ("", "3.0")]


def test_node_without_free_space_is_not_ready(tmp_path: Path) -> None:
    with served_page(tmp_path / "node") as served:
        text = served.config.read_text(encoding="utf-8")
    served.config.write_text(text.replace("reserve_bytes = 0", f"reserve_bytes = {2**62}"), encoding="utf-8")
    from cxr_node.config import load
    from cxr_node.web import server

    with Process.open(load(served.config)) as process, server.serve(process) as address:
        answer = httpx.get(f"http://{address}/health/ready")

    assert answer.status_code == 503
    assert answer.json()["problems"] == ["not enough free space: films are rejected"]


def test_wrong_passwords_are_rejected_and_then_not_checked(sqlite_page: Page) -> None:
    with sqlite_page.visited_by() as client:
        wrong = [client.post("/login", data={"name": "op", "password": "x"}).status_code for _ in range(6)]
        right = client.post("/login", data={"name": "op", "password": PASSWORD})
        other = client.post("/login", data={"name": "reader", "password": PASSWORD})
        nobody = client.post("/login", data={"name": "nobody", "password": "x"})

    assert wrong == [401] * 5 + [429]
    assert (right.status_code, other.status_code, nobody.status_code) == (429, 303, 401)


def test_session_cookie_is_http_only_strict_and_ends_at_logout(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by() as client:
        cookie = client.post("/login", data={"name": "op", "password": PASSWORD}).headers["set-cookie"]
        assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
        assert client.get("/").status_code == 200
        assert client.post("/logout", data={"token": "x"}).status_code == 403
        client.post("/logout", data={"token": token_of(client)})
        assert client.get("/").status_code == 303
        client.cookies.set("cxr-node-session", cookie.split(";")[0].split("=", 1)[1])
        assert client.get("/").status_code == 303, "a copy of the cookie is of no use"
        forged = cookie.split(";")[0].split("=", 1)[1].replace(".", "x.", 1)
        client.cookies.set("cxr-node-session", forged)
        assert client.get("/").status_code == 303


def test_headers_forbid_foreign_scripts_frames_and_sniffing(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by("op") as client:
        for path in (
            "/",
            "/login",
            "/metrics",
            "/api/v1/overview",
            "/films/1/film.png",
            "/static/style.css",
            "/nowhere",
        ):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
        assert client.get("/").headers["cache-control"] == "no-store"


def test_pages_load_nothing_from_other_hosts(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by("op") as client:
        for path in PAGES:
            for link in re.findall(r'(?:src|href|action)="([^"]+)"', client.get(path).text):
                assert link.startswith(("/", "#")), (path, link)
                if link.startswith("/static/"):
                    assert client.get(link).status_code == 200, link


def test_only_an_operator_with_the_session_token_retries_a_job(page: Page) -> None:
    failed = next(job for job in page.node.jobs() if job.state is State.FAILED)
    path = f"/api/v1/jobs/{failed.job_id}/retry"
    with page.visited_by("reader") as viewer:
        assert viewer.post(path, headers={"X-Token": token_of(viewer)}).status_code == 403
    with page.visited_by("op") as operator:
        token = token_of(operator)
        assert operator.post(path).status_code == 403
        assert operator.post(path, headers={"X-Token": token[:-1] + "x"}).status_code == 403
        assert operator.post(f"/jobs/{failed.job_id}/retry", data={"token": "x"}).status_code == 403
        assert page.node.jobs()[failed.job_id - 1].state is State.FAILED

        answer = operator.post(path, headers={"X-Token": token})
        again = operator.post(path, headers={"X-Token": token})

    assert answer.json() == {"requeued": [failed.job_id]}
    assert again.status_code == 409
    from cxr_node.queue import search

    with page.node.database.read() as connection:
        assert search.events(connection, failed.job_id)[-1].actor == "person/op"
    page.node.pacs.before_send = lambda: None
    page.node.clock.now = utc_now()
    page.node.work()
    assert all(job.state is not State.FAILED for job in page.node.jobs())


def test_missing_objects_are_404(shared_page: Page) -> None:
    with shared_page.visited_by("op") as client:
        for path in ("/films/999", "/studies/999", "/results/999", "/films/999/film.png", "/films/1/other.png"):
            assert client.get(path).status_code == 404, path
        assert client.get("/api/v1/films/999").json() == {"detail": "there is no such film"}
        assert client.get(f"/api/v1/films/{2**63}").status_code == 422
        assert client.get("/films/0").status_code in (404, 422)


def test_change_of_role_ends_the_session(shared_sqlite_page: Page) -> None:
    from cxr_node.config import load
    from cxr_node.web.access import Authenticator

    section = load(shared_sqlite_page.config).web
    accounts = MemoryAccounts()
    cookie = Authenticator(section, b"key", accounts=accounts).log_in("op", PASSWORD, address="127.0.0.1")
    person = Authenticator(section, b"key", accounts=accounts).person(cookie)
    assert person is not None
    assert person.is_operator
    demoted = section.model_copy(
        update={"users": tuple(user.model_copy(update={"role": "viewer"}) for user in section.users)}
    )

    assert Authenticator(demoted, b"key", accounts=accounts).person(cookie) is None
    assert Authenticator(section, b"another key", accounts=accounts).person(cookie) is None


def test_every_metric_of_dashboard_and_alerts_exists(shared_page: Page) -> None:
    with shared_page.visited_by() as client:
        names = set(re.findall(r"^# TYPE (\w+) ", client.get("/metrics").text, re.MULTILINE))
    names.add("cxr_node_gpu_memory_bytes")  # only on hosts with a GPU
    dashboard = json.loads((ROOT / "deploy/grafana/cxr-node.json").read_text(encoding="utf-8"))
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]

    assert len(expressions) > 8
    assert len(alerts) > 6
    for expression in (*expressions, *(rule["expr"] for rule in alerts)):
        named = set(re.findall(r"cxr_node_\w+", expression))
        assert named, expression
        assert named <= names, expression
    for rule in alerts:
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_the_page_on_metrics_lists_every_metric(shared_sqlite_page: Page) -> None:
    with shared_sqlite_page.visited_by() as client:
        exported = re.findall(r"^# TYPE (\w+) ", client.get("/metrics").text, re.MULTILINE)
    listed = re.findall(r"`(cxr_node_\w+)", (ROOT / "docs/reference/web.md").read_text(encoding="utf-8"))

    assert set(exported) <= set(listed)


def test_colors_have_the_contrast_of_wcag_aa() -> None:
    style = (ROOT / "cxr_node/web/static/style.css").read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--(\w+): #([0-9a-f]{6})", part)) for part in style.split("prefers-color-scheme: light")]

    assert len(themes) == 2
    for colors in themes:
        for ground in ("ground", "raised"):
            for ink in ("text", "quiet", "link", "bad", "ok", "warn"):
                assert _contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


_NO_WEB = "test_receiving_process_imports_no_web_framework"


def _luminance(color: str) -> float:
    shares = [int(color[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    "module",
    [
        "cxr_node.service.role",
        *(
            pytest.param(module, marks=pytest.mark.ci(short=f"{_NO_WEB}[cxr_node.service.role]"))
            for module in ("cxr_node.wiring.roles", "cxr_node.receive.scp")
        ),
    ],
)
def test_receiving_process_imports_no_web_framework(module: str) -> None:
    unwanted = {"fastapi", "starlette", "uvicorn", "jinja2", "prometheus_client", "torch"}
    program = f"import sys, {module}; print(*({unwanted!r} & set(sys.modules)))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == ""
