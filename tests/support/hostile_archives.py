"""Hostile network archives: each runs code when it is opened or called."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.support import tiny_bundles

ROOT = "network"
MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"


@dataclass(frozen=True, slots=True)
class Toucher:
    """Creates the folder `marker` when unpickled."""

    marker: Path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.marker),)


def python(marker: Path) -> str:
    """Return a Python expression that creates the folder `marker`."""
    return f"__import__('os').mkdir({str(marker)!r})"


def members(content: bytes | None = None) -> dict[str, bytes]:
    """Return the members of a network archive by their path below its root."""
    with zipfile.ZipFile(io.BytesIO(tiny_bundles.network() if content is None else content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def written(parts: dict[str, bytes], *, root: str = f"{ROOT}/", compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(f"{root}{name}", part)
    return buffer.getvalue()


def changed(name: str, change: Callable[[Any], None]) -> bytes:
    """Return the archive of a network with a JSON member changed in place."""
    parts = members()
    content = json.loads(parts[name])
    change(content)
    return written({**parts, name: json.dumps(content).encode()})


def pickled_samples(marker: Path) -> bytes:
    """A pickle in the place of the sample inputs of torch.export.save."""
    return written({**members(), SAMPLES: pickle.dumps(Toucher(marker))})


def pickled_weight(marker: Path) -> bytes:
    """A weight that is declared a pickle."""
    config = json.loads(members()[WEIGHTS])
    name, payload = next(iter(config["config"].items()))
    config["config"][name] = {**payload, "use_pickle": True}
    path = f"data/weights/{payload['path_name']}"
    return written({**members(), WEIGHTS: json.dumps(config).encode(), path: pickle.dumps(Toucher(marker))})


def pickled_constant(marker: Path) -> bytes:
    """A constant that is declared a pickle."""
    return _constant("tensor_0", Toucher(marker))


def opaque_constant(marker: Path) -> bytes:
    """A constant of the type that is always a pickle."""
    return _constant("opaque_obj_0", Toucher(marker))


def legacy_weights(marker: Path) -> bytes:
    """All weights as one pickle, as older versions wrote them."""
    return written({**members(), "data/weights/model.pt": pickle.dumps(Toucher(marker))})


def legacy_constants(marker: Path) -> bytes:
    """All constants as one pickle, as older versions wrote them."""
    return written({**members(), "data/constants/model.pt": pickle.dumps(Toucher(marker))})


def legacy_format(marker: Path) -> bytes:
    """An archive of torch 2.7, which consists of pickles."""
    parts = {
        "version": b"8.20",
        "serialized_exported_program.json": members()[MODEL],
        "serialized_state_dict.pt": pickle.dumps(Toucher(marker)),
        "serialized_constants.pt": pickle.dumps(Toucher(marker)),
        "serialized_example_inputs.pt": pickle.dumps(Toucher(marker)),
    }
    return written(parts, root="")


def size_expression(marker: Path) -> bytes:
    """A tensor size that is a Python expression."""

    def change(model: Any) -> None:
        for value in model["graph_module"]["graph"]["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = f"[{python(marker)}, 2][1]"

    return changed(MODEL, change)


def guard(marker: Path) -> bytes:
    """A guard that is a Python expression; harmless sample inputs, without which torch ignores guards."""
    program = torch.export.export(
        tiny_bundles.Tiny().eval(), (torch.zeros(2, 1, tiny_bundles.SIDE, tiny_bundles.SIDE),)
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    parts = members(buffer.getvalue())
    model = json.loads(parts[MODEL])
    model["guards_code"] = [f"{python(marker)} is None"]
    return written({**parts, MODEL: json.dumps(model).encode()})


def input_name(marker: Path) -> bytes:
    """An input whose name becomes a default argument in the Python code that torch generates of the graph."""

    def change(model: Any) -> None:
        text = json.dumps(model["graph_module"])
        model["graph_module"] = json.loads(text.replace('"film"', json.dumps(f"film={python(marker)}")))

    return changed(MODEL, change)


def _constant(path: str, value: object) -> bytes:
    weight = next(iter(json.loads(members()[WEIGHTS])["config"].values()))
    config = {"config": {"c": {**weight, "path_name": path, "use_pickle": True}}}
    return written({**members(), CONSTANTS: json.dumps(config).encode(), f"data/constants/{path}": pickle.dumps(value)})


RUN_WHEN_OPENED = (
    pickled_samples,
    pickled_weight,
    pickled_constant,
    opaque_constant,
    legacy_weights,
    legacy_constants,
    legacy_format,
    size_expression,
)
RUN_WHEN_CALLED = (guard, input_name)
