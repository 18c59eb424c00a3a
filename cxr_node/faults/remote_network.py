"""Networks of the remote fault group: that of the simulated server, and the fallback, whose scores are all lower.

The scores follow from the film and have no meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import ModelIdentity
from cxr_node.infer import card as cards
from cxr_node.infer.card import Card
from cxr_node.infer.model_adapter import ModelAdapter, identity_of
from cxr_node.reading.network import Outputs
from cxr_node.simulators.inference_server import Compute, Tensor

MODEL, VERSION = "faults", "3"
_NO_WEIGHTS = "0" * 64
_CARD = f"""
schema_version = 1
name = "faults"
version = "1.0.0"
manufacturer = "cxr-node"
licence = "Apache-2.0"
intended_use = "The fault suite."

[network]
sha256 = "{_NO_WEIGHTS}"
outputs = ["finding_logits"]

[network.remote]
model = "{MODEL}"
version = "{VERSION}"

[input]
rows = 32
columns = 32
window = [0.0, 0.0, 1.0, 1.0]
value_range = [0.0, 1.0]
preparation = "squash-area"
description = "The whole film."

[[labels]]
key = "lung_opacity"
code = {{ value = "112001", scheme_designator = "DCM", meaning = "Opacity" }}

[operating_points]
name = "none"
network_sha256 = "{_NO_WEIGHTS}"

[[operating_points.points]]
label = "lung_opacity"
score = 0.5
undetermined_from = 0.5
undetermined_to = 0.5

[evidence]
training = "None."
test = "None."
limits = "The score has no meaning."
"""


def card() -> Card:
    """Return the card of both networks."""
    return cards.parse(_CARD.encode())


def compute_remote(film: Tensor) -> dict[str, Tensor]:
    """Return the outputs of the server for a film, shape (1, 1, rows, columns): logits (1, 1), 0 to 4."""
    return {"finding_logits": film[:, 0, :1, 0] * 64 % 4}


def compute_fallback(film: Tensor) -> dict[str, Tensor]:
    """Return the outputs of the fallback: logits (1, 1), -8 to -4."""
    return {"finding_logits": compute_remote(film)["finding_logits"] - 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedNetwork:
    """A network on this host."""

    identity: ModelIdentity
    compute: Compute

    @property
    def adapter(self) -> ModelAdapter:
        """Preprocessing and decoding."""
        return ModelAdapter(card=card(), identity=self.identity)

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return the outputs for each film."""
        films = [film.reshape(1, 1, *film.shape[-2:]) for film in batch]
        return [{name: output[0] for name, output in self.compute(film).items()} for film in films]


def fallback() -> ComputedNetwork:
    """Return the fallback."""
    identity = replace(identity_of(card()), preparation="in place of the server")
    return ComputedNetwork(identity=identity, compute=compute_fallback)
