"""Tensors out of a pickled weight file, which may hold any program: read in a process of its own that can run none."""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cxr_node.infer import unpickle
from cxr_node.infer.torch_pickle import TYPES

_LONGEST_SENTENCE = 300
_ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH")
"""What the child inherits: passwords live in the environment too."""


class UnsafeWeights(ValueError):
    """The file was not taken: it is damaged, too large, or more than weights. Nothing of it was run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a weight file may cost: its size, and the memory in bytes and the time in seconds to take it apart."""

    file_bytes: int = 512 << 20
    memory_bytes: int = 2 << 30
    timeout_s: int = 120


def read(file: Path, limits: Limits | None = None) -> dict[str, torch.Tensor]:
    """Return the tensors in a file of `torch.save`, of either of its formats, by the names of a state dictionary.

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
        raise UnsafeWeights(f"{size} bytes; at most {limits.file_bytes} are taken")
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "tensors"
        with file.open("rb") as given, answer.open("wb") as taken:
            _take_apart(given.fileno(), taken.fileno(), limits, folder)
        return _tensors(answer.read_bytes())


def _take_apart(given: int, taken: int, limits: Limits, folder: str) -> None:
    """Run the child from one file into another."""
    try:
        ended = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "cxr_node.infer.unpickle", str(limits.memory_bytes), str(limits.timeout_s)],
            stdin=given,
            stdout=taken,
            stderr=subprocess.PIPE,
            timeout=limits.timeout_s,
            check=False,
            cwd=folder,
            env={
                **{name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                "PYTHONPATH": os.pathsep.join(path for path in map(os.path.abspath, filter(None, sys.path))),
            },
        )
    except subprocess.TimeoutExpired:
        raise UnsafeWeights(f"not read within {limits.timeout_s} s") from None
    if ended.returncode == unpickle.REFUSED:
        said = ended.stderr.decode("utf-8", "replace")[:_LONGEST_SENTENCE]
        raise UnsafeWeights("".join(sign if sign.isprintable() else "?" for sign in said))
    if ended.returncode:
        raise UnsafeWeights(f"the process that read it ended with status {ended.returncode}")


def _tensors(answer: bytes) -> dict[str, torch.Tensor]:
    """Return what the child has written, believing none of it."""
    try:
        (size,) = unpickle.SIZE.unpack_from(answer)
        table = json.loads(answer[unpickle.SIZE.size : unpickle.SIZE.size + size])
        numbers = memoryview(answer)[unpickle.SIZE.size + size :]
        return {str(name): _tensor(entry, numbers) for name, entry in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UnsafeWeights(f"the process that read it answered in confusion: {error}") from error


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
