"""Commands on a node's database and against real peers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.domain.identifiers import AeTitle
from cxr_node.queue import queue
from cxr_node.simulators import modality
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.peers import LOOPBACK, storescp
from tests.support.queue import NOON, claim_one
from tests.support.running_node import opened, running, settings_file

pytestmark = pytest.mark.ci_on_postgresql

Command = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    return settings_file(tmp_path / "node", database_url=database_url)


@pytest.fixture
def cxr_node(config: Path) -> Command:
    """Runs a command with the node's settings."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(config)])

    return run


@pytest.fixture
def failed_job(config: Path, cxr_node: Command) -> int:
    """Number of a failed job."""
    assert cxr_node("db", "upgrade").exit_code == 0
    with opened(load(config)) as database:
        InProcessNode(database, load(config).node.data_folder).accept(films.dx())
        claim = claim_one(database)
        with database.write() as transaction:
            queue.give_up(transaction, claim, reason=None, detail="the PACS said no", now=NOON)
    return claim.job_id


def test_command_on_another_schema_names_the_upgrade(cxr_node: Command) -> None:
    before = cxr_node("jobs", "list")
    assert before.exit_code == 1
    assert "run `cxr-node db upgrade` first" in before.output

    assert cxr_node("db", "upgrade").output == "the database schema is up to date\n"

    assert cxr_node("jobs", "list").output == "no jobs\n"


def test_jobs_are_listed_shown_and_retried(cxr_node: Command, failed_job: int) -> None:
    (row,) = json.loads(cxr_node("jobs", "list", "--state", "failed", "--json").output)
    assert (row["job_id"], row["stage"], row["detail"]) == (failed_job, "read", "the PACS said no")
    assert row["sop_instance_uid"] == films.dx().SOPInstanceUID

    assert json.loads(cxr_node("jobs", "count", "--json").output) == [
        {"stage": "read", "state": "failed", "reason": "", "jobs": 1}
    ]
    shown = json.loads(cxr_node("jobs", "show", str(failed_job), "--json").output)
    assert [event["event"] for event in shown["events"]] == ["created", "claimed", "gave_up"]
    assert "the PACS said no" in cxr_node("jobs", "show", str(failed_job)).output

    assert cxr_node("jobs", "retry", str(failed_job)).output == f"queued again: {failed_job}\n"
    assert json.loads(cxr_node("jobs", "list", "--json").output)[0]["state"] == "waiting"


def test_running_or_unknown_job_is_not_retried(cxr_node: Command, failed_job: int) -> None:
    cxr_node("jobs", "retry", str(failed_job))

    again = cxr_node("jobs", "retry", str(failed_job), "999")

    assert again.exit_code == 1
    assert f"not queued again, because they have not ended or do not exist: {failed_job}, 999" in again.output
    assert cxr_node("jobs", "show", "999").exit_code == 1


def test_invalid_settings_are_named_and_valid_ones_confirmed(config: Path, cxr_node: Command) -> None:
    checked = cxr_node("config", "check")
    assert checked.exit_code == 0
    assert "results are not delivered" in checked.output

    config.write_text("[receive]\nprot = 104\n", encoding="utf-8")

    wrong = cxr_node("config", "check")
    assert wrong.exit_code == 2
    place = f"line 2 of {config}"
    assert wrong.output == f"configuration: receive.prot ({place}): there is no such setting; did you mean 'port'?\n"
    assert cxr_node("run").exit_code == 2
    assert cxr_node("run", "--roles", "recieve").exit_code == 2


def test_passwords_are_not_shown(config: Path, cxr_node: Command) -> None:
    config.write_text('[database]\nurl = "postgresql://node:sesame@127.0.0.1/cxr"\n', encoding="utf-8")

    shown = cxr_node("config", "check", "--json").output

    assert "sesame" not in shown
    assert json.loads(shown)["database"]["url"] == "postgresql://node:***@127.0.0.1/cxr"


