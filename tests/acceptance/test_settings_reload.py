"""A running node takes up a destination that is edited on its page, and the undo, without a restart."""

import os
import re
import signal
from pathlib import Path

import httpx
import psutil
from pydicom import Dataset

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
    return {child.pid for child in psutil.Process(node.process.pid).children() if " role " in " ".join(child.cmdline())}


def await_change(node: RunningNode, times: int) -> None:
    """Wait until every process of a role has taken up changes `times` times."""
    processes = len(pids(node))
    until(
        lambda: node.log.read_text(encoding="utf-8").count("settings in force now") >= times * processes,
        what=f"change {times} in every role",
        timeout_s=60.0,
    )


def edit(client: httpx.Client, token: str, query: str, **fields: object) -> None:
    """Enter a row of settings on the page: check it, and apply what was shown."""
    form = client.get(f"/settings/edit/row?{query}").text
    hidden = dict(re.findall(r'<input type="hidden" name="(kind|index|digest)" value="([^"]*)">', form))
    data = {"token": token, **hidden, **{f"field.{name}": str(value) for name, value in fields.items()}}
    checked = client.post("/settings/edit/row", data={**data, "action": "check"}).text
    shown = re.findall(r'name="shown" value="([^"]+)"', checked)
    assert shown, checked
    assert client.post("/settings/edit/row", data={**data, "shown": shown[0], "action": "apply"}).status_code == 303


def undo(client: httpx.Client, token: str) -> None:
    """Undo the last edit."""
    shown = re.findall(r'name="shown" value="([^"]+)"', client.get("/settings/edit/undo").text)[0]
    assert client.post("/settings/edit/undo", data={"token": token, "shown": shown}).status_code == 303


PACS = {"name": "pacs", "host": LOOPBACK, "results": "report", "tls_check_host": "true", "compress_pictures": "true"}


def test_edited_destinations_are_used_without_a_restart_and_undone(tmp_path: Path) -> None:
    share = tmp_path / "share"
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
            edit(client, token, "kind=cstore&index=0", **PACS, port=second.port, ae_title=second.ae_title)
            await_change(node, 1)
            # Of a result that no destination had at the start.
            edit(client, token, "kind=folder", name="share", folder=share, results="text")
            await_change(node, 2)
            send(films.cr(seed=1), node.port)
            node.until_idle()
            counts = [stored(first), stored(second), len(list(share.glob("*.dcm")))]
            undo(client, token)
            await_change(node, 3)
            undo(client, token)
            os.kill(node.process.pid, signal.SIGHUP)
            await_change(node, 4)
            send(films.cr(seed=2), node.port)
            node.until_idle()

            assert counts == [0, 1, 1]
            assert [stored(first), stored(second), len(list(share.glob("*.dcm")))] == [1, 1, 1]
            assert pids(node) == processes
        assert path.read_text(encoding="utf-8") == before
