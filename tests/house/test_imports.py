"""Imports of modules that many processes load: no library that only one role needs."""

import subprocess
import sys

import pytest

ROLE_LIBRARIES = {"apscheduler", "contourpy", "cxr_node.report.kinds", "fastapi", "pynetdicom", "torch"}


@pytest.mark.parametrize(
    "module", ["config", "deliver.destinations", "process_pool.worker", "settings.root", "wiring.preprocessing"]
)
def test_a_module_of_every_process_loads_no_library_of_one_role(module: str) -> None:
    """Memory and start time: the preprocessing pool starts several processes, and each command loads the settings."""
    program = f"import sys, cxr_node.{module}; print(*({ROLE_LIBRARIES!r} & set(sys.modules)))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ended.stdout.strip() == ""


@pytest.mark.parametrize("arguments", [["--version"], ["no-such-command"]])
def test_the_command_line_loads_a_command_only_when_it_is_named(arguments: list[str]) -> None:
    libraries = {"alembic", "numpy", "pydicom", "sqlalchemy", "torch"}
    program = f"""
import atexit, sys
from cxr_node.__main__ import main
atexit.register(lambda: print(*({libraries!r} & set(sys.modules)), file=sys.stderr))
sys.argv = ["cxr-node", *{arguments!r}]
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert ended.stderr.splitlines()[-1] == ""
