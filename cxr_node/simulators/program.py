"""Installed program as a child process: starts, becomes ready, is stopped or killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

ROLES = ("receive", "read", "deliver")
"""Without the web role, whose port may be in use."""
COMMAND = (sys.executable, "-m", "cxr_node")
_POLL_S = 0.05
_LISTENER_END_S = 10.0
_LOG_CHARACTERS = 4000


class Program:
    """`cxr-node run` with the settings `config`; `addresses` has the address of each ready role.

    Standard error is appended to `log`. With `own_group`, the processes form a group, which `kill` kills as one.
    Without, they end with the terminal. The end of a `with` block stops the program, or kills it after `stop_s`.
    """

    def __init__(
        self,
        config: Path,
        *,
        log: Path,
        roles: Sequence[str] = ROLES,
        own_group: bool = True,
        stop_s: float = 30.0,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.config, self.log = config, log
        self.addresses: dict[str, str] = {}
        self._own_group, self._stop_s = own_group, stop_s
        with log.open("a", encoding="utf-8") as messages:
            self.process = subprocess.Popen(  # noqa: S603  # this package
                [*command, "run", "--json", "--roles", ",".join(roles), "--config", str(config)],
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                start_new_session=own_group,
            )
        self._listener = threading.Thread(target=self._read_addresses, daemon=True)
        self._listener.start()

    @property
    def port(self) -> int:
        """Port of the receive role, 0 until it is ready."""
        return int(self.addresses.get("receive", ":0").rpartition(":")[2])

    def wait_until_ready(self, *roles: str, timeout_s: float) -> bool:
        """Wait until `roles` are ready, the program ends or the time is over; return whether they are ready."""
        deadline = time.monotonic() + timeout_s
        while not set(roles) <= self.addresses.keys() and time.monotonic() < deadline:
            if self.process.poll() is not None:
                self._listener.join(_LISTENER_END_S)
                break
            time.sleep(_POLL_S)
        return set(roles) <= self.addresses.keys()

    def state(self) -> str:
        """Return a clause for error messages: whether the program runs or how it ended, and the end of its log."""
        status = self.process.poll()
        state = "runs" if status is None else f"ended with status {status}"
        log = self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:].strip()
        return f"the node {state}, and its log {self.log} ends with:\n{log or '(nothing)'}"

    def kill(self) -> None:
        """Kill all processes at once, as a power cut does; without `own_group` the supervisor alone."""
        if self._own_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop the program and return its exit status.

        Raises
        ------
        subprocess.TimeoutExpired
            If it still runs after `stop_s`.
        """
        self.process.terminate()
        return self.process.wait(self._stop_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process.poll() is None:
                self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._listener.join(_LISTENER_END_S)
            if self.process.stdout is not None:
                self.process.stdout.close()

    def _read_addresses(self) -> None:
        for line in self.process.stdout or ():
            message = json.loads(line)
            self.addresses[message["role"]] = message["address"]
