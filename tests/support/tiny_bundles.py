"""Bundles of tiny networks with random weights, in the format of the real ones."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Radiograph
from cxr_node.infer.export import export_network
from cxr_node.infer.prepare import Frame
from tests.support import shared_files

SIDE = 32
FRAME = Frame(rows=SIDE, columns=SIDE)

CARD = """
schema_version = 1
name = "tiny"
version = "1.2.3"
manufacturer = "The tests"
licence = "Apache-2.0"
intended_use = "Research use only."

[network]
file = "network.pt2"
sha256 = "<digest>"
outputs = ["finding_logits", "finding_maps"]

[input]
rows = 32
columns = 32
window = [0.0, 0.0, 1.0, 1.0]
value_range = [0.0, 1.0]
preparation = "squash-area"
description = "The whole film, squashed."

[[labels]]
key = "lung_opacity"
code = { value = "112001", scheme_designator = "DCM", meaning = "Opacity" }
site = { value = "39607008", scheme_designator = "SCT", meaning = "Lung" }

[operating_points]
name = "tests 1"
network_sha256 = "<digest>"

[[operating_points.points]]
label = "lung_opacity"
score = 0.5
undetermined_from = 0.4
undetermined_to = 0.6

[evidence]
training = "Nothing."
test = "Nothing."
limits = "Knows nothing."
"""


class Tiny(nn.Module):
    """One convolution; the mean of its map is the logit."""

    def __init__(self, *, labels: int = 1, logits: str = "finding_logits") -> None:
        super().__init__()
        torch.manual_seed(1)
        self.convolution = nn.Conv2d(1, labels, 4, 4)
        self.logits = logits

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 32, 32) -> logits (B, labels), maps (B, labels, 8, 8)."""
        maps = self.convolution(film)
        return {self.logits: maps.mean((2, 3)), "finding_maps": maps}


@functools.cache
def network(*, labels: int = 1, logits: str = "finding_logits") -> bytes:
    """Return the archive of a tiny network."""
    return _exported(Tiny, labels=labels, logits=logits)


def _exported(architecture: type[nn.Module], **parameters: object) -> bytes:
    """Return the archive of a network, which is exported once for all processes of a test run."""
    name = f"{architecture.__name__} {sorted(parameters.items())}"
    return shared_files.made_once(name, lambda: export_network(architecture(**parameters).eval(), FRAME))


