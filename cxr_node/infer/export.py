"""A network as an archive that the node opens: what `torch.export` writes, without its pickle and its traces."""

import io
import json
import zipfile
from typing import Any

import torch
from torch import nn

from cxr_node.infer import archive
from cxr_node.infer.prepare import Frame


def exported(network: nn.Module, frame: Frame) -> bytes:
    """Return `network` as an archive that holds no pickle and no traces of the machine it was made on.

    Parameters
    ----------
    network
        In evaluation mode; takes (B, 1, rows, columns), gives a dictionary of tensors.
    """
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


def _without_traces(value: Any) -> Any:
    """Empty every table of node metadata."""
    if isinstance(value, dict):
        return {key: {} if key == "metadata" else _without_traces(item) for key, item in value.items()}
    return [_without_traces(item) for item in value] if isinstance(value, list) else value
