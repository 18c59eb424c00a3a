"""A bundle: a folder with a card and an exported network, opened only if both are what they say."""

import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.reading import ModelIdentity
from cxr_node.infer import archive, card
from cxr_node.infer.card import Card

CARD = "card.toml"

Program = Callable[[torch.Tensor], Mapping[str, torch.Tensor]]
"""From prepared films, shape (B, 1, rows, columns), to named outputs."""

_log = logging.getLogger(__name__)


class BundleError(Exception):
    """The bundle cannot be used. The sentence says what is wrong and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A network with its card, checked against each other."""

    card: Card
    exported: torch.export.ExportedProgram

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is, as it stands in reports and job rows."""
        taken = self.card.input
        return ModelIdentity(
            name=self.card.name,
            version=self.card.version,
            manufacturer=self.card.manufacturer,
            weights_digest=self.card.network.digest,
            preparation=f"{taken.preparation} {taken.rows}x{taken.columns} of {taken.window}",
            operating_points=self.card.operating_points.name,
        )

    def program(self, device: torch.device) -> Program:
        """Return the network, ready to run on `device`."""
        if device.type == "cpu":
            return self.exported.module()
        from torch.export.passes import move_to_device_pass

        return move_to_device_pass(self.exported, str(device)).module()


def load(folder: Path) -> Bundle:
    """Open the bundle in `folder`.

    Nothing of the network is interpreted before its digest matches the card's and every part of the archive is on
    the list of what is allowed.

    Raises
    ------
    BundleError
        If a file is missing, the card is not one, the network is another than the card's, or it does not do what the
        card says.
    """
    read = _read_card(folder)
    content = _read(folder / read.network.file)
    digest = digest_of(content)
    if digest != read.network.digest:
        raise BundleError(
            f"bundle {folder}: {read.network.file} has SHA-256 {digest}, the card was written for "
            f"{read.network.digest}; install the bundle again, or restore the file that belongs to the card"
        )
    try:
        safe = archive.checked(content)
    except archive.UnsafeArchive as error:
        raise BundleError(
            f"bundle {folder}: {read.network.file} was not opened: {error}; "
            "export it again as docs/models/README.md says"
        ) from error
    bundle = Bundle(card=read, exported=_open(safe, folder))
    _try(bundle, folder)
    _log.info("bundle %s %s opened, network %s", read.name, read.version, digest)
    return bundle


def _read_card(folder: Path) -> Card:
    try:
        return card.parse(_read(folder / CARD))
    except card.CardError as error:
        raise BundleError(f"bundle {folder}: {CARD} must be mended:\n{error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {path.parent}: cannot read {path.name} ({error.strerror}); "
            f"a bundle is a folder with {CARD} and the network"
        ) from error


def _open(safe: bytes, folder: Path) -> torch.export.ExportedProgram:
    """Open an archive that has been checked."""
    try:
        return torch.export.load(io.BytesIO(safe))
    except Exception as error:  # torch raises whatever its many parts raise; the node only needs to know it will not do
        raise BundleError(
            f"bundle {folder}: this version of torch ({torch.__version__}) cannot open the network ({error}); "
            "export it again with this version"
        ) from error


def _try(bundle: Bundle, folder: Path) -> None:
    """Run the network once on two black films: it must take them and give what the card says."""
    rows, columns, labels = bundle.card.input.rows, bundle.card.input.columns, len(bundle.card.labels)
    try:
        with torch.inference_mode():
            outputs = bundle.program(torch.device("cpu"))(torch.zeros(2, 1, rows, columns))
    except Exception as error:
        raise BundleError(
            f"bundle {folder}: the network does not take films of {rows} x {columns} ({error})"
        ) from error
    found = {name: tuple(tensor.shape) for name, tensor in outputs.items()}
    if found.keys() != set(bundle.card.network.outputs):
        raise BundleError(
            f"bundle {folder}: the network gives {sorted(found)}, the card says {bundle.card.network.outputs}"
        )
    if found["finding_logits"] != (2, labels):
        raise BundleError(
            f"bundle {folder}: finding_logits has shape {found['finding_logits']}, the card's labels need (2, {labels})"
        )
    maps = found.get("finding_maps", (2, labels, 1, 1))
    if len(maps) != 4 or maps[:2] != (2, labels):
        raise BundleError(
            f"bundle {folder}: finding_maps has shape {maps}, the card's labels need (2, {labels}, rows, columns)"
        )
