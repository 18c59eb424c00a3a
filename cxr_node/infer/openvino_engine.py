"""OpenVINO on the CPU: conversion of a bundle's network in float32, and the converted network in a file.

A conversion takes seconds and imports much of PyTorch. Its file (OpenVINO IR, weights as they are) opens in a fraction.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cxr_node.domain.identifiers import digest_of
from cxr_node.infer.bundle import Bundle, BundleError, Program

if TYPE_CHECKING:
    import openvino

_MODEL, _WEIGHTS, _RECORD = "network.xml", "network.bin", "record.json"


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted network, and the names of its outputs in their order."""

    model: "openvino.Model"
    names: tuple[str, ...]


def convert(bundle: Bundle) -> Converted:
    """Return the network of a bundle, converted for one film at a time.

    Uses the frontend and not `convert_model`, which has telemetry.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    shape = (1, *bundle.card.input.shape)
    reference = bundle.program(torch.device("cpu"))
    with torch.inference_mode():
        names = tuple(reference(torch.zeros(shape)))
    with _root_logger_silenced(), warnings.catch_warnings():
        # torch's copies of programs use what torch itself has deprecated.
        warnings.filterwarnings("ignore", "`isinstance", FutureWarning)
        frontend = FrontEndManager().load_by_framework("pytorch")
        # Bound to a name: the model refers to the decoder without owning it.
        decoder = TorchFXPythonDecoder.from_exported_program(bundle.exported())
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(shape))
    return Converted(model, names)


def write(converted: Converted, folder: Path) -> None:
    """Write a converted network to `folder`, which must be new."""
    import openvino

    folder.mkdir(mode=0o700, parents=True)
    openvino.save_model(converted.model, folder / _MODEL, compress_to_fp16=False)
    record = {"outputs": converted.names, **{name: _digest(folder / name) for name in (_MODEL, _WEIGHTS)}}
    (folder / _RECORD).write_text(json.dumps(record), encoding="utf-8")


def read(folder: Path) -> Converted:
    """Return the network that `write` wrote.

    Raises
    ------
    BundleError
        If a file is missing or is not as it was written.
    """
    import openvino

    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if any(record[name] != _digest(folder / name) for name in (_MODEL, _WEIGHTS)):
            raise BundleError(f"{folder}: the converted network is not as it was written")
        names = tuple(str(name) for name in record["outputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{folder}: there is no converted network ({error})") from error
    return Converted(openvino.Core().read_model(folder / _MODEL), names)


def compiled(converted: Converted, threads: int) -> Program:
    """Return a converted network, ready to run in `threads` threads; 0 for torch's number."""
    import openvino

    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    try:
        network = core.compile_model(converted.model, "CPU", options)
    except RuntimeError:
        # Its generator of fused code runs out of registers where vectors have 16 of them (AVX2).
        network = core.compile_model(converted.model, "CPU", {**options, "SNIPPETS_MODE": "DISABLE"})
    request = network.create_infer_request()

    def run(films: torch.Tensor) -> Mapping[str, torch.Tensor]:
        results = [request.infer({0: film[None].numpy()}, share_outputs=False) for film in films]
        return {
            name: torch.cat([torch.from_numpy(result[number]) for result in results])
            for number, name in enumerate(converted.names)
        }

    return run


def _digest(path: Path) -> str:
    return digest_of(path.read_bytes())


@contextlib.contextmanager
def _root_logger_silenced() -> Iterator[None]:
    """Drop records of the root logger itself: OpenVINO warns of operators that it cannot decompose, harmlessly."""
    root = logging.getLogger()
    root.addFilter(_reject_all)
    try:
        yield
    finally:
        root.removeFilter(_reject_all)


def _reject_all(_record: logging.LogRecord) -> bool:
    return False
