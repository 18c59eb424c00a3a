"""Start of roles: what the role starter imports, and which processes the supervisor reaps."""

import json
import subprocess
import sys

import pytest

_IMPORTS = """
import json, sys
from cxr_node.service.role_starter import _import_shared_modules

_import_shared_modules()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

_REAPS = """
import os, subprocess
from cxr_node.service.role_process import ChildProcess, _adopt_orphans, reap_orphans

_adopt_orphans()
running = ChildProcess(os.posix_spawnp("sleep", ["sleep", "600"], os.environ))
ended = ChildProcess(os.posix_spawnp("false", ["false"], os.environ))
orphan = subprocess.Popen(["sh", "-c", "(read line; exit 3) & exit"], stdin=subprocess.PIPE)
orphan.wait()
orphan.stdin.close()
ended.wait()
while True:
    reap_orphans([running, ended])
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        if children.read().split() == [str(running.pid)]:
            break
print(running.poll(), ended.returncode)
running.kill()
print(running.wait(60))
"""


_STOPS = """
import os, pathlib, signal, tempfile, threading
from cxr_node.service.role_process import RoleStarter, StopRequested

lock = tempfile.NamedTemporaryFile()
stopping = threading.Event()
starter = RoleStarter(lock.fileno(), stopping)
process = pathlib.Path(f"/proc/{starter.process.pid}")
while not (process / "cmdline").read_bytes().startswith(b"cxr-node"):
    pass
starter.process.send_signal(signal.SIGSTOP)
print(lock.name in [os.readlink(file) for file in (process / "fd").iterdir()])
threading.Timer(0.2, stopping.set).start()
try:
    starter.start(["receive"])
except StopRequested:
    print("stopped")
starter.close()
print(starter.process.returncode)
"""


def run(program: str) -> str:
    """Run a program of this package's interpreter; return its output."""
    return subprocess.run(  # this interpreter
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=240
    ).stdout


@pytest.mark.slow
def test_what_roles_share_is_neither_a_network_nor_the_web_framework() -> None:
    packages = set(json.loads(run(_IMPORTS)))

    assert packages >= {"pydicom", "pynetdicom", "sqlalchemy", "numpy"}
    assert packages.isdisjoint({"torch", "fastapi", "starlette", "uvicorn", "openvino", "onnxruntime"})


@pytest.mark.slow
def test_orphans_are_reaped_and_roles_keep_their_status() -> None:
    assert run(_REAPS).split() == ["None", "1", "-9"]


@pytest.mark.slow
def test_a_starter_that_hangs_neither_holds_the_lock_nor_delays_a_stop() -> None:
    assert run(_STOPS).split() == ["False", "stopped", "-9"]
