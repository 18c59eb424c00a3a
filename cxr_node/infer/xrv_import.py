"""Imports a weight file of TorchXRayVision as a bundle."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.infer import bundle, center_crop, weights, xrv
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.export import export_network
from cxr_node.infer.networks.densenet import DenseNet
from cxr_node.infer.networks.resnet import ResNet
from cxr_node.infer.prepare import Frame
from cxr_node.infer.published import Classifier, Recentered
from cxr_node.infer.xrv import Architecture, Published

NETWORK = "network.pt2"
Coded = Mapping[str, tuple[Code, Code | None]]
"""A label's code and site; a label without is left out."""

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
    staged = folder.with_name(f".{folder.name}.{os.getpid()}")
    staged.mkdir(parents=True)
    try:
        (staged / NETWORK).write_bytes(content)
        card = _card(model, labels, codes, network=digest_of(content), file=digest)
        (staged / bundle.CARD).write_text(card, encoding="utf-8")
        bundle.load(staged)
        staged.rename(folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


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
    _load_state(network, tensors, model)
    return network


def _load_state(network: nn.Module, tensors: Mapping[str, torch.Tensor], model: Published) -> None:
    expected = network.state_dict()
    # Files of early PyTorch have no batch counts, which inference does not use.
    counts = {name: tensor for name, tensor in expected.items() if name.endswith("num_batches_tracked")}
    state = {**counts, **{name: tensor for name, tensor in tensors.items() if name not in _IGNORED}}
    faults = [f"{name} is missing" for name in expected if name not in state]
    faults += [f"{name} does not belong there" for name in state if name not in expected]
    faults += [
        f"{name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    faults += [f"{name} is not finite" for name in state if not state[name].isfinite().all()]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise BundleError(f"the file is not one of {model.name} ({model.architecture}): {', '.join(faults[:3])}{more}")
    network.load_state_dict(state)


def _card(model: Published, labels: Iterable[str], codes: Coded, *, network: str, file: str) -> str:
    """Return the text of the card."""
    tables = [
        _table(
            "",
            schema_version=1,
            name=model.name,
            version=xrv.VERSION,
            manufacturer="TorchXRayVision (J. P. Cohen and others)",
            licence=LICENCE,
            intended_use=INTENDED_USE,
        ),
        _table("[network]", file=NETWORK, sha256=network, outputs=["finding_logits", "finding_maps"]),
        _table(
            "[input]",
            rows=model.size,
            columns=model.size,
            window=[0.0, 0.0, 1.0, 1.0],
            value_range=list(center_crop.VALUE_RANGE),
            preparation=center_crop.RECIPE,
            description=center_crop.DESCRIPTION,
        ),
        _table("[operating_points]", name="TorchXRayVision 1.5.7 op_threshs, at 0.5", network_sha256=network),
        _table(
            "[evidence]",
            training=f"{model.training}; {model.architecture}, by the authors of TorchXRayVision (arXiv 2111.00595).",
            test=TEST,
            limits=LIMITS,
        ),
        _table("[source]", url=model.url, file_sha256=file),
    ]
    for label in labels:
        key = label.lower().replace(" ", "_")
        code, site = codes[label]
        coded = {"code": code} if site is None else {"code": code, "site": site}
        tables.append(_table("[[labels]]", key=key, **coded))
        tables.append(
            _table("[[operating_points.points]]", label=key, score=0.5, undetermined_from=0.5, undetermined_to=0.5)
        )
    return "\n".join(tables)


def _table(head: str, **values: object) -> str:
    """Return a TOML table; its strings, numbers and lists are written as in JSON."""
    lines = [head] if head else []
    return "\n".join([*lines, *(f"{key} = {_value(value)}" for key, value in values.items())]) + "\n"


def _value(value: object) -> str:
    if isinstance(value, Code):
        parts = {"value": value.value, "scheme_designator": value.scheme_designator, "meaning": value.meaning}
        return "{ " + ", ".join(f"{key} = {json.dumps(part)}" for key, part in parts.items()) + " }"
    return json.dumps(value)