def card(content: bytes, *, changes: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the card of a network after `changes`, pairs of pattern and replacement; each pattern must match."""
    return changed(CARD.replace("<digest>", digest_of(content)), changes)


def changed(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    """Return `text` with each pattern replaced; each must match."""
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        assert count, f"{pattern} is not in the card"
    return text


def bundle(folder: Path, *, content: bytes | None = None, changes: tuple[tuple[str, str], ...] = ()) -> Path:
    """Write a bundle to `folder`; return `folder`."""
    content = network() if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.pt2").write_bytes(content)
    (folder / "card.toml").write_text(card(content, changes=changes), encoding="utf-8")
    return folder


STRUCTURES = (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG, Anatomy.HEART)
EVERY_OUTPUT = ("finding_logits", "finding_maps", "structure_logits", "view_logits", "distance")

WHOLE = """
[[structures]]
key = "right_lung"

[[structures]]
key = "left_lung"

[[structures]]
key = "heart"

[appearance]
views = ["PA", "AP", "LATERAL", "OTHER"]
distance_limit = 4.0
network_sha256 = "<digest>"

[calibration]
method = "isotonic"
ece = 0.03
ece_low = 0.02
ece_high = 0.05
films = 200
prevalence = 0.4
network_sha256 = "<digest>"
"""


class Whole(nn.Module):
    """A network with every output: a convolution for maps, one for structures, row means for the rest."""

    def __init__(self, *, structures: int = len(STRUCTURES), views: int = 4, distances: int = 1) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.finding = nn.Conv2d(1, 1, 4, 4)
        self.structures = nn.Conv2d(1, structures, 5, padding=2)
        self.views = nn.Linear(SIDE, views)
        self.distance = nn.Linear(SIDE, distances)

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 32, 32) -> logits (B, 1), maps (B, 1, 8, 8), structures (B, 3, 32, 32), views (B, 4), (B, 1)."""
        maps = self.finding(film)
        rows = film.mean(3).flatten(1)
        return {
            "finding_logits": maps.mean((2, 3)),
            "finding_maps": maps,
            "structure_logits": self.structures(film),
            "view_logits": self.views(rows),
            "distance": self.distance(rows).relu(),
        }


@functools.cache
def whole_network(*, structures: int = len(STRUCTURES), views: int = 4, distances: int = 1) -> bytes:
    """Return the archive of a network with every output."""
    return _exported(Whole, structures=structures, views=views, distances=distances)


def whole_card(content: bytes, *, changes: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the card of a network with every output."""
    outputs = (r"outputs = .*", f"outputs = {json.dumps(EVERY_OUTPUT)}")
    calibrated = (r"(site = .*)", r"\1\ncalibrated = true")
    text = card(content, changes=(outputs, calibrated)) + WHOLE.replace("<digest>", digest_of(content))
    return changed(text, changes)


def whole_bundle(folder: Path, *, content: bytes | None = None, changes: tuple[tuple[str, str], ...] = ()) -> Path:
    """Write a bundle with every output to `folder`; return `folder`."""
    content = whole_network() if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.pt2").write_bytes(content)
    (folder / "card.toml").write_text(whole_card(content, changes=changes), encoding="utf-8")
    return folder


POINTS = """
[[points]]
key = "carina"
code = { value = "28700002", scheme_designator = "SCT", meaning = "Carina" }
least_confidence = 0.0

[[points]]
key = "tube_tip"
code = { value = "TIP", scheme_designator = "99TEST", meaning = "Tip of tube" }
laterality = "right"
least_confidence = 1.0

[embedding]
numbers = 6
"""


class Pointing(nn.Module):
    """A network of two points and a vector: the carina at a fixed place, by default column 8 and row 24."""

    def __init__(self, *, points: int = 2, numbers: int = 6, column: float = 8.0, confidence: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.vector = nn.Linear(SIDE, numbers)
        self.place = nn.Parameter(torch.tensor([column, 24.0, 0.0]).repeat(1, points, 1))
        self.confidence = confidence

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 32, 32) -> points (B, 2, 3), embedding (B, 6)."""
        vector = self.vector(film.mean(3).flatten(1))
        confidence = vector[:, :1].sigmoid() * self.confidence
        zeros = confidence * 0.0
        moved = torch.cat([zeros, zeros, confidence], 1).unsqueeze(1)
        return {"points": moved + self.place, "embedding": vector}


@functools.cache
def pointing_network(*, points: int = 2, numbers: int = 6, column: float = 8.0, confidence: float = 1.0) -> bytes:
    """Return the archive of a network of points and an embedding."""
    return _exported(Pointing, points=points, numbers=numbers, column=column, confidence=confidence)


def pointing_bundle(folder: Path, *, content: bytes | None = None, changes: tuple[tuple[str, str], ...] = ()) -> Path:
    """Write a bundle of points and an embedding, without findings, to `folder`; return `folder`."""
    content = pointing_network() if content is None else content
    without = (
        (r"outputs = .*", 'outputs = ["points", "embedding"]'),
        (r"(?s)\[\[labels\]\].*?\[operating_points\]", "[operating_points]"),
        (r"(?s)\[\[operating_points.points\]\].*?\[evidence\]", "[evidence]"),
        (r'name = "tiny"', 'name = "pointing"'),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.pt2").write_bytes(content)
    text = changed(card(content, changes=without) + POINTS, changes)
    (folder / "card.toml").write_text(text, encoding="utf-8")
    return folder


def film(seed: int = 0, *, rows: int = 60, columns: int = 50, orientation: tuple[str, str] | None = None) -> Radiograph:
    """Return a film of noise."""
    generator = np.random.default_rng(seed)
    return Radiograph(
        p_values=generator.integers(0, 65536, (rows, columns), dtype=np.uint16),
        geometry=Geometry(rows=rows, columns=columns, patient_orientation=orientation),
        grayscale="noise",
    )
