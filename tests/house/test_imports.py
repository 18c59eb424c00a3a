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
