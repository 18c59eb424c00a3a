"""What a thread that ends with an error leaves in the log: its kind and place, not its message."""

import subprocess
import sys

PROGRAM = """
import threading
from cxr_node.admin import logs

def fail():
    raise ValueError("Filmer^Testa")

logs.configure("info")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
"""


def test_a_thread_that_ends_with_an_error_is_named_without_its_message() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    assert "a thread ended: ValueError in <string>:" in ended.stderr
    assert "Filmer" not in ended.stderr
