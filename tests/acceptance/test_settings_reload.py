"""A running node takes up a destination that is edited on its page, and the undo, without a restart."""

import os
import re
import signal
from pathlib import Path

import httpx
import psutil
from pydicom import Dataset

from cxr_node import config
from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators import modality
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.simulators.program import ROLES
from tests.support import films
from tests.support.peers import LOOPBACK, until
from tests.support.running_node import RunningNode, running, settings_file, to_pacs
from tests.support.web import PASSWORD, users

ROLES_AND_PAGE = (*ROLES, "admin")


def send(film: Dataset, port: int) -> None:
    (result,) = modality.send(
        [film],
        host=LOOPBACK,
        port=port,
        called_ae_title=AeTitle("CXRNODE"),
        calling_ae_title=AeTitle("CR1"),
        timeout_s=30,
        on_sent=lambda _result: None,
    )
    assert result.stored


def stored(pacs: SimulatedPacs) -> int:
    """Return the number of objects that a PACS has."""
    return len(pacs.sent)


def pids(node: RunningNode) -> set[int]:
    """Return the processes of the roles."""
    return {child.pid for child in psutil.Process(node.process.pid).children() if "role" in child.cmdline()}


def await_change(node: RunningNode, times: int) -> None:
    """Wait until every process of a role has taken up changes `times` times."""
    processes = len(pids(node))
    until(
        lambda: node.log.read_text(encoding="utf-8").count("settings in force now") >= times * processes,
        what=f"change {times} in every role",
        timeout_s=60.0,
    )


def edit(client: httpx.Client, token: str, **changes: object) -> None:
    """Change the first destination on the page: check it, and apply what was shown."""
    row = client.get("/settings/edit/row?kind=cstore&index=0").text
    inputs = re.findall(r'<input[^>]*name="([^"]+)"[^>]*\bvalue="([^"]*)"[^>]*?( checked)?>', row)
    texts = {name: value for name, value, _ in inputs if name in ("kind", "index", "digest")}
    fields = {f"field.{name}": re.findall(rf'name="field.{name}"[^>]*value="([^"]*)"', row)[0] for name in TEXTS}
    fields |= {"field.results": "report", "field.confirm": "none", "field.timeout_s": "30"}
    fields |= {"field.tls_check_host": "true", "field.compress_pictures": "true"}
    data = {"token": token, **texts, **fields, **{f"field.{name}": str(value) for name, value in changes.items()}}
    checked = client.post("/settings/edit/row", data={**data, "action": "check"}).text
    shown = re.findall(r'name="shown" value="([^"]+)"', checked)
    assert shown, checked
    assert client.post("/settings/edit/row", data={**data, "shown": shown[0], "action": "apply"}).status_code == 303


TEXTS = ("name", "host", "port", "ae_title", "confirm_wait_s", "confirm_again_s")


def test_an_edited_destination_is_used_without_a_restart_and_undone(tmp_path: Path) -> None:
    with SimulatedPacs(tmp_path / "first") as first, SimulatedPacs(tmp_path / "second") as second:
        destination = to_pacs(first.port, first.ae_title)
        more = f"[web]\nport = 0\n{users(('op', 'operator', True))}"
        path = settings_file(tmp_path, destinations=(destination,), more=more, is_tiny=True)
        before = path.read_text(encoding="utf-8")
        with (
            running(path, wait_for=ROLES_AND_PAGE, roles=ROLES_AND_PAGE) as node,
            httpx.Client(base_url=f"http://{node.addresses['admin']}", timeout=60) as client,
        ):
            processes = pids(node)
            client.post("/login", data={"name": "op", "password": PASSWORD})
            token = re.findall(r'name="token" value="([^"]+)"', client.get("/").text)[0]
            edit(client, token, port=second.port, ae_title=second.ae_title)
            await_change(node, 1)
            send(films.cr(seed=1), node.port)
            node.until_idle()
            counts = [stored(first), stored(second)]
            shown = re.findall(r'name="shown" value="([^"]+)"', client.get("/settings/edit/undo").text)[0]
            undone = client.post("/settings/edit/undo", data={"token": token, "shown": shown})
            os.kill(node.process.pid, signal.SIGHUP)
            await_change(node, 2)
            send(films.cr(seed=2), node.port)
            node.until_idle()

            assert undone.status_code == 303
            assert counts == [0, 1]
            assert [stored(first), stored(second)] == [1, 1]
            assert pids(node) == processes
        assert path.read_text(encoding="utf-8") == before
        assert config.load(path).deliver.destinations[0].peer_name.endswith(f":{first.port}")
