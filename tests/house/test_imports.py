"""Imports of modules that many processes load: no library that only one role needs."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cxr_node.cli.app import COMMANDS, app
from cxr_node.db import migrate
from cxr_node.db.database import Database

ROLE_LIBRARIES = {"apscheduler", "contourpy", "cxr_node.report.kinds", "fastapi", "pynetdicom", "torch"}


@pytest.mark.parametrize(
    "module", ["config", "deliver.destinations", "process_pool.worker", "settings.root", "wiring.preprocessing"]
)
def test_a_module_of_every_process_loads_no_library_of_one_role(module: str) -> None:
    """Memory and start time: the preprocessing pool starts several processes, and each command loads the settings."""
    program = f"import sys, cxr_node.{module}; print(*({ROLE_LIBRARIES!r} & set(sys.modules)))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ended.stdout.strip() == ""


LOOKING = [["status"], ["study", "study 1"], ["jobs", "list"], ["query", "v1_films"]]
"""Commands that look; they are run often, by people who wait and by scripts."""
OF_ROLES = {"alembic", "apscheduler", "cryptography", "numpy", "pydicom", "pynetdicom", "smtplib", "torch"}
OF_ACTIONS = {
    "cxr_node.audit.message",
    "cxr_node.domain.instance",
    "cxr_node.domain.reading",
    "cxr_node.queue.queue",
    "cxr_node.wiring.process",
}
"""What changes of a node need; commands that stand beside such changes in a module load it too."""
_DESTINATION = """
[[deliver.destinations]]
kind = "cstore"
name = "pacs"
host = "127.0.0.1"
port = 104
ae_title = "PACS"
results = ["report", "picture"]
"""
"""Settings of a node as most are: results go somewhere, and their names are checked."""
NOT_NEEDED = {
    "PIL",
    "cxr_node.composing",
    "cxr_node.deliver.store_response",
    "cxr_node.measure",
    "cxr_node.net.http_client",
    "cxr_node.pipeline",
    "cxr_node.receive",
    "cxr_node.report",
    "cxr_node.service",
    "cxr_node.simulators",
    "cxr_node.web",
    "email.parser",
    "fastapi",
    "http.client",
    "httpx",
    "jinja2",
    "multiprocessing",
    "psycopg",
    "rich._emoji_codes",
    "rich.live",
    "sqlalchemy.dialects.postgresql",
    "tomlkit",
    "xml.parsers.expat",
}
"""What is of no use for a look at a node on SQLite, and was loaded once or is near what is."""
MOST_MODULES = 150
"""Modules of the node that one of them loads, at most: each costs a fraction of a percent of `cxr-node status`."""


def loaded(arguments: list[str]) -> set[str]:
    """Return the modules that a command line has loaded when it ends."""
    program = f"""
import atexit, sys
from cxr_node.__main__ import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.argv = ["cxr-node", *{arguments!r}]
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in ended.stderr, ended.stderr
    return set(ended.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["no-such-command"]])
def test_the_command_line_loads_a_command_only_when_it_is_named(arguments: list[str]) -> None:
    assert loaded(arguments) & {"alembic", "numpy", "pydicom", "sqlalchemy", "torch"} == set()


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_that_looks_loads_nothing_of_a_role(command: list[str], tmp_path: Path) -> None:
    """What they import is most of what they cost. SQLAlchemy, which they need, shows that the list is of modules."""
    config = tmp_path / "cxr-node.toml"
    config.write_text(_DESTINATION, encoding="utf-8")
    database = Database(f"sqlite:///{tmp_path / 'cxr-node-data' / 'node.db'}")
    (tmp_path / "cxr-node-data").mkdir()
    migrate.upgrade(database)
    database.close()

    unwanted = OF_ROLES | NOT_NEEDED | (OF_ACTIONS if command[0] in ("status", "study") else set())

    modules = loaded([*command, "--config", str(config)])
    assert modules & (unwanted | {"sqlalchemy"}) == {"sqlalchemy"}
    of_node = {module for module in modules if module.startswith("cxr_node.")}
    assert len(of_node) <= MOST_MODULES, sorted(of_node)


def test_garbage_is_collected_but_not_looked_for_among_modules(tmp_path: Path) -> None:
    """A process without collections would grow; that of a command begins without, while it imports.

    What it has imported is frozen: a quarter of its processor time was the collection at its end. And pydantic
    searches no installed distribution for plugins.
    """
    program = """
import atexit, gc, sys
from cxr_node.__main__ import main
def state():
    from pydantic.plugin import _loader
    print(gc.isenabled(), gc.get_freeze_count() > 10_000, _loader._plugins)
atexit.register(state)
sys.argv = ["cxr-node", "explain", "BODYPART"]
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ended.stdout.splitlines()[-1] == "True True None"


def test_the_help_shows_the_first_sentence_of_each_command() -> None:
    """Its table is not read from the commands, which it does not import."""
    for name, entry in COMMANDS.items():
        command = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined]
        assert " ".join(command.help.split()).startswith(entry.summary), name
