"""Settings of a running process: which tables a changed file replaces, and that an invalid one replaces none."""

from pathlib import Path

import pytest

from cxr_node.config import read
from cxr_node.settings.differences import differences, is_reloadable
from cxr_node.wiring.live_settings import LiveSettings, SettingsInvalid


def text(*, port: int = 104, receive_port: int = 11112, boost_s: int = 60) -> str:
    pacs = f'kind = "cstore"\nname = "pacs"\nhost = "10.0.0.1"\nport = {port}\nae_title = "PACS"\n'
    urgent = f"[[receive.urgent]]\npriority_boost_s = {boost_s}\n"
    return f"[receive]\nport = {receive_port}\n{urgent}[[deliver.destinations]]\n{pacs}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cxr-node.toml"
    path.write_text(text(), encoding="utf-8")
    return path


@pytest.fixture
def live(path: Path) -> LiveSettings:
    loaded = read(path)
    return LiveSettings(loaded.settings, loaded)


def test_only_destinations_and_rules_are_taken_up(path: Path, live: LiveSettings) -> None:
    changes: list[list[str]] = []
    live.on_change(lambda before, after: changes.append(list(differences(before, after))))
    ports = live.mapping(lambda settings: {row.name: row.peer_name for row in settings.deliver.destinations})
    live.reload()
    assert dict(ports) == {"pacs": "PACS@10.0.0.1:104"}
    path.write_text(text(port=11113, receive_port=11119, boost_s=90), encoding="utf-8")
    live.reload()
    live.reload()

    assert changes == [["receive.urgent.0.priority_boost_s", "deliver.destinations.pacs.port"]]
    assert dict(ports.items()) == {"pacs": "PACS@10.0.0.1:11113"}
    assert live.current.receive.port == 11112
    assert live.restart_keys == ("receive.port",)
    assert live.loaded is not None
    assert live.loaded.settings.receive.port == 11119


def test_an_invalid_file_changes_nothing_and_is_named_until_it_is_valid(path: Path, live: LiveSettings) -> None:
    path.write_text(text(port=70000), encoding="utf-8")
    for _ in range(2):
        with pytest.raises(SettingsInvalid, match=r"stay in force: deliver\.destinations\.pacs\.port \(line"):
            live.reload()
    before = live.current.deliver.destinations
    path.unlink()
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        live.reload()
    path.write_text(text(port=105), encoding="utf-8")
    live.reload()

    assert [row.peer_name for row in before] == ["PACS@10.0.0.1:104"]
    assert [row.peer_name for row in live.current.deliver.destinations] == ["PACS@10.0.0.1:105"]


def test_differences_name_rows_and_their_order(path: Path) -> None:
    before = read(path).settings
    folder = '[[deliver.destinations]]\nkind = "folder"\nname = "share"\nfolder = "x"\n'
    path.write_text(text() + folder, encoding="utf-8")
    added = read(path).settings
    rows = added.deliver.destinations
    turned = added.model_copy(update={"deliver": added.deliver.model_copy(update={"destinations": rows[::-1]})})

    assert list(differences(before, added)) == ["deliver.destinations.share"]
    assert list(differences(added, turned)) == ["deliver.destinations"]
    assert is_reloadable("deliver.destinations")
    assert not is_reloadable("deliver.destinations_of_another_name")
