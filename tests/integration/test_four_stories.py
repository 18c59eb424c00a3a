"""The four stories of docs/how-to/admin.md, by page, by command and by SQL, on both databases."""

import csv
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.domain.clock import utc_now
from cxr_node.web import server
from cxr_node.wiring.process import Process
from tests.support import films
from tests.support.films import ROOT
from tests.support.monitored_films import ScoredFilm, read_films
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file
from tests.support.web import PASSWORD, reject, users

pytestmark = pytest.mark.ci_on_postgresql

ACCESSION = "A123"
SEEN = users(("op", "operator", True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Commands, query, and address of a page of a story."""

    commands: tuple[str, ...]
    query: str
    address: str


def stories() -> list[Story]:
    """Return the stories of the document."""
    page = (ROOT / "docs" / "how-to" / "admin.md").read_text(encoding="utf-8")
    section = page.partition("## Four stories")[2].partition("\n## ")[0]
    return [
        Story(
            commands=tuple(re.findall(r"^      \$ (.+)$", part, re.MULTILINE)),
            query=re.findall(r"```sql\n(.*?)```", part, re.DOTALL)[0],
            address=next(iter(re.findall(r"\[(/[^\]]+)\]\(../reference/web.md\)", part)), ""),
        )
        for part in re.split(r"^\*\*", section, flags=re.MULTILINE)[1:]
    ]


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """The settings of a node with yesterday's films of two modalities, and a study whose report the PACS refused."""
    path = settings_file(
        tmp_path / "node", database_url=database_url, more=f"[web]\nport = 0\n{SEEN}\nsees_identifiers = true\n"
    )
    settings = load(path)
    settings.node.data_folder.mkdir(parents=True, exist_ok=True)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        noon = utc_now().astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
        node.clock.now = (noon - timedelta(days=1)).astimezone(utc_now().tzinfo)
        for number, modality in enumerate(("CR", "DX")):
            node.accept(films.dx(seed=number + 1, changes={"Modality": modality}))
            node.work()
        node.clock.now = utc_now()
        node.pacs.before_send = reject
        node.accept(films.dx(seed=9, changes={"AccessionNumber": ACCESSION}))
        node.work()
        read_films(database, [ScoredFilm(name="high", at=utc_now() - timedelta(hours=2), score=0.9)])
    return path


@pytest.fixture
def client(config: Path) -> Iterator[httpx.Client]:
    with (
        Process.open(load(config), is_audited=True) as process,
        server.serve(process) as address,
        httpx.Client(base_url=f"http://{address}", timeout=60, follow_redirects=True) as logged_in,
    ):
        logged_in.post("/login", data={"name": "op", "password": PASSWORD})
        yield logged_in


def run(config: Path, command: str) -> str:
    """Return what a command of the document prints."""
    program, *arguments = shlex.split(command)
    assert program == "cxr-node"
    ended = CliRunner().invoke(app, [*arguments, "--config", str(config)], env={"COLUMNS": "200"})
    assert ended.exit_code == 0, ended.output
    return ended.output


def rows_of(config: Path, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query, for yesterday, today or the last week in place of the document's days."""
    yesterday, today = (f"{utc_now() - timedelta(days=days):%Y-%m-%d}" for days in (1, 0))
    query = query.replace("2026-01-01", yesterday).replace("2026-01-02", today)
    with opened(load(config)) as database, database.read() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_why_a_study_of_an_accession_number_has_no_report(config: Path, client: httpx.Client) -> None:
    story = stories()[0]

    page = client.post("/search", data={"text": ACCESSION})
    (command,) = story.commands
    rows = rows_of(config, story.query)

    assert page.url.path.startswith("/studies/")
    for shown in (page.text, run(config, command)):
        assert "delivery to pacs failed: 0xA700, out of resources" in shown
    assert ("deliver", "failed") in [row[:2] for row in rows]


def test_how_long_reports_took_yesterday_by_modality(config: Path, client: httpx.Client) -> None:
    story = stories()[1]

    page = client.get(story.address)
    (command,) = story.commands

    table = page.text.partition('id="per-day"')[2]
    for modality in ("CR", "DX"):
        assert f"<td>{modality}</td>" in table
        assert re.search(rf"{modality} +│ 1 +│ 1 +│ 2.0 s", run(config, command))
    assert sorted(rows_of(config, story.query)) == [("CR", 2.0), ("DX", 2.0)]


def test_what_is_stuck_after_a_night_is_found_and_sent_again(config: Path, client: httpx.Client) -> None:
    story = stories()[2]

    page = client.get(story.address)
    listed, sent, resent = (run(config, command) for command in story.commands)

    assert page.text.count("0xA700, out of resources") >= 1
    assert "pacs" in listed
    assert sent == "1 jobs queued again\n"
    assert resent == "2 results of 2 studies to pacs queued to be sent again\n"
    assert [row[:3] for row in rows_of(config, story.query)] == [("pacs", "waiting", 3)]


def test_findings_above_80_of_last_week_are_a_csv_file(config: Path, client: httpx.Client) -> None:
    story = stories()[3]

    page = client.get(story.address)
    link = next(iter(re.findall(r'href="([^"]+\.csv[^"]*)"', page.text))).replace("&amp;", "&")
    (command,) = story.commands
    by_page = list(csv.DictReader(io.StringIO(client.get(link).text)))
    by_command = list(csv.DictReader(io.StringIO(run(config, command))))

    assert [float(row["score"]) for row in by_page] == [90.0]
    assert {row["film_id"] for row in by_page} == {row["film_id"] for row in by_command}
    assert len(rows_of(config, story.query)) == len(by_command)
