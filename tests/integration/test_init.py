"""`cxr-node init`: six questions, settings with comments, a first user, and the checks of doctor."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cxr_node.cli import init
from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.ops import new_settings
from cxr_node.ops.checks.doctor import Diagnosis
from cxr_node.ops.new_settings import Answers
from cxr_node.ops.users import UserAdministration
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.wiring.process import Process
from tests.support.peers import LOOPBACK, free_port

SECRET = "nine small green frogs"  # noqa: S105  # of nobody


@pytest.fixture(autouse=True)
def no_checks(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """Doctor, which takes seconds, is replaced; the processes that it would check."""
    checked: list[Process] = []

    def diagnose(process: Process) -> Diagnosis:
        checked.append(process)
        return Diagnosis(checks=(), destinations=())

    monkeypatch.setattr(init, "diagnose", diagnose)
    return checked


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input is a terminal, whose password prompt asks once."""
    monkeypatch.setattr(init, "_has_terminal", lambda: True)


def run(path: Path, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(app, ["init", "--config", str(path), *arguments], input=text)


def users(path: Path) -> list[tuple[str, str, bool]]:
    with Process.open(load(path)) as process:
        rows = UserAdministration(process=process, by="person/test").users()
    return [(row.name, row.permissions.role, row.permissions.sees_films) for row in rows]


def test_options_alone_make_a_node_with_its_first_user(tmp_path: Path, no_checks: list[Process]) -> None:
    path = tmp_path / "site" / "cxr-node.toml"
    port = free_port()

    ended = run(path, "--yes", "--ae-title", "CXR1", "--port", str(port), "--user", "kim", text=f"{SECRET}\n")

    assert ended.exit_code == 0, ended.output
    assert f"start the node with: cxr-node run --config {path}" in " ".join(ended.output.split())
    assert users(path) == [("kim", "operator", True)]
    settings = load(path)
    assert (settings.receive.ae_title, settings.receive.port) == ("CXR1", port)
    assert [process.settings.receive.port for process in no_checks] == [port]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_settings_have_every_default_as_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "cxr-node.toml"
    assert run(path, "--yes", "--pacs", "PACS@192.0.2.1:104").exit_code == 0
    text = path.read_text(encoding="utf-8")

    tables = {name: table for name, table in tomllib.loads(text).items() if table}
    assert tables == {
        "receive": {"ae_title": "CXRNODE", "port": 11112},
        "node": {"data_folder": "cxr-node-data"},
        "deliver": {
            "destinations": [{"kind": "cstore", "name": "pacs", "host": "192.0.2.1", "port": 104, "ae_title": "PACS"}]
        },
    }
    assert "# Maximum associations at a time" in text
    assert "# maximum_associations = 64" in text
    assert "# timeout_s = 30.0" in text


def test_six_questions_are_asked_and_a_pacs_is_tested(
    tmp_path: Path, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cxr-node.toml"
    monkeypatch.setattr(init, "read_password", iter(["short", SECRET]).__next__)
    with SimulatedPacs(tmp_path / "pacs") as pacs:
        wrong, right = f"PACS@{LOOPBACK}:{free_port()}", f"{pacs.ae_title}@{LOOPBACK}:{pacs.port}"
        lines = ["a title that is too long", "CXR1", "x", "104", "films", wrong, "n", right, "", "kim"]
        ended = run(path, text="".join(f"{line}\n" for line in lines))

    assert ended.exit_code == 0, ended.output
    output = " ".join(ended.output.split())
    for words in (
        "not an AE title",
        "'x' is no port",
        "refused",
        "Keep this answer?",
        "at least 15 are needed",
        "6. First user of the page",
    ):
        assert words in output, words
    settings = load(path)
    assert (settings.receive.ae_title, settings.receive.port) == ("CXR1", 104)
    assert settings.node.data_folder == tmp_path / "films"
    assert [row.peer_name for row in settings.deliver.destinations] == [right]
    assert users(path) == [("kim", "operator", True)]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "cxr-node.toml"
    path.write_text("# mine\n", encoding="utf-8")

    ended = run(path, "--yes")

    assert (ended.exit_code, "is not overwritten" in ended.output) == (1, True)
    assert path.read_text(encoding="utf-8") == "# mine\n"


def test_without_a_terminal_the_options_are_named(tmp_path: Path) -> None:
    ended = run(tmp_path / "cxr-node.toml")

    assert (ended.exit_code, "give --yes" in ended.output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--ae-title", "much too long for one"], 2, "receive.ae_title"),
        (["--port", "70000"], 2, "receive.port"),
        (["--pacs", "PACS"], 1, "expected AETITLE@HOST:PORT"),
        (["--database", "mysql://h/d"], 2, "mysql is not supported"),
        (["--user", "a b"], 1, "is no user name"),
    ],
)
def test_a_wrong_option_is_explained_and_writes_nothing(
    arguments: list[str], code: int, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "cxr-node.toml"

    ended = run(path, "--yes", *arguments, text=f"{SECRET}\n")

    assert (ended.exit_code, sentence in ended.output) == (code, True), ended.output
    assert not path.exists()


def test_the_password_of_the_database_goes_into_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "cxr-node.toml"
    files = new_settings.write(path, Answers(database_url="postgresql://cxr:sesame@db.example/cxr"))

    password_file = tmp_path / "cxr-node.database-password"
    assert files == (path, password_file)
    assert "sesame" not in path.read_text(encoding="utf-8")
    assert password_file.stat().st_mode & 0o777 == 0o600
    assert load(path).database_url == "postgresql://cxr:sesame@db.example/cxr"
    path.unlink()
    with pytest.raises(FileExistsError):
        new_settings.write(path, Answers(database_url="postgresql://cxr:other@db.example/cxr"))


def test_a_database_that_does_not_answer_is_named(database_url: str) -> None:
    is_server = database_url.startswith("postgresql")
    away = f"postgresql://cxr@{LOOPBACK}:{free_port()}/cxr"

    assert new_settings.database_fault(Answers(database_url=database_url)) == ""
    assert not is_server or "check that the server runs" in new_settings.database_fault(Answers(database_url=away))
