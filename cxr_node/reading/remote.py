"""Switch between a remote reader and its fallback: a circuit breaker that only a checked server closes.

While the server gives no usable responses, films are read by the local bundle, or wait. A film whose request failed
returns to the queue and is read again from the beginning: no reading mixes two networks.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node.deliver.circuit_breaker import CircuitBreakers
from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import Held
from cxr_node.domain.radiograph import Float32
from cxr_node.infer.remote.outcome import RemoteError, RemoteTrouble
from cxr_node.infer.remote.reader import RemoteReader
from cxr_node.reading.network import IdentifiedNetwork, ModelAdapter, Network, Outputs

_log = logging.getLogger(__name__)

_SERVER = "remote"
_PROBED_WITHIN = timedelta(seconds=1)
"""Delay of a film that was claimed while another probes the server."""


class RemoteSwitch:
    """Selects the network of the next film. Thread-safe.

    Parameters
    ----------
    local
        Network that reads while the server does not; None: films wait.
    on_change
        Called with the trouble when it begins or changes, and with None when it ends.
    """

    batch_size = 1

    def __init__(
        self,
        remote: RemoteReader,
        *,
        local: IdentifiedNetwork | None,
        clock: Clock,
        on_change: Callable[[RemoteTrouble | None], None] = lambda _trouble: None,
    ) -> None:
        self.remote = remote
        self.local = local
        self.identity = remote.identity
        self._clock = clock
        self._on_change = on_change
        self._breakers = CircuitBreakers(clock)
        self._lock = threading.Lock()
        self._trouble: RemoteTrouble | None = None
        self._probe_at = clock()

    @property
    def trouble(self) -> RemoteTrouble | None:
        """Why the server is not used now; None if it is."""
        return self._trouble

    def warm_up(self) -> None:
        """Check the server, and read a black film with it. A server that fails is tried again later."""
        try:
            self.remote.check()
        except RemoteError as error:
            self._fail(error)

    def select(self) -> Network:
        """Return the network of the next film; after trouble, a due probe checks the server first.

        Raises
        ------
        Held
            If the server is not used, and there is no local network.
        """
        if self._breakers.enter(_SERVER) and self._is_usable():
            return _GuardedRemote(self)
        if self.local is not None:
            return self.local
        raise Held(self._sentence(), due_at=self.held_until() or self._clock() + _PROBED_WITHIN)

    def held_until(self) -> datetime | None:
        """Return until when no film can be read; None if one can."""
        if self.local is not None:
            return None
        held, probe_at = self._breakers.held()
        return (probe_at or self._clock() + _PROBED_WITHIN) if held else None

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return the outputs of the server for each film.

        Raises
        ------
        Held
            If the server fails: the films are due at once for the local network, or at the next probe.
        """
        try:
            return self.remote.forward(batch)
        except RemoteError as error:
            probe_at = self._fail(error)
            due_at = self._clock() if self.local is not None else probe_at
            raise Held(self._sentence(), due_at=due_at) from error

    def _is_usable(self) -> bool:
        if self._trouble is None:
            return True
        try:
            self.remote.check()
        except RemoteError as error:
            self._fail(error)
            return False
        except BaseException:
            self._breakers.unsure(_SERVER)
            raise
        self._recover()
        return True

    def _fail(self, error: RemoteError) -> datetime:
        with self._lock:
            previous = self._trouble
            if previous is None or self._clock() >= self._probe_at:  # else another thread noted it just now
                self._probe_at = self._breakers.failed(_SERVER, at_least_s=error.retry_after_s)
            since = previous.since if previous is not None else self._clock()
            self._trouble = RemoteTrouble(message=str(error), since=since)
        if previous is None or previous.message != str(error):
            _log.error("%s", self._sentence())
        self._on_change(self._trouble)
        return self._probe_at

    def _recover(self) -> None:
        with self._lock:
            self._breakers.succeeded(_SERVER)
            self._trouble = None
        _log.warning("%s answers again, and reads from now on", self.remote.remote_model)
        self._on_change(None)

    def _sentence(self) -> str:
        trouble = self._trouble
        consequence = "films wait for it" if self.local is None else "the local bundle reads in its place"
        reason = trouble.message if trouble is not None else "it is probed"
        return f"{self.remote.remote_model} is not used, {consequence}: {reason}"


@dataclass(frozen=True, slots=True)
class _GuardedRemote:
    """The remote reader as a network; runs in the calling thread."""

    switch: RemoteSwitch
    runs_elsewhere: bool = True

    @property
    def adapter(self) -> ModelAdapter:
        return self.switch.remote.adapter

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        return self.switch.forward(batch)
