"""Imports a weight file of TorchXRayVision as a bundle."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.infer import center_crop, import_bundle, weights, xrv
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.export import export_network
from cxr_node.infer.import_bundle import NETWORK, Coded, label_tables, load_state, table
from cxr_node.infer.networks.densenet import DenseNet
from cxr_node.infer.networks.resnet import ResNet
from cxr_node.infer.prepare import Frame
from cxr_node.infer.published import Classifier, Recentered
from cxr_node.infer.xrv import Architecture, Published

LICENCE = (
    "TorchXRayVision is published under Apache-2.0, and its authors' pages at Hugging Face name that licence for the "
    "weights. The films they were trained on have terms of their own: read those of the data sets named under training."
)
INTENDED_USE = (
    "Research use only. Not a medical device; not for diagnosis or triage of patients. Frontal chest radiographs."
)
TEST = "Not judged here, and no figures come with the weight file; judge it on your own films before you believe it."
LIMITS = (
    "A score is the network's own, moved so that its authors' operating point is at 0.5: it is no probability and not "
    "calibrated. The operating points were chosen on the authors' films, not on yours. Most labels were mined from "
    "reports. The network was trained on films as data sets publish them, many with 8 bits; it is given the film as "
    "displayed. What lies outside the square in the middle of the film is not seen. Outlines come from a map of few, "
    "large cells: they show where the evidence lies, not the border of a lesion. Not tested on children, lateral films."
)
_IGNORED = frozenset({"op_threshs"})
"""Stored with some weights; the card states the operating points."""


def labels_without_code(model: Published, codes: Coded) -> tuple[str, ...]:
    """Return the labels of trained outputs without a code, which no report could name."""
    return tuple(label for label in model.trained if label not in codes)


def write(model: Published, file: Path, folder: Path, *, codes: Coded, digest: Digest) -> None:
    """Write a bundle from a published weight file to `folder`, which must not exist, and open it as the node does.

    Parameters
    ----------
    digest
        SHA-256 of the file, for the card.

    Raises
    ------
    BundleError
        If the file does not contain the model's weights, or the folder exists.
    """
    if folder.exists():
        raise BundleError(f"{folder} exists already; name a folder that does not")
    network = _network(model, _tensors(model, file))
    labels = {label: place for label, place in model.trained.items() if label in codes}
    merged = Recentered(
        network,
        outputs=[number for number, _ in labels.values()],
        thresholds=[threshold for _, threshold in labels.values()],
    )
    content = export_network(merged.eval(), Frame(rows=model.size, columns=model.size, recipe=center_crop.RECIPE))
    import_bundle.write(folder, content, _card(model, labels, codes, network=digest_of(content), file=digest))


def _tensors(model: Published, file: Path) -> dict[str, torch.Tensor]:
    try:
        return weights.read(file)
    except weights.UnsafeWeights as error:
        raise BundleError(f"{file} was refused: {error}; expected the file that {model.url} names") from error
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}; fetch it from {model.url}") from error


def _network(model: Published, tensors: Mapping[str, torch.Tensor]) -> Classifier:
    """Return the network with the tensors loaded, all of them used."""
    network: DenseNet | ResNet
    match model.architecture:
        case Architecture.DENSENET121:
            network = DenseNet(xrv.OUTPUTS)
        case Architecture.RESNET50:
            network = ResNet(xrv.OUTPUTS)
    state = {name: tensor for name, tensor in tensors.items() if name not in _IGNORED}
    load_state(network, state, f"{model.name} ({model.architecture})")
    return network


def _card(model: Published, labels: Iterable[str], codes: Coded, *, network: str, file: str) -> str:
    """Return the text of the card."""
    tables = [
        table(
            "",
            schema_version=1,
            name=model.name,
            version=xrv.VERSION,
            manufacturer="TorchXRayVision (J. P. Cohen and others)",
            licence=LICENCE,
            intended_use=INTENDED_USE,
        ),
        table("[network]", file=NETWORK, sha256=network, outputs=["finding_logits", "finding_maps"]),
        table(
            "[input]",
            rows=model.size,
            columns=model.size,
            window=[0.0, 0.0, 1.0, 1.0],
            value_range=list(center_crop.VALUE_RANGE),
            preparation=center_crop.RECIPE,
            description=center_crop.DESCRIPTION,
        ),
        table("[operating_points]", name="TorchXRayVision 1.5.7 op_threshs, at 0.5", network_sha256=network),
        table(
            "[evidence]",
            training=f"{model.training}; {model.architecture}, by the authors of TorchXRayVision (arXiv 2111.00595).",
            test=TEST,
            limits=LIMITS,
        ),
        table("[source]", url=model.url, file_sha256=file),
    ]
    for label in labels:
        tables += label_tables(label, codes, score=0.5, undetermined_from=0.5, undetermined_to=0.5)
    return "\n".join(tables)
