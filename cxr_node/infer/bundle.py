"""Bundles: folders with a card and an exported network, opened only if network and card agree."""

import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.reading import ModelIdentity, Region
from cxr_node.infer import archive, card, points
from cxr_node.infer.bundle_registry import CARD
from cxr_node.infer.card import Card
from cxr_node.infer.interpreter import BadGraph, Network
from cxr_node.infer.model_adapter import identity_of
from cxr_node.infer.output_shapes import ExpectedShape, described, expected_shapes, fits

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
    network: Network
    path: Path
    """File of the network, whose digest the card names."""

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model in reports and readings."""
        return identity_of(self.card)

    def program(self, device: torch.device) -> Program:
        """Return the network, ready to run on `device`."""
        return self.network if device.type == "cpu" else self.network.to(device)

    def exported(self) -> "torch.export.ExportedProgram":
        """Return the network as torch.export opens it, for engines that convert it; takes seconds.

        Raises
        ------
        BundleError
            If the file has changed since it was opened.
        """
        content = _read_network(self.path, self.card)
        return torch.export.load(io.BytesIO(archive.rewrite_checked(content)))


def load(folder: Path) -> Bundle:
    """Open the bundle in `folder`.

    The network is interpreted only after its digest matches the card and every part of the archive is on the allowlist.

    Raises
    ------
    BundleError
        If a file is missing, the card is invalid, the network's digest differs, or its outputs differ from the card.
    """
    parsed = read_card(folder)
    if not parsed.network.file:
        raise BundleError(
            f"bundle {folder}: the card names no network file, its network runs on an inference server; "
            'set read.kind = "remote" and [remote]'
        )
    path = folder / parsed.network.file
    content = _read_network(path, parsed)
    bundle = Bundle(card=parsed, network=_open(content, path), path=path)
    _run_trial(bundle, folder)
    _log.info("bundle %s %s opened, network %s", parsed.name, parsed.version, parsed.network.digest)
    return bundle


def check(folder: Path) -> Card:
    """Check the bundle in `folder` as `load` does; of one whose network runs on a server, the card.

    Raises
    ------
    BundleError
        If it cannot be used.
    """
    parsed = read_card(folder)
    return load(folder).card if parsed.network.file else parsed


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


def _read_network(path: Path, parsed: Card) -> bytes:
    """Return the file of a network, held against the digest on the card."""
    content = read_file(path)
    digest = digest_of(content)
    if digest != parsed.network.digest:
        raise BundleError(
            f"bundle {path.parent}: {path.name} has SHA-256 {digest}, the card was written for "
            f"{parsed.network.digest}; install the bundle again, or restore the file that belongs to the card"
        )
    return content


def _open(content: bytes, path: Path) -> Network:
    """Open the archive of a network."""
    try:
        return archive.open_network(content)
    except (archive.UnsafeArchive, BadGraph) as error:
        raise BundleError(
            f"bundle {path.parent}: {path.name} was not opened: {error}; export it again as docs/models/README.md says"
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
    for name, expected in expected_shapes(bundle.card, _TRIAL_FILMS).items():
        if name in outputs:
            _check_output(name, outputs[name], expected, folder)
    _check_points(bundle.card, outputs, folder)


def _check_output(name: str, output: torch.Tensor, expected: ExpectedShape, folder: Path) -> None:
    shape = tuple(output.shape)
    if not fits(shape, expected) or not output.is_floating_point():
        raise BundleError(
            f"bundle {folder}: {name} has shape {shape} of {output.dtype}, "
            f"the card needs floats of ({described(expected)})"
        )


def _check_points(card: Card, outputs: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Decode points and embedding of the trial films: numbers that are not finite or no confidences are refused now."""
    frame = card.input.frame
    edge = Region(outline=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
    try:
        for number in range(_TRIAL_FILMS):
            if card.points:
                output = outputs["points"][number].numpy()
                points.named_points(card.points, output, rows=frame.rows, columns=frame.columns, area=edge)
            if card.embedding is not None:
                points.embedding(outputs["embedding"][number].numpy())
    except ValueError as error:
        raise BundleError(f"bundle {folder}: on a black film {error}; correct the network's output") from error
