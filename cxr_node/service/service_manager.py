"""Messages to the service manager by the protocol of sd_notify(3): ready, working, stopping."""

import math
import socket
from collections.abc import Mapping
from contextlib import suppress

_EVERY_S = 1.0
_START_LONGER = "EXTEND_TIMEOUT_USEC=60000000"
"""Until every role is ready: one that cannot start must not end the others at the time-out of the unit's start."""


class ServiceManager:
    """The service manager that started this process, at the socket in NOTIFY_SOCKET; without it nothing is sent."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_ready = False
        self._working_at = -math.inf

    def ready(self) -> None:
        """Report, once, that every role is ready."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1\nSTATUS=every role is ready")

    def working(self, *, now: float) -> None:
        """Reset the watchdog of the service, at most once a second; `now` is in seconds of any steady clock."""
        if now - self._working_at >= _EVERY_S:
            self._working_at = now
            self._send("WATCHDOG=1" if self._is_ready else f"WATCHDOG=1\n{_START_LONGER}")

    def stopping(self) -> None:
        """Report that the roles are being stopped."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), self._address)
