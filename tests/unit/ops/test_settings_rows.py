"""Edits of rows of the settings file: comments and order stay, secrets are hidden, the result is what was wanted."""

import tomllib
from typing import Any

import pytest

from cxr_node.ops.settings_edit.masking import difference, masked
from cxr_node.ops.settings_edit.rows import CannotEdit, RowEdit, edited, row_text

FILE = """\
# The node of the chest ward.
[receive]
port = 11112  # agreed with the network group

[deliver]
lease_s = 300  # long

# PACS of the house
[[deliver.destinations]]
kind = "cstore"  # by DICOM
name = "pacs"
port = 104
# timeout_s = 30.0  # not yet
[deliver.destinations.when]
views = ["PA"]  # no bedside films

# For the viewer
[[deliver.destinations]]
kind = "folder"
name = "viewer"

# Kim is on leave until May.
[[web.users]]
name = "kim"
password_hash = "scrypt$abc"
"""
FOLDER = {"kind": "folder", "name": "share", "folder": "/srv/results"}


def destination(index: int | None = None, values: dict[str, Any] | None = None) -> RowEdit:
    return RowEdit(section="deliver", name="destinations", index=index, values=values)


def changed_lines(before: str, after: str) -> list[str]:
    lines = difference(before, after, "f").splitlines()[2:]
    return [line for line in lines if line[0] in "+-"]


def test_a_changed_value_keeps_every_comment_and_all_other_lines() -> None:
    text = edited(FILE, destination(0, {"port": 11113, "when.views": ["PA", "AP"], "ae_title": "PACS"}))

    assert changed_lines(FILE, text) == [
        "-port = 104",
        "+port = 11113",
        '+ae_title = "PACS"',
        "+",
        '-views = ["PA"]  # no bedside films',
        '+views = ["PA", "AP"]  # no bedside films',
    ]


def test_an_added_row_follows_the_last_and_parts_no_comment() -> None:
    text = edited(FILE, destination(values={**FOLDER, "when.views": ["PA"]}))

    assert changed_lines(FILE, text) == [
        "+[[deliver.destinations]]",
        '+kind = "folder"',
        '+name = "share"',
        '+folder = "/srv/results"',
        '+when = {views = ["PA"]}',
        "+",
    ]
    assert "\n# Kim is on leave until May.\n[[web.users]]\n" in text
    assert row_text(text, destination(values=FOLDER)).startswith('[[deliver.destinations]]\nkind = "folder"\n')


@pytest.mark.parametrize(("index", "comment"), [(0, "# PACS of the house"), (1, "# For the viewer")])
def test_a_removed_row_takes_its_own_comment_with_it_and_no_other(index: int, comment: str) -> None:
    text = edited(FILE, destination(index))

    comments = [line for line in FILE.splitlines() if line.startswith("#")]
    gone = {comment, "# timeout_s = 30.0  # not yet"} if index == 0 else {comment}
    assert [line for line in text.splitlines() if line.startswith("#")] == [one for one in comments if one not in gone]
    assert "\n\n\n" not in text


def test_the_first_row_of_a_table_and_its_removal_change_nothing_else() -> None:
    rule = RowEdit(section="receive", name="urgent", values={"priority_boost_s": 600})
    text = edited(FILE, rule)

    assert text == FILE + "\n[[receive.urgent]]\npriority_boost_s = 600\n"
    assert edited(text, RowEdit(section="receive", name="urgent", index=0)).rstrip("\n") == FILE.rstrip("\n")


@pytest.mark.parametrize(
    "section", ['[deliver]\ndestinations = [{ kind = "folder", name = "a", folder = "b" }]  # one\n']
)
def test_rows_in_one_line_are_edited_as_well(section: str) -> None:
    added = edited(section, destination(values=FOLDER))
    changed = edited(added, destination(0, {"folder": "c", "when.views": ["PA"]}))

    rows = tomllib.loads(changed)["deliver"]["destinations"]
    assert [row["folder"] for row in rows] == ["c", "/srv/results"]
    assert changed.endswith("# one\n")
    assert tomllib.loads(edited(changed, destination(0)))["deliver"]["destinations"] == rows[1:]


def test_line_ends_and_headers_within_texts_are_left_alone() -> None:
    text = FILE.replace('name = "viewer"', 'name = """\n[[deliver.destinations]]\n# no comment\n"""').replace(
        "\n", "\r\n"
    )
    changed = edited(text, destination(1, {"folder": "x"}))

    assert changed.count("\n") == changed.count("\r\n") == text.count("\n") + 1
    assert tomllib.loads(changed)["deliver"]["destinations"][1]["name"] == "[[deliver.destinations]]\n# no comment\n"


def test_what_would_not_come_out_right_is_refused() -> None:
    apart = FILE + '\n[deliver.destinations.when]\nviews = ["AP"]\n'
    with pytest.raises(CannotEdit, match="by hand"):
        edited(apart, destination(1, {"when.findings": ["effusion"]}))
    with pytest.raises(CannotEdit, match="no row 3"):
        edited(FILE, destination(2))


def test_secrets_are_hidden_wherever_they_stand() -> None:
    text = f"""{FILE}
# password_hash = "scrypt$old"
# see https://admin:hunter2@pacs.example
[database]
url = "postgresql://cxr:hunter2@db/cxr"
pasword = "hunter2"
[trace]
headers = [
  "Authorization=hunter2",  # token
]
[oidc]
client_secret = '''
hunter2'''
scopes = ["openid"]
"""
    shown = masked(text)

    assert not {secret for secret in ("hunter2", "scrypt$", "token") if secret in shown}
    assert 'scopes = ["openid"]' in shown
    assert shown.count("\n") == text.count("\n") - 3


def test_a_line_with_a_secret_beside_a_change_is_hidden_in_the_difference() -> None:
    text = edited(FILE, destination(1))
    beside = edited(FILE, RowEdit(section="web", name="users", index=0, values={"sees_films": True}))

    assert "scrypt" not in difference(FILE, text, "f") + difference(FILE, beside, "f")
    assert ' password_hash = "***"' in difference(FILE, beside, "f")