def test_films_are_sent_to_any_node_with_what_became_of_each(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for seed in range(3):
        films.written(films.dx(seed=seed), folder)
    (folder / "note.txt").write_text("not a film", encoding="utf-8")
    with storescp(tmp_path / "pacs") as peer:
        address = f"{peer.ae_title}@{LOOPBACK}:{peer.port}"
        echoed = CliRunner().invoke(app, ["echo", address])
        sent = CliRunner().invoke(app, ["send", address, str(folder), "--json"])

    assert echoed.exit_code == 0
    assert "responded in" in echoed.output
    assert sent.exit_code == 1
    results = json.loads(sent.stdout)
    assert sorted(result["status"] is None for result in results) == [False, False, False, True]
    assert "1 of 4 films were not stored" in sent.stderr
    assert len(peer.files()) == 3


@pytest.mark.parametrize("peer", ["PACS", "PACS@host", "PACS@host:port", "@host:104", "PACS@host:70000"])
def test_invalid_peer_is_rejected_with_the_expected_form(peer: str) -> None:
    ended = CliRunner().invoke(app, ["echo", peer])

    assert ended.exit_code == 1
    assert "AETITLE@HOST:PORT" in ended.output or "AE title" in ended.output


def test_unreachable_peer_is_named() -> None:
    ended = CliRunner().invoke(app, ["echo", f"PACS@{LOOPBACK}:1"])

    assert ended.exit_code == 1
    assert "PACS" in ended.output


def test_film_show_writes_a_picture_and_the_gate_decision(
    config: Path, cxr_node: Command, failed_job: int, tmp_path: Path
) -> None:
    file = films.written(films.dx(rows=300, columns=280), tmp_path)
    picture = tmp_path / "film.png"

    shown = json.loads(cxr_node("film", "show", str(file), "--out", str(picture), "--json").output)
    archived = cxr_node("film", "show", films.dx().SOPInstanceUID, "--out", str(tmp_path / "archived.png"))

    assert shown["size"] == "280 x 300 pixels"
    assert shown["view"].startswith("AP")
    assert shown["model"].startswith("chest ")
    assert "distance" in shown["model"]
    with Image.open(picture) as image:
        assert (image.size, image.mode) == ((280, 300), "L")
    assert archived.exit_code == 0
    assert "Image quality insufficient" in archived.output
    assert "to do  Look at the film" in archived.output
    assert cxr_node("film", "show", "1.2.3").exit_code == 1
    assert cxr_node("film", "show", "no such file").exit_code == 1


@pytest.mark.long_on_postgresql
def test_no_patient_is_named_in_any_log_or_job(tmp_path: Path, database_url: str) -> None:
    config = settings_file(tmp_path / "node", database_url=database_url, more='[log]\nlevel = "debug"', is_tiny=True)
    good, bad = films.dx(rows=300, columns=280), films.cr(seed=1, changes={"PixelData": b"\0\0"})
    with running(config) as node:
        sent = modality.send(
            [good, bad],
            host=LOOPBACK,
            port=node.port,
            called_ae_title=AeTitle("CXRNODE"),
            calling_ae_title=AeTitle("DX1"),
        )
        jobs = node.until_idle()
        log = node.log.read_text(encoding="utf-8")

    assert [result.stored for result in sent] == [True, True]
    assert len(jobs) == 4
    assert good.SOPInstanceUID in log
    for secret in (films.PATIENT_NAME, films.PATIENT_NAME.partition("^")[0], films.PATIENT_ID):
        assert secret not in log
        assert secret not in str(jobs)


def test_route_test_explains_gate_priority_and_destinations(tmp_path: Path) -> None:
    to = {"kind": "folder", "folder": "out", "results": ["report", "picture"]}
    config = settings_file(
        tmp_path,
        destinations=(
            {**to, "name": "all"},
            {**to, "name": "found", "when.findings": ["lung_opacity"]},
            {**to, "name": "room1", "when.calling_ae_titles": ["DX1"]},
        ),
    )
    frontal, lateral = (
        films.written(films.dx(rows=300, columns=280, seed=seed, changes=changes), tmp_path)
        for seed, changes in ((1, {}), (2, {"ViewPosition": "LL", "ViewCodeSequence": None}))
    )

    def tested(film: Path) -> tuple[bool, dict[str, bool | None]]:
        ended = CliRunner().invoke(
            app, ["route", "test", str(film), "--calling", "DX2", "--config", str(config), "--json"]
        )
        document = json.loads(ended.output)
        return document["read"], {row["name"]: row["delivered"] for row in document["destinations"]}

    assert tested(frontal) == (True, {"all": True, "found": None, "room1": False})
    assert tested(lateral) == (False, {"all": True, "found": False, "room1": False})
    shown = CliRunner().invoke(app, ["route", "test", str(lateral), "--config", str(config)])
    assert "would be read: no" in shown.output
    printed = CliRunner().invoke(app, ["route", "test", str(frontal), "--config", str(config), "--json"]).output
    ways = {row["withdrawn_by"] for row in json.loads(printed)["destinations"]}
    assert ways == {"a rejection note (Key Object Selection)"}
