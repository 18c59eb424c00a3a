"""Imports the anatomy network of TorchXRayVision (PSPNet, ChestX-Det) as a bundle without findings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.infer import center_crop, import_bundle, weights, xrv
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.chexnet import DEVIATION, MEAN
from cxr_node.infer.export import export_network
from cxr_node.infer.import_bundle import NETWORK, load_state, table
from cxr_node.infer.networks.pspnet import PspNet
from cxr_node.infer.prepare import Frame

NAME = "pspnet-chestx-det"
FILE = "pspnet_chestxray_best_model_4.pth"
URL = xrv.RELEASE + FILE
SIZE = 512

TARGETS: Mapping[str, Anatomy | None] = {
    "Left Clavicle": Anatomy.LEFT_CLAVICLE,
    "Right Clavicle": Anatomy.RIGHT_CLAVICLE,
    "Left Scapula": Anatomy.LEFT_SCAPULA,
    "Right Scapula": Anatomy.RIGHT_SCAPULA,
    "Left Lung": Anatomy.LEFT_LUNG,
    "Right Lung": Anatomy.RIGHT_LUNG,
    "Left Hilus Pulmonis": None,
    "Right Hilus Pulmonis": None,
    "Heart": Anatomy.HEART,
    "Aorta": Anatomy.AORTA,
    "Facies Diaphragmatica": None,
    "Mediastinum": None,
    "Weasand": Anatomy.TRACHEA,
    "Spine": Anatomy.SPINE,
}
"""Outputs of the published network in order, and the structures of this node; None for those that it does not have."""

LICENCE = (
    "TorchXRayVision is published under Apache-2.0. The films and masks of ChestX-Det have terms of their own: read "
    "those of the data set."
)
INTENDED_USE = (
    "Research use only. Not a medical device; not for diagnosis or triage of patients. Frontal chest radiographs. "
    "Outlines anatomy; looks for no finding."
)
TRAINING = (
    "ChestX-Det (J. Lian et al., A Structure-Aware Relation Network for Thoracic Diseases Detection and Segmentation, "
    "IEEE TMI 2021), 14 structures; PSPNet."
)
TEST = "Not judged here, and no figures come with the weight file; look at outlines on your own films first."
LIMITS = (
    "Looks for no finding. Which side the names left and right mean was not checked on the published file: compare a "
    "film whose side you know before you use lateral measurements. Hila, mediastinum and diaphragm of the network have "
    "no counterpart here, so what needs the diaphragm's outline is not measured. What lies outside the square in the "
    "middle of the film is not seen. Limits of measurements were set by the outlines of another network. No view, no "
    "distance: the gate has the header and the picture alone."
)
_TRAINING_ONLY = ("convbnrelu4_aux.", "aux_cls.")
_WRAPPER = "module."


class AnatomyOutlines(nn.Module):
    """The network with its normalisation before it, and the outputs that are structures of this node."""

    def __init__(self, network: PspNet, outputs: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        head = network.classification
        chosen = list(outputs)
        self.network.classification = nn.Conv2d(head.in_channels, len(chosen), 1)
        with torch.no_grad():
            self.network.classification.weight.copy_(head.weight[chosen])
            if self.network.classification.bias is not None and head.bias is not None:
                self.network.classification.bias.copy_(head.bias[chosen])
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 512, 512), -1024 to 1024 -> structure_logits (B, structures, 512, 512)."""
        colors = ((film + 1024) / 2048 - self.get_buffer("mean")) / self.get_buffer("deviation")  # (B, 3, 512, 512)
        return {"structure_logits": self.network(colors)}


def load(tensors: Mapping[str, Tensor], *, network: PspNet | None = None) -> PspNet:
    """Return the network with the tensors of a weight file; those of the branch for training are left out.

    Raises
    ------
    BundleError
        If they are another network's.
    """
    network = network or PspNet(len(TARGETS))
    plain = {name.removeprefix(_WRAPPER): tensor for name, tensor in tensors.items()}
    state = {name: tensor for name, tensor in plain.items() if not name.startswith(_TRAINING_ONLY)}
    load_state(network, state, f"{NAME} (PSPNet)")
    return network


def write(file: Path, folder: Path, *, digest: Digest) -> None:
    """Write a bundle from the weight file to `folder`, which must not exist, and open it as the node does.

    Raises
    ------
    BundleError
        If the file does not contain the network's weights, or the folder exists.
    """
    if folder.exists():
        raise BundleError(f"{folder} exists already; name a folder that does not")
    try:
        network = load(weights.read(file))
    except weights.UnsafeWeights as error:
        raise BundleError(f"{file} was refused: {error}; expected the file that {URL} names") from error
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}; fetch it from {URL}") from error
    outputs = [number for number, part in enumerate(TARGETS.values()) if part is not None]
    merged = AnatomyOutlines(network, outputs).eval()
    content = export_network(merged, Frame(rows=SIZE, columns=SIZE, recipe=center_crop.RECIPE))
    import_bundle.write(folder, content, card(network=digest_of(content), file=digest))


def card(*, network: str, file: str) -> str:
    """Return the text of the card."""
    tables = [
        table(
            "",
            schema_version=1,
            name=NAME,
            version=xrv.VERSION,
            manufacturer="ChestX-Det's authors and TorchXRayVision",
            licence=LICENCE,
            intended_use=INTENDED_USE,
        ),
        table("[network]", file=NETWORK, sha256=network, outputs=["structure_logits"]),
        table(
            "[input]",
            rows=SIZE,
            columns=SIZE,
            window=[0.0, 0.0, 1.0, 1.0],
            value_range=list(center_crop.VALUE_RANGE),
            preparation=center_crop.RECIPE,
            description=center_crop.DESCRIPTION,
        ),
        table("[operating_points]", name="none: no findings", network_sha256=network),
        table("[evidence]", training=TRAINING, test=TEST, limits=LIMITS),
        table("[source]", url=URL, file_sha256=file),
        *(table("[[structures]]", key=part.value) for part in TARGETS.values() if part is not None),
    ]
    return "\n".join(tables)
