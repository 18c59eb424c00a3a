"""Bundles: folders with a card and an exported network, opened only if network and card agree."""

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
_TRIAL_FILMS = 2
"""Films in the trial batch: two, which a program exported for a batch of one refuses."""

Program = Callable[[torch.Tensor], Mapping[str, torch.Tensor]]
"""From prepared films, shape (B, channels, rows, columns), to named outputs."""

_log = logging.getLogger(__name__)


class BundleError(Exception):
    """The bundle cannot be used. The message states the fault and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A network with its card, checked against each other."""

    card: Card
    exported: torch.export.ExportedProgram

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model in reports and readings."""
        return ModelIdentity(
            name=self.card.name,
            version=self.card.version,
            manufacturer=self.card.manufacturer,
            weights_digest=self.card.network.digest,
            preparation=self.card.input.identity,
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

    The network is interpreted only after its digest matches the card and every part of the archive is on the allowlist.

    Raises
    ------
    BundleError
        If a file is missing, the card is invalid, the network's digest differs, or its outputs differ from the card.
    """
    parsed = read_card(folder)
    content = read_file(folder / parsed.network.file)
    digest = digest_of(content)
    if digest != parsed.network.digest:
        raise BundleError(
            f"bundle {folder}: {parsed.network.file} has SHA-256 {digest}, the card was written for "
            f"{parsed.network.digest}; install the bundle again, or restore the file that belongs to the card"
        )
    try:
        safe = archive.rewrite_checked(content)
    except archive.UnsafeArchive as error:
        raise BundleError(
            f"bundle {folder}: {parsed.network.file} was not opened: {error}; "
            "export it again as docs/models/README.md says"
        ) from error
    bundle = Bundle(card=parsed, exported=_open(safe, folder))
    _run_trial(bundle, folder)
    _log.info("bundle %s %s opened, network %s", parsed.name, parsed.version, digest)
    return bundle


def read_card(folder: Path) -> Card:
    """Return the card of the bundle in `folder`, without its network.

    Raises
    ------
    BundleError
        If it is missing or invalid.
    """
    try:
        return card.parse(read_file(folder / CARD))
    except card.CardError as error:
        raise BundleError(f"bundle {folder}: {CARD} is invalid; correct it:\n{error}") from error


def read_file(path: Path) -> bytes:
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
    except Exception as error:  # torch raises many types; each means that the file cannot be used
        raise BundleError(
            f"bundle {folder}: this version of torch ({torch.__version__}) cannot open the network ({error}); "
            "export it again with this version"
        ) from error


def _run_trial(bundle: Bundle, folder: Path) -> None:
    """Run the network once on two black films and compare its outputs with the card."""
    channels, rows, columns = bundle.card.input.shape
    try:
        with torch.inference_mode():
            outputs = bundle.program(torch.device("cpu"))(torch.zeros(_TRIAL_FILMS, channels, rows, columns))
    except Exception as error:
        raise BundleError(
            f"bundle {folder}: the network does not take films of {rows} x {columns} in {channels} channel(s) ({error})"
        ) from error
    if outputs.keys() != set(bundle.card.network.outputs):
        raise BundleError(
            f"bundle {folder}: the network gives {sorted(outputs)}, the card says {bundle.card.network.outputs}"
        )
    for name, expected in _expected_shapes(bundle.card).items():
        if name in outputs:
            _check_output(name, outputs[name], expected, folder)


def _expected_shapes(card: Card) -> dict[str, tuple[int | str, ...]]:
    """Return the shape of each output; a word stands for any size of at least one."""
    labels, structures = len(card.labels), len(card.structures)
    return {
        "finding_logits": (_TRIAL_FILMS, labels),
        "finding_maps": (_TRIAL_FILMS, labels, "rows", "columns"),
        "structure_logits": (_TRIAL_FILMS, structures, "rows", "columns"),
        "view_logits": (_TRIAL_FILMS, VIEWS),
        "distance": (_TRIAL_FILMS, 1),
    }


def _check_output(name: str, output: torch.Tensor, expected: tuple[int | str, ...], folder: Path) -> None:
    shape = tuple(output.shape)
    fits = len(shape) == len(expected) and all(
        size == limit or (isinstance(limit, str) and size > 0) for size, limit in zip(shape, expected, strict=True)
    )
    if not fits or not output.is_floating_point():
        wanted = ", ".join(map(str, expected))
        raise BundleError(
            f"bundle {folder}: {name} has shape {shape} of {output.dtype}, the card needs floats of ({wanted})"
        )
