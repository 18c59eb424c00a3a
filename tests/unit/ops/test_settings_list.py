"""Every setting with value, default, meaning and place."""

import re
from pathlib import Path

import pytest

from cxr_node import config
from cxr_node.config import Loaded
from cxr_node.ops import settings_list
from cxr_node.ops.settings_list import SettingRow
from cxr_node.settings.root import Settings

TEXT = """[receive]
port = 104
ae_title = "CXRNODE"
[oidc]
client_secret = "sesame"
[[deliver.destinations]]
kind = "cstore"
name = "main PACS"
host = "pacs.example"
port = 104
ae_title = "PACS"
when = { views = ["PA"] }
[[receive.urgent]]
priority_boost_s = 60
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    path = tmp_path / "node.toml"
    path.write_text(TEXT, encoding="utf-8")
    return config.read(path, environment={"CXR_NODE_ALERT_WEBHOOK": "https://chat.example/sesame"})


def rows(loaded: Loaded, *, text: str = "", only_changed: bool = False) -> dict[str, SettingRow]:
    tables = settings_list.tables(loaded.settings, loaded, text=text, only_changed=only_changed)
    return {row.key: row for table in tables for row in table.rows}


def test_what_differs_from_its_default_is_marked_with_both_and_the_line(loaded: Loaded) -> None:
    changed = rows(loaded, only_changed=True)
    file = loaded.path.parent / "node.toml"

    assert set(changed) == {
        "receive.port",
        "receive.urgent.0.priority_boost_s",
        "oidc.client_secret",
        "alert.webhook",
        *(f"deliver.destinations.main PACS.{name}" for name in ("name", "host", "port", "ae_title", "when.views")),
    }
    port = changed["receive.port"]
    assert (port.name, port.value, port.default, port.place) == ("port", "104", "11112", f"line 2 of {file}")
    assert changed["deliver.destinations.main PACS.when.views"].place == f"line 12 of {file}"
    assert changed["alert.webhook"].place == "from the environment variable CXR_NODE_ALERT_WEBHOOK"
    assert rows(loaded)["receive.ae_title"].place == f"line 3 of {file}", "set to its default"
    assert rows(loaded)["node.data_folder"].is_default


def test_values_are_those_of_a_settings_file_and_hide_secrets(loaded: Loaded) -> None:
    all_rows = rows(loaded)

    assert all_rows["oidc.client_secret"].value == '"***"'
    assert all_rows["deliver.destinations.main PACS.results"].value == '["report", "text", "picture"]'
    assert all_rows["receive.tls_key"].value == '""'
    assert all_rows["drift.enabled"].value == "true"
    for row in all_rows.values():
        assert "sesame" not in f"{row.value} {row.default}"
        assert not re.search(r"None|PosixPath|Section|Secret|\(|<", row.value), row.key
        assert row.description, row.key


def test_a_search_finds_names_values_and_meanings(loaded: Loaded) -> None:
    assert "deliver.destinations.main PACS.host" in rows(loaded, text="PACS.EXAMPLE")
    assert "receive.dimse_timeout_s" in rows(loaded, text="pdu within a message")
    assert set(rows(loaded, text="trace")) >= {"trace.endpoint", "trace.timeout_s"}, "a table by its name"
    assert rows(loaded, text="no such thing") == {}
    assert set(rows(loaded, text="port", only_changed=True)) >= {"receive.port"}


def test_settings_without_a_file_have_no_places() -> None:
    (table, *_) = settings_list.tables(Settings(), None)

    assert (table.header, table.changed, {row.place for row in table.rows}) == ("[node]", 0, {""})
