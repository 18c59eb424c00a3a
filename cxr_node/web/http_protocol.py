"""HTTP connections with deadlines, and with a bound on how many wait for their client.

uvicorn has no deadline for a request that never ends or a response that is not read, and no bound of connections: as
many as there are descriptors then stop the server. Here a whole request must come within `REQUEST_TIMEOUT_S`, and its
response must be sent within `RESPONSE_TIMEOUT_S`; a stream of events has no end, but must be read. At
`MAXIMUM_CONNECTIONS` a new connection replaces one that waits for its client: the oldest of the address with most of
them.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from cxr_node.web.event_streams import EVENTS_PATH

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle
    from uvicorn.server import ServerState

REQUEST_TIMEOUT_S = 10.0
RESPONSE_TIMEOUT_S = 120.0
"""Longer than the longest response takes: a picture, for which its process has a minute."""
MAXIMUM_CONNECTIONS = 256


class TimedProtocol(H11Protocol):
    """One connection of a client."""

    def __init__(
        self,
        config: "Config",
        server_state: "ServerState",
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.waits_since = self.loop.time()
        self._awaits_request = True
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waits_for_client(self) -> bool:
        """Whether the client owes the rest of a request, or does not read its response."""
        return self._awaits_request or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the deadline of the first request."""
        super().connection_made(transport)
        self._begin(awaits_request=True)
        others = cast("set[TimedProtocol]", self.connections)
        if len(others) >= MAXIMUM_CONNECTIONS:
            replaced = _to_replace(others - {self})
            if replaced is not None:
                others.discard(replaced)
                replaced.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Start the deadline of the response once the request is whole."""
        super().handle_events()
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if self._awaits_request and cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._begin(awaits_request=False)

    def on_response_complete(self) -> None:
        """Start the deadline of the next request."""
        self._begin(awaits_request=True)
        super().on_response_complete()

    def _begin(self, *, awaits_request: bool) -> None:
        self._awaits_request = awaits_request
        self.waits_since = self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        timeout_s = REQUEST_TIMEOUT_S if awaits_request else RESPONSE_TIMEOUT_S
        self._timer = self.loop.call_later(timeout_s, self._expire)

    def _expire(self) -> None:
        if self._is_read_stream():
            self._begin(awaits_request=False)
        else:
            self.transport.abort()

    def _is_read_stream(self) -> bool:
        """Whether the response is a stream of events that the client reads."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        is_stream = cycle is not None and cycle.response_started and cycle.scope["path"] == EVENTS_PATH
        return is_stream and not self._awaits_request and not self.flow.write_paused


def _to_replace(connections: Collection[TimedProtocol]) -> TimedProtocol | None:
    """Return the connection that a new one replaces; None if each of them has a request in work."""
    waiting = [connection for connection in connections if connection.waits_for_client]
    if not waiting:
        return None
    of_address = Counter(_address(connection) for connection in waiting)
    return min(waiting, key=lambda connection: (-of_address[_address(connection)], connection.waits_since))


def _address(connection: TimedProtocol) -> str:
    return connection.client[0] if connection.client else ""
