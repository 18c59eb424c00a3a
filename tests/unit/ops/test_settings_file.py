"""The settings file: replaced as a whole, not over the change of another, with kept versions; forms and checks."""

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cxr_node import config
from cxr_node.cli import settings
from cxr_node.ops.settings_edit import forms
from cxr_node.ops.settings_edit.proposal import Proposal, propose, propose_undo
from cxr_node.ops.settings_edit.rows import RowEdit
from cxr_node.ops.settings_edit.settings_file import EditRefused, SettingsFile
from cxr_node.settings.operations import PageUserSection

PACS = 'kind = "cstore"\nname = "pacs"\nhost = "10.0.0.1"\nport = 104\nae_title = "PACS"\n'
FILE = f"[receive]\nport = 11112  # ours\n\n# PACS\n[[deliver.destinations]]\n{PACS}"
AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    path = tmp_path / "cxr-node.toml"
    path.write_text(FILE, encoding="utf-8")
    path.chmod(0o640)
    return SettingsFile(path=path, versions=tmp_path / "versions")


def change(index: int | None = 0, **values: Any) -> RowEdit:
    return RowEdit(section="deliver", name="destinations", index=index, values=values)


def replace(file: SettingsFile, proposal: Proposal) -> None:
    file.replace(proposal.text, expected=proposal.before.digest, keys=proposal.keys, by="person/op", at=AT)


def test_an_edit_replaces_the_file_with_its_mode_and_is_undone(file: SettingsFile) -> None:
    replace(file, propose(file, change(port=11113)))
    replace(file, propose(file, change(host="10.0.0.2")))

    assert [row.peer_name for row in config.load(file.path).deliver.destinations] == ["PACS@10.0.0.2:11113"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert [path.name for path in file.path.parent.iterdir() if path.is_file()] == ["cxr-node.toml"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in file.versions.iterdir()} == {0o600}

    undo = propose_undo(file)
    assert undo.keys == ("deliver.destinations.pacs.host",)
    for _ in range(2):
        file.undo(expected=file.read().digest)
    assert file.read().text == FILE
    with pytest.raises(EditRefused, match="no edit"):
        propose_undo(file)


def test_an_edit_of_a_file_that_changed_meanwhile_is_refused(file: SettingsFile) -> None:
    proposal = propose(file, change(port=11113))
    replace(file, propose(file, change(host="10.0.0.2")))
    text = file.read().text

    with pytest.raises(EditRefused, match="repeat the edit"):
        replace(file, proposal)
    file.path.write_text(f"{text}# by hand\n", encoding="utf-8")
    with pytest.raises(EditRefused, match="changed otherwise"):
        propose_undo(file)
    with pytest.raises(EditRefused, match="changed otherwise"):
        file.undo(expected=file.read().digest)

    assert file.read().text == f"{text}# by hand\n"


def test_a_write_protected_file_is_not_replaced(file: SettingsFile) -> None:
    file.path.chmod(0o440)
    proposal = propose(file, change(port=11113))

    assert "read-only" in proposal.before.write_fault
    assert proposal.row == f"# PACS\n[[deliver.destinations]]\n{PACS.replace('104', '11113')}"
    with pytest.raises(EditRefused, match="read-only"):
        replace(file, proposal)
    assert file.read().text == FILE


def test_only_the_newest_versions_are_kept(file: SettingsFile) -> None:
    for port in range(25):
        replace(file, propose(file, change(port=port)))

    assert len(list(file.versions.glob("*.json"))) == 20


def test_wrong_values_are_named_by_setting_with_the_sentences_of_a_start(file: SettingsFile) -> None:
    proposal = propose(file, change(port="many", tls_certificate="c.pem", results=["film"]))
    added = propose(file, change(index=None, kind="folder", name="pacs", folder="x"))
    broken = propose(file, change(index=None, kind="folder", name=""))

    problems = dict(proposal.field_problems)
    assert problems["port"].startswith('"many" is not right; expected a whole number')
    assert not proposal.is_valid
    (problem,) = added.problems
    assert "deliver.destinations.pacs" in problem
    assert {"name", "folder"} == {name for name, _ in broken.field_problems}
    contradiction = propose(file, change(tls_certificate="c.pem"))
    assert {"tls_certificate", "tls_key"} <= {name for name, _ in contradiction.field_problems}


def test_files_that_a_setting_names_are_opened_before_it_is_written(file: SettingsFile) -> None:
    proposal = propose(file, change(tls_ca="missing.pem"))

    assert "cannot be used" in str([*proposal.field_problems, *proposal.problems])


def test_what_was_entered_is_written_only_where_it_differs() -> None:
    form = forms.FORMS["cstore"]
    row = {"kind": "cstore", "name": "pacs", "host": "h", "port": 104, "ae_title": "A", "results": ["text", "report"]}
    posted = {name: list(texts) for name, texts in forms.shown_values(form, row).items()}
    assert forms.entered_values(form, row, posted) == {}

    posted |= {"port": ["105"], "timeout_s": ["x"], "results": ["text"], "when.station_names": ["A\r\n\r\nB "]}
    posted |= {"tls_check_host": [], "host": [""], "confirm": ["find"]}
    assert forms.entered_values(form, row, posted) == {
        "port": 105,
        "timeout_s": "x",
        "results": ["text"],
        "when.station_names": ["A", "B"],
        "tls_check_host": False,
        "host": "",
        "confirm": "find",
    }
    assert forms.entered_values(form, {**row, "timeout_s": 4.0}, posted | {"timeout_s": [""]})["timeout_s"] is None
    new = forms.shown_values(form, {}) | {"name": ["b"], "host": ["h"], "port": ["1"], "ae_title": ["B"]}
    assert forms.entered_values(form, {}, new) == {
        "kind": "cstore",
        "name": "b",
        "ae_title": "B",
        "host": "h",
        "port": 1,
    }


def test_no_secret_of_a_row_is_in_its_form_or_in_its_lines(file: SettingsFile) -> None:
    users = forms.RowForm(key="user", word="user", section="web", name="users", row_type=PageUserSection)
    file.path.write_text(FILE + '[[web.users]]\nname = "kim"  # password_hash = "x"\n', encoding="utf-8")
    edit = RowEdit(section="web", name="users", index=0, values={"password_hash": "scrypt$hunter2"})

    assert "name" in forms.shown_values(users, {"name": "kim", "password_hash": "hunter2"})
    assert "password_hash" not in forms.shown_values(users, {"name": "kim", "password_hash": "hunter2"})
    assert "hunter2" not in propose(file, edit).row + propose(file, edit).diff


def test_the_command_line_shows_an_undo_and_makes_it(file: SettingsFile) -> None:
    of_node = SettingsFile(path=file.path, versions=file.path.parent / "cxr-node-data" / "settings-versions")
    replace(of_node, propose(of_node, change(port=11113)))
    command = ["undo", "--config", str(file.path)]
    shown = CliRunner().invoke(settings.app, command)
    between = file.read().text
    undone, again = (CliRunner().invoke(settings.app, [*command, "--yes"]) for _ in range(2))

    assert (shown.exit_code, undone.exit_code) == (0, 0)
    assert "-port = 11113\n+port = 104\n" in shown.output
    assert "11113" in between
    assert file.read().text == FILE
    assert again.exit_code != 0
