"""Export of a network to an archive that the node opens: torch.export's, without pickle and debugging traces."""

import io
import json
import zipfile
from typing import Any

import torch
from torch import nn

from cxr_node.infer import archive
from cxr_node.infer.prepare import Frame


def export_network(network: nn.Module, frame: Frame) -> bytes:
    """Return `network` as an archive without a pickle and without traces of the exporting machine.

    Parameters
    ----------
    network
        In evaluation mode; (B, channels, rows, columns) -> a dictionary of tensors.
    """
    batch = {"film": {0: torch.export.Dim("batch")}}
    films = torch.zeros(2, frame.steps.channels, frame.rows, frame.columns)
    program = torch.export.export(network, (films,), dynamic_shapes=batch)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return strip_archive(buffer.getvalue())


def strip_archive(content: bytes) -> bytes:
    """Return an archive of torch.export without sample inputs (a pickle) and debugging traces.

    Members keep their order and get a fixed date, so that the same network gives the same bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        for entry in source.infolist():
            name = entry.filename.partition("/")[2]
            part = source.read(entry)
            if name == "data/sample_inputs/model.pt":
                part = b""
            elif name == "models/model.json":
                part = json.dumps(_without_traces(json.loads(part))).encode()
            elif name == ".data/serialization_id":
                continue
            target.writestr(zipfile.ZipInfo(f"{archive.ROOT}/{name}"), part)
    return buffer.getvalue()


def _without_traces(value: Any) -> Any:
    """Empty every table of node metadata."""
    if isinstance(value, dict):
        return {key: {} if key == "metadata" else _without_traces(item) for key, item in value.items()}
    return [_without_traces(item) for item in value] if isinstance(value, list) else value
