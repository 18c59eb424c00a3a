"""Merge the trained members into one graph and write it, with its card, as a bundle."""

import argparse
import io
import json
import zipfile
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from cxr_node.domain.identifiers import digest_of
from cxr_node.infer import archive, bundle, prepare
from cxr_node.infer.findings import sigmoid
from cxr_node.infer.prepare import Frame
from training.evaluate import load_member
from training.lungnet import FRAME, LungNet

NAME = "lung-opacity"
VERSION = "1.0.0"
NETWORK = "network.pt2"

BAND = 0.25
"""Logits this near to the operating point say nothing; the card states the scores that come of it."""

_INTERVALS = "95 % intervals by resampling patients 2000 times."
TESTED_ALONE = (
    "Patients in 2 of 10 bins, seen neither in training nor in choosing the operating point; the films come from the "
    "same collection. Three designs were judged on these films before this one was kept, so expect a little less. "
    f"{_INTERVALS}"
)
TESTED_BY_MEMBERS = (
    "Each film was scored by the one member that saw its patient neither in training nor in choosing the operating "
    "point. The average of all members, which is what runs, was not tested on its own: no patient is unseen by all. "
    f"{_INTERVALS}"
)


class Merged(nn.Module):
    """All members at once: mean of their logits and maps, each brought to one scale on its validation patients.

    What served training only is taken off the members.
    """

    def __init__(self, members: list[LungNet], fits: list[dict[str, float]]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        for member, fit in zip(members, fits, strict=True):
            bias = cast("Tensor", member.finding.bias)
            with torch.no_grad():
                member.finding.weight.mul_(fit["scale"])
                bias.mul_(fit["scale"]).add_(fit["offset"])
            member.dropout, member.auxiliary = nn.Identity(), nn.Identity()

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 192, 240) -> finding_logits (B, 1) and finding_maps (B, 1, 12, 15)."""
        outputs = [member(film) for member in self.members]
        logits = torch.stack([output.logits for output in outputs]).mean(0)
        return {"finding_logits": logits, "finding_maps": torch.stack([output.maps for output in outputs]).mean(0)}


def run(arguments: argparse.Namespace) -> None:
    """Write the bundle from what train and evaluate left in the work folder, and open it as a node does."""
    table = json.loads((arguments.work / "figures.json").read_text())
    members = [load_member(arguments.work / f"member-{number}.pt") for number in table["members"]]
    content = exported(Merged(members, table["fits"]).eval(), FRAME)
    arguments.bundle.mkdir(parents=True, exist_ok=True)
    (arguments.bundle / NETWORK).write_bytes(content)
    (arguments.bundle / bundle.CARD).write_text(card(table, digest=digest_of(content)), encoding="utf-8")
    opened = bundle.load(arguments.bundle)
    print(f"{arguments.bundle}: {len(content):,} bytes, network {opened.identity.weights_digest}")


def exported(network: nn.Module, frame: Frame) -> bytes:
    """Return `network` as an archive that holds no pickle and no traces of the machine it was made on."""
    batch = {"film": {0: torch.export.Dim("batch")}}
    program = torch.export.export(network, (torch.zeros(2, 1, frame.rows, frame.columns),), dynamic_shapes=batch)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return plain(buffer.getvalue())


def plain(content: bytes) -> bytes:
    """Return an archive of torch.export without sample inputs, which are a pickle, and without debugging traces.

    Members keep their order and get a fixed date, so that the same network gives the same bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            name = entry.filename.partition("/")[2]
            part = old.read(entry)
            if name == "data/sample_inputs/model.pt":
                part = b""
            elif name == "models/model.json":
                part = json.dumps(_without_traces(json.loads(part))).encode()
            elif name == ".data/serialization_id":
                continue
            new.writestr(zipfile.ZipInfo(f"{archive.ROOT}/{name}"), part)
    return buffer.getvalue()


def card(table: dict[str, Any], *, digest: str) -> str:
    """Return the text of the card: fixed statements, and the figures that evaluate wrote."""
    logit = sum(fit["threshold"] for fit in table["fits"]) / len(table["fits"])
    alone = len(table["members"]) == 1
    values = {
        "digest": digest,
        "rows": FRAME.rows,
        "columns": FRAME.columns,
        "window": [FRAME.left, FRAME.top, FRAME.right, FRAME.bottom],
        "description": prepare.DESCRIPTION,
        "recipe": prepare.RECIPE,
        "test": TESTED_ALONE if alone else TESTED_BY_MEMBERS,
        "ensemble": "" if alone else f" {len(table['members'])} networks on different bins, outputs averaged.",
        "films": table["films"],
        "patients": table["patients"],
        "score": round(sigmoid(logit), 4),
        "low": round(sigmoid(logit - BAND), 4),
        "high": round(sigmoid(logit + BAND), 4),
        "name": NAME,
        "version": VERSION,
    }
    template = Path(__file__).with_name("lung-opacity.card.toml").read_text(encoding="utf-8")
    for key, value in values.items():
        template = template.replace(f"<{key}>", str(value))
    return template + "".join(_metrics(row) for row in table["rows"])


def _metrics(row: dict[str, Any]) -> str:
    """Return one row of figures as entries of the card."""
    kinds = {"AUC": "network", "sensitivity": "sensitivity", "specificity": "specificity"}
    return "".join(_metric(row, metric, key) for metric, key in kinds.items())


def _metric(row: dict[str, Any], metric: str, key: str) -> str:
    figure = {name: round(value, 3) for name, value in row[key].items()}
    lines = [
        "\n[[evidence.metrics]]",
        'label = "lung_opacity"',
        f'metric = "{metric}"',
        f'view = "{row["view"]}"',
        *(f"{name} = {value}" for name, value in figure.items()),
        f"films = {row['films']}",
        f"with_finding = {row['with_finding']}",
    ]
    if metric == "AUC":
        lines.append(f"baseline = {round(row['thumbnails']['value'], 3)}")
    return "\n".join(lines) + "\n"


def _without_traces(value: Any) -> Any:
    """Empty every table of node metadata."""
    if isinstance(value, dict):
        return {key: {} if key == "metadata" else _without_traces(item) for key, item in value.items()}
    return [_without_traces(item) for item in value] if isinstance(value, list) else value
