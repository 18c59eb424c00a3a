"""Dedicated network thread: forward passes of concurrent workers run one at a time, each under the watchdog."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cxr_node.domain.radiograph import Float32
from cxr_node.reading.network import ModelAdapter, Network, Outputs, Watchdog


class NetworkThread:
    """Runs the forward passes of a network in one thread.

    Always the same thread: PyTorch and OpenVINO start a thread pool for each calling thread.

    Parameters
    ----------
    current
        Returns the network for the next batch. The network may change between batches.
    watchdog
        Ends the process if a forward pass exceeds its deadline.
    """

    def __init__(self, current: Callable[[], Network], *, watchdog: Watchdog) -> None:
        self._current = current
        self._watchdog = watchdog
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")

    def network(self) -> Network:
        """Return the current network, for one batch."""
        return _OnThread(self._current(), self._thread, self._watchdog)


@dataclass(frozen=True, slots=True)
class _OnThread:
    network: Network
    thread: ThreadPoolExecutor
    watchdog: Watchdog

    @property
    def adapter(self) -> ModelAdapter:
        return self.network.adapter

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        return self.thread.submit(self._watched, batch).result()

    def _watched(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        with self.watchdog():
            return self.network.forward(batch)
