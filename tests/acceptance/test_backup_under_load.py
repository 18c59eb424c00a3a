"""Backup, wipe and restore under load: no film that got Success before the backup was asked for is missing."""

import json
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators import modality
from tests.support import films
from tests.support.peers import LOOPBACK, until
from tests.support.running_node import COMMAND, RunningNode, running, settings_file
from tests.support.tiny_bundles import bundle


@dataclass(slots=True)
class Load:
    """A modality that sends one film after another; `stored` are those that got Success."""

    node: RunningNode
    stored: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until `ended`."""
        number = 0
        while not self.ended.is_set():
            number += 1
            film = films.cr(rows=300, columns=280, seed=number)
            (sent,) = modality.send(
                [film],
                host=LOOPBACK,
                port=self.node.port,
                called_ae_title=AeTitle("CXRNODE"),
                calling_ae_title=AeTitle("LOADTEST"),
                timeout_s=30,
            )
            if sent.stored:
                self.stored.append(str(film.SOPInstanceUID))


def said(*command: str, config: Path) -> dict[str, object]:
    """Run a command of the installed program and return its JSON."""
    ended = subprocess.run(
        [*COMMAND, *command, "--json", "--config", config], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer: dict[str, object] = json.loads(ended.stdout)
    return answer


def test_nothing_that_got_success_before_a_backup_is_missing_after_wipe_and_restore(
    tmp_path: Path, database_url: str, database_kind: str
) -> None:
    url = "" if database_kind == "sqlite" else database_url
    more = f"bundle = {json.dumps(str(bundle(tmp_path / 'bundle')))}"
    out = {"kind": "folder", "name": "share", "folder": str(tmp_path / "out")}
    config = settings_file(tmp_path / "node", database_url=url, destinations=(out,))
    config.write_text(config.read_text(encoding="utf-8").replace("threads = 1", f"threads = 1\n{more}"))

    with running(config) as node:
        load = Load(node)
        sender = threading.Thread(target=load.run)
        sender.start()
        try:
            until(lambda: len(load.stored) >= 5, what="five films with Success", timeout_s=60)
            before = set(load.stored)
            backup = said("backup", str(tmp_path / "kept"), config=config)
            count = len(load.stored)
            until(lambda: len(load.stored) > count, what="a film after the backup", timeout_s=60)
        finally:
            load.ended.set()
            sender.join(60)
    assert isinstance(backup["files"], int)
    assert backup["files"] >= len(before)

    shutil.rmtree(tmp_path / "node" / "cxr-node-data")
    shutil.rmtree(tmp_path / "out")
    new = settings_file(tmp_path / "node", destinations=(out,))
    new.write_text(new.read_text(encoding="utf-8").replace("threads = 1", f"threads = 1\n{more}"))
    said("restore", str(tmp_path / "kept"), config=new)
    with running(new) as node:
        jobs = node.until_idle()
        present = {job.sop_instance_uid for job in jobs if job.stage == "read"}
        assert before <= present
    counts = said("reconcile", config=new)["counts"]
    assert isinstance(counts, dict)
    assert counts["received"] == counts["delivered"] == len(present)
