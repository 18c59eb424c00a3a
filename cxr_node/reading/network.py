"""Network and model adapter protocols, the seam between the main path and inference; the network thread."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import Appearance, Finding, Measurement, ModelIdentity, Prediction

Prepared = Any
"""Input of a network for one film: an array of shape (rows, columns) or (channels, rows, columns), or a cascade's."""

FilmOutputs = Any
"""Outputs of a network for one film, as its adapter decodes them: `Outputs`, or those of each network of a cascade."""

Outputs = Mapping[str, Float32]
"""Outputs of one network for one film, by name, without the batch dimension."""

Watchdog = Callable[[], AbstractContextManager[None]]
"""Ends this process if the block exceeds its deadline."""


class ModelAdapter(Protocol):
    """Conversion between a film and a network's tensors. Picklable: the preprocessing pool runs it."""

    @property
    def outlines_anatomy(self) -> bool:
        """Whether predictions have structures to measure."""

    def preprocess(self, film: Radiograph) -> Prepared:
        """Return the network's input for a film; raise GiveUp if it reads no such film."""

    def decode_appearance(self, outputs: FilmOutputs) -> Appearance | None:
        """Return the appearance of one film; None of a model that has no such outputs; raise GiveUp as below."""

    def decode_outputs(self, geometry: Geometry, outputs: FilmOutputs) -> Prediction:
        """Return the prediction for one film; raise GiveUp if the outputs are invalid."""

    def findings_by_measurement(self, measurements: Sequence[Measurement], view: View) -> tuple[Finding, ...]:
        """Return the findings that the model derives from measurements of a film of this view."""


class Network(Protocol):
    """A network on its device, with its adapter."""

    @property
    def adapter(self) -> ModelAdapter:
        """Adapter of this network."""

    def forward(self, batch: Sequence[Prepared]) -> Sequence[FilmOutputs]:
        """Return the outputs for each film of a batch, in order; raise GiveUp if the network fails."""


class IdentifiedNetwork(Network, Protocol):
    """A network that says which model it is."""

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model in readings and reports."""


@runtime_checkable
class NetworkElsewhere(Protocol):
    """A network that another host runs: it limits its own time, and threads may call it side by side."""

    @property
    def runs_elsewhere(self) -> bool:
        """True."""


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
        """Return the current network, for one batch; raise Held if there is none for now."""
        return self.run(self._current())

    def run(self, network: Network) -> Network:
        """Return a network whose forward passes run in the thread, unless another host runs them."""
        if isinstance(network, NetworkElsewhere):
            return network
        return _OnThread(network, self._thread, self._watchdog)


@dataclass(frozen=True, slots=True)
class _OnThread:
    network: Network
    thread: ThreadPoolExecutor
    watchdog: Watchdog

    @property
    def adapter(self) -> ModelAdapter:
        return self.network.adapter

    def forward(self, batch: Sequence[Prepared]) -> Sequence[FilmOutputs]:
        return self.thread.submit(self._watched, batch).result()

    def _watched(self, batch: Sequence[Prepared]) -> Sequence[FilmOutputs]:
        with self.watchdog():
            return self.network.forward(batch)
