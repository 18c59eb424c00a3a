"""Backup and restore under load: every film with Success before the backup is in the restored node."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cxr_node.faults.films import Films
from cxr_node.faults.load import LoadGenerator
from cxr_node.faults.load import running as sending
from cxr_node.simulators.program import COMMAND
from tests.support.peers import until
from tests.support.running_node import running, settings_file
from tests.support.tiny_bundles import bundle

MOST_FILMS = 10_000
PAUSE_S = 0.5
"""Between two films: the restored node reads all of them again."""


def run_command(*command: str, config: Path) -> dict[str, object]:
    """Run a command of the installed program and return its JSON."""
    completed = subprocess.run(
        [*COMMAND, *command, "--json", "--config", config], capture_output=True, text=True, timeout=120
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    output: dict[str, object] = json.loads(completed.stdout)
    return output


@pytest.mark.ci(short="tests/integration/test_backup.py::test_restored_node_equals_the_backup_and_continues")
@pytest.mark.long_on_postgresql
def test_films_stored_before_a_backup_are_in_the_restored_node(
    tmp_path: Path, database_url: str, database_kind: str
) -> None:
    url = "" if database_kind == "sqlite" else database_url
    more = f"bundle = {json.dumps(str(bundle(tmp_path / 'bundle')))}"
    out = {"kind": "folder", "name": "share", "folder": str(tmp_path / "out"), "results": ["report"]}
    config = settings_file(tmp_path / "node", database_url=url, destinations=(out,))
    config.write_text(config.read_text(encoding="utf-8").replace("threads = 1", f"threads = 1\n{more}"))

    with running(config) as node:
        load = LoadGenerator(films=Films(seed=1), port=node.port, max_in_flight=MOST_FILMS, pause_s=PAUSE_S)
        with sending(load):
            until(lambda: len(load.stored) >= 5, what="five films with Success", timeout_s=60)
            before = set(load.stored.values())
            backup = run_command("backup", str(tmp_path / "backup"), config=config)
            count = len(load.stored)
            until(lambda: len(load.stored) > count, what="a film after the backup", timeout_s=60)
    assert isinstance(backup["files"], int)
    assert backup["files"] >= len(before)

    shutil.rmtree(tmp_path / "node" / "cxr-node-data")
    shutil.rmtree(tmp_path / "out")
    new = settings_file(tmp_path / "node", destinations=(out,))
    new.write_text(new.read_text(encoding="utf-8").replace("threads = 1", f"threads = 1\n{more}"))
    run_command("restore", str(tmp_path / "backup"), config=new)
    with running(new) as node:
        jobs = node.until_idle()
        present = {job.sop_instance_uid for job in jobs if job.stage == "read"}
        assert before <= present
    counts = run_command("reconcile", config=new)["counts"]
    assert isinstance(counts, dict)
    assert counts["received"] == counts["delivered"] == len(present)
