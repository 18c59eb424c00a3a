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
from cxr_node.infer.card import VIEWS, Card

CARD = "card.toml"
_TRIED = 2
"""Films that a network is tried on: a program for one film alone does not take them."""

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
    stated = read_card(folder)
    content = read(folder / stated.network.file)
    digest = digest_of(content)
    if digest != stated.network.digest:
        raise BundleError(
            f"bundle {folder}: {stated.network.file} has SHA-256 {digest}, the card was written for "
            f"{stated.network.digest}; install the bundle again, or restore the file that belongs to the card"
        )
    try:
        safe = archive.checked(content)
    except archive.UnsafeArchive as error:
        raise BundleError(
            f"bundle {folder}: {stated.network.file} was not opened: {error}; "
            "export it again as docs/models/README.md says"
        ) from error
    bundle = Bundle(card=stated, exported=_open(safe, folder))
    _try(bundle, folder)
    _log.info("bundle %s %s opened, network %s", stated.name, stated.version, digest)
    return bundle


def read_card(folder: Path) -> Card:
    """Return the card of the bundle in `folder`, its network unread.

    Raises
    ------
    BundleError
        If there is none, or it is not a card.
    """
    try:
        return card.parse(read(folder / CARD))
    except card.CardError as error:
        raise BundleError(f"bundle {folder}: {CARD} must be mended:\n{error}") from error


def read(path: Path) -> bytes:
    """Return a file of a bundle, or raise BundleError."""
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
    rows, columns = bundle.card.input.rows, bundle.card.input.columns
    try:
        with torch.inference_mode():
            outputs = bundle.program(torch.device("cpu"))(torch.zeros(_TRIED, 1, rows, columns))
    except Exception as error:
        raise BundleError(
            f"bundle {folder}: the network does not take films of {rows} x {columns} ({error})"
        ) from error
    if outputs.keys() != set(bundle.card.network.outputs):
        raise BundleError(
            f"bundle {folder}: the network gives {sorted(outputs)}, the card says {bundle.card.network.outputs}"
        )
    for name, expected in _shapes(bundle.card).items():
        if name in outputs:
            _check_output(name, outputs[name], expected, folder)


def _shapes(card: Card) -> dict[str, tuple[int | str, ...]]:
    """Return the shape of each output, a word where any size of at least one will do."""
    labels, structures = len(card.labels), len(card.structures)
    return {
        "finding_logits": (_TRIED, labels),
        "finding_maps": (_TRIED, labels, "rows", "columns"),
        "structure_logits": (_TRIED, structures, "rows", "columns"),
        "view_logits": (_TRIED, VIEWS),
        "distance": (_TRIED, 1),
    }


def _check_output(name: str, found: torch.Tensor, expected: tuple[int | str, ...], folder: Path) -> None:
    shape = tuple(found.shape)
    fits = len(shape) == len(expected) and all(
        size == wanted or (isinstance(wanted, str) and size > 0) for size, wanted in zip(shape, expected, strict=True)
    )
    if not fits or not found.is_floating_point():
        wanted = ", ".join(map(str, expected))
        raise BundleError(
            f"bundle {folder}: {name} has shape {shape} of {found.dtype}, the card needs floats of ({wanted})"
        )
