"""What imports of published networks share: loading a state, the text of a card, writing a bundle."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from cxr_node.domain.codes import Code
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.bundle import BundleError

NETWORK = "network.pt2"
Coded = Mapping[str, tuple[Code, Code | None]]
"""A label's code and site; a label without is left out."""


def load_state(network: nn.Module, tensors: Mapping[str, torch.Tensor], name: str) -> None:
    """Load tensors into a network, all of them used.

    Raises
    ------
    BundleError
        If a tensor is missing, left over, of another shape or not finite; the message names the first three faults.
    """
    expected = network.state_dict()
    # Files of early PyTorch have no batch counts, which inference does not use.
    counts = {key: tensor for key, tensor in expected.items() if key.endswith("num_batches_tracked")}
    state = {**counts, **tensors}
    faults = [f"{key} is missing" for key in expected if key not in state]
    faults += [f"{key} does not belong there" for key in state if key not in expected]
    faults += [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    faults += [f"{key} is not finite" for key in state if not state[key].isfinite().all()]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise BundleError(f"the file is not one of {name}: {', '.join(faults[:3])}{more}")
    network.load_state_dict(state)


def write(folder: Path, network: bytes, card: str) -> None:
    """Write a bundle to `folder`, which must not exist, and open it as the node does; leave nothing after an error."""
    if folder.exists():
        raise BundleError(f"{folder} exists already; name a folder that does not")
    staged = folder.with_name(f".{folder.name}.{os.getpid()}")
    staged.mkdir(parents=True)
    try:
        (staged / NETWORK).write_bytes(network)
        (staged / bundle_registry.CARD).write_text(card, encoding="utf-8")
        bundle.load(staged)
        staged.rename(folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def table(head: str, **values: object) -> str:
    """Return a TOML table; its strings, numbers and lists are written as in JSON."""
    lines = [head] if head else []
    return "\n".join([*lines, *(f"{key} = {_value(value)}" for key, value in values.items())]) + "\n"


def label_tables(label: str, codes: Coded, **point: float) -> list[str]:
    """Return the tables of a label and of its operating point."""
    key = label.lower().replace(" ", "_")
    code, site = codes[label]
    coded = {"code": code} if site is None else {"code": code, "site": site}
    return [table("[[labels]]", key=key, **coded), table("[[operating_points.points]]", label=key, **point)]


def _value(value: object) -> str:
    if isinstance(value, Code):
        parts = {"value": value.value, "scheme_designator": value.scheme_designator, "meaning": value.meaning}
        return "{ " + ", ".join(f"{key} = {json.dumps(part)}" for key, part in parts.items()) + " }"
    return json.dumps(value)
