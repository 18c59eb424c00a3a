"""Imports tensors from a weight file, safetensors or pickle.

A pickle may contain any program: a child process reads it and runs nothing.
"""

import json
import math
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cxr_node import child_process
from cxr_node.infer import unpickle
from cxr_node.infer.torch_pickle import TYPES

_MAX_MESSAGE_CHARACTERS = 300
_TENSOR_TYPES = {"torch.float32", "torch.float64", "torch.float16", "torch.bfloat16", "torch.int64"}
"""Types of tensors in a safetensors file: those of pickled weights, and bfloat16."""


class UnsafeWeights(ValueError):
    """The file was refused: it is damaged, too large, or more than weights. Nothing of it was run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits for a weight file: its size, and the memory and time of the child process."""

    file_bytes: int = 512 << 20
    memory_bytes: int = 2 << 30
    timeout_s: int = 120


def read(file: Path, limits: Limits | None = None) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, or of a `torch.save` file in either format, by their names.

    The content decides, not the name of the file. A checkpoint gives the tensors under "state_dict".

    Raises
    ------
    UnsafeWeights
        If it is anything else.
    OSError
        If the file cannot be read.
    """
    limits = limits or Limits()
    size = file.stat().st_size
    if size > limits.file_bytes:
        raise UnsafeWeights(f"{size} bytes; at most {limits.file_bytes} are allowed")
    if _is_safetensors(file):
        return _read_safetensors(file)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "tensors"
        with file.open("rb") as pickled, output.open("wb") as tensors:
            _run_child(pickled.fileno(), tensors.fileno(), limits, Path(folder))
        return _tensors(output.read_bytes())


def _is_safetensors(file: Path) -> bool:
    """Whether a file begins with the size of a header and its first brace; a pickle and a zip file do not."""
    with file.open("rb") as content:
        return content.read(unpickle.SIZE.size + 1)[unpickle.SIZE.size :] == b"{"


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, which cannot contain code; bfloat16 becomes float32."""
    try:
        import safetensors
        from safetensors.torch import load
    except ImportError as error:
        raise UnsafeWeights("reading safetensors needs an extra: pip install 'cxr-node[safetensors]'") from error
    try:
        tensors: dict[str, torch.Tensor] = load(file.read_bytes())
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise UnsafeWeights(f"it is no safetensors file: {error}") from error
    others = {str(tensor.dtype) for tensor in tensors.values()} - _TENSOR_TYPES
    if others or not tensors:
        types = ", ".join(sorted(others)) or "no tensors"
        raise UnsafeWeights(f"it holds {types}, expected {', '.join(sorted(_TENSOR_TYPES))}")
    return {name: _widened(tensor) for name, tensor in tensors.items()}


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """Return bfloat16 as float32, anything else as it is."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _run_child(pickled: int, tensors: int, limits: Limits, folder: Path) -> None:
    """Run the child from one open file to another."""
    process = child_process.start(
        "cxr_node.infer.unpickle",
        limits.memory_bytes,
        limits.timeout_s,
        environment=child_process.minimal_environment(),
        stdin=pickled,
        stdout=tensors,
        stderr=child_process.PIPE,
        cwd=folder,
    )
    try:
        _, error_output = process.communicate(timeout=limits.timeout_s)
    except subprocess.TimeoutExpired:
        raise UnsafeWeights(f"not read within {limits.timeout_s} s") from None
    finally:
        status = child_process.end(process)
    if status == unpickle.REFUSED:
        message = error_output.decode("utf-8", "replace")[:_MAX_MESSAGE_CHARACTERS]
        raise UnsafeWeights("".join(sign if sign.isprintable() else "?" for sign in message))
    if status:
        raise UnsafeWeights(f"the process that read it ended with status {status}")


def _tensors(output: bytes) -> dict[str, torch.Tensor]:
    """Parse and validate the output of the child."""
    try:
        (size,) = unpickle.SIZE.unpack_from(output)
        table = json.loads(output[unpickle.SIZE.size : unpickle.SIZE.size + size])
        numbers = memoryview(output)[unpickle.SIZE.size + size :]
        return {str(name): _tensor(entry, numbers) for name, entry in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UnsafeWeights(f"the process that read it gave an invalid reply: {error}") from error


def _tensor(entry: dict[str, object], numbers: memoryview) -> torch.Tensor:
    kinds = {kind: np.dtype(f"<{kind}") for kind, _ in TYPES.values()}
    kind, shape = kinds[str(entry["type"])], [int(str(length)) for length in _list(entry["shape"])]
    first, count = int(str(entry["first"])), math.prod(shape)
    if first < 0 or min(shape, default=1) < 0:
        raise ValueError("a tensor outside the answer")
    return torch.from_numpy(np.frombuffer(numbers, kind, count, first).reshape(shape).copy())


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a shape that is none")
    return value
