"""Log of an uncaught error of a thread: type and place, without its message."""

import subprocess
import sys

PROGRAM = """
import threading
from cxr_node.ops import logs

def fail():
    raise ValueError("Filmer^Testa")

logs.configure("info")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
"""


def test_error_of_a_thread_is_logged_without_its_message() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    assert "a thread ended: ValueError in <string>:" in ended.stderr
    assert "Filmer" not in ended.stderr
