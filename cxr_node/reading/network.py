"""Network and model adapter protocols: the seam between the main path and inference."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from cxr_node.domain.radiograph import Float32, Geometry, Radiograph
from cxr_node.domain.reading import Prediction

Outputs = Mapping[str, Float32]
"""Outputs of a network for one film, by name, without the batch dimension."""

Watchdog = Callable[[], AbstractContextManager[None]]
"""Ends this process if the block exceeds its deadline."""


class ModelAdapter(Protocol):
    """Conversion between a film and a network's tensors. Picklable: the preprocessing pool runs it."""

    @property
    def outlines_anatomy(self) -> bool:
        """Whether predictions have structures to measure."""

    def preprocess(self, film: Radiograph) -> Float32:
        """Return the network's input for a film, shape (rows, columns)."""

    def decode_outputs(self, geometry: Geometry, outputs: Outputs) -> Prediction:
        """Return the prediction for one film; raise GiveUp if the outputs are invalid."""


class Network(Protocol):
    """A network on its device, with its adapter."""

    @property
    def adapter(self) -> ModelAdapter:
        """Adapter of this network."""

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return the outputs for each film of a batch, in order; raise GiveUp if the network fails."""
