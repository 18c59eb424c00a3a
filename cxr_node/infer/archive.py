"""Allowlist for archives of torch.export: rewrites an archive from checked parts, so that opening it runs no code.

`torch.export.load` of torch 2.13 unpickles sample inputs, tensors marked `use_pickle`, custom and opaque objects and
the whole of an older format; loads shared libraries under `data/aotinductor`; evaluates size expressions (sympy's
`sympify`) and guards (`guards_code`) as Python; and writes names of nodes into Python source. Each part is therefore
checked against a list, and a new archive is written from the checked parts. It does not matter where two readers of
zip files disagree.
"""

import io
import json
import re
import zipfile
from typing import Any

import torch

from cxr_node.infer import graph, interpreter
from cxr_node.infer.interpreter import Network

MAX_BYTES = 640 * 1024 * 1024
MAX_JSON_BYTES = 32 * 1024 * 1024
MAX_MEMBERS = 20_000
ROOT = "network"

_SAMPLE_INPUTS = "data/sample_inputs/model.pt"
_PROGRAM = "models/model.json"
_WEIGHTS = "data/weights/model_weights_config.json"
_CONSTANTS = "data/constants/model_constants_config.json"
_TENSORS = {_WEIGHTS: "data/weights/", _CONSTANTS: "data/constants/"}
"""Folder of the tensors that a table names."""
_JSON = {_PROGRAM: graph.check_program, _WEIGHTS: graph.check_weights, _CONSTANTS: graph.check_constants}
_TEXT = {
    "archive_format": re.compile(rb"pt2"),
    "archive_version": re.compile(rb"0"),
    "byteorder": re.compile(rb"little"),
    ".data/version": re.compile(rb"[0-9]{1,4}\n?"),
    ".data/serialization_id": re.compile(rb"[0-9]{1,64}"),
}
_TENSOR = re.compile(r"data/weights/weight_[0-9]+|data/constants/tensor_[0-9]+")


class UnsafeArchive(ValueError):
    """The archive contains more than a plain network. It was not opened."""


def rewrite_checked(content: bytes) -> bytes:
    """Return an archive of the same network that contains checked parts only, for `torch.export.load`.

    Raises
    ------
    UnsafeArchive
        If anything in `content` is not on the list.
    """
    return _zip_of({**checked_parts(content), _SAMPLE_INPUTS: b""})


def open_network(content: bytes) -> Network:
    """Return the network of an archive, ready to run on the CPU, from checked parts only.

    Raises
    ------
    UnsafeArchive
        If anything in `content` is not on the list.
    BadGraph
        If the graph or a tensor cannot be used.
    """
    parts = checked_parts(content)
    tensors: dict[str, torch.Tensor] = {}
    for config, folder in _TENSORS.items():
        files = {name.removeprefix(folder): part for name, part in parts.items() if name.startswith(folder)}
        tensors |= interpreter.tensors_of(json.loads(parts[config]), files)
    return interpreter.build(json.loads(parts[_PROGRAM]), tensors)


def checked_parts(content: bytes) -> dict[str, bytes]:
    """Return the checked members of an archive by name, JSON serialized again.

    Raises
    ------
    UnsafeArchive
        If anything in `content` is not on the list.
    """
    if len(content) > MAX_BYTES:
        raise UnsafeArchive(f"{len(content)} bytes; at most {MAX_BYTES} are allowed")
    parts = _members(content)
    missing = sorted({*_JSON, "archive_format", "archive_version", "byteorder"} - parts.keys())
    if missing:
        raise UnsafeArchive(f"not an archive of torch.export: {', '.join(missing)} missing")
    return {name: _checked_member(name, part) for name, part in parts.items()}


def _members(content: bytes) -> dict[str, bytes]:
    """Return the members by name, below the single root folder."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_MEMBERS:
                raise UnsafeArchive(f"{len(entries)} members; at most {MAX_MEMBERS} are allowed")
            if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
                raise UnsafeArchive("members are compressed or encrypted; torch.export writes them as they are")
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise UnsafeArchive("members overlap")
            members = [(entry.filename, archive.read(entry)) for entry in entries]
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        if isinstance(error, UnsafeArchive):
            raise
        raise UnsafeArchive(f"not a zip file: {error}") from error
    split = [(*name.partition("/"), part) for name, part in members]
    if len({root for root, _, _, _ in split}) != 1 or len({name for _, _, name, _ in split}) != len(split):
        raise UnsafeArchive("expected one root folder and no member twice")
    return {name: part for _, _, name, part in split}


def _checked_member(name: str, part: bytes) -> bytes:
    """Return a checked member: texts and tensors as they are, JSON serialised again."""
    if check := _JSON.get(name):
        return _checked_json(name, part, check)
    if pattern := _TEXT.get(name):
        if pattern.fullmatch(part) is None:
            raise UnsafeArchive(f"{name} holds {part[:40]!r}")
        return part
    if name == _SAMPLE_INPUTS:
        if part:
            raise UnsafeArchive(f"{name} is a pickle: export without sample inputs")
        return part
    if _TENSOR.fullmatch(name) is None:
        raise UnsafeArchive(f"{name[:80]!r} does not belong into an archive of a network")
    return part


def _checked_json(name: str, part: bytes, check: "graph.Check") -> bytes:
    if len(part) > MAX_JSON_BYTES:
        raise UnsafeArchive(f"{name} is {len(part)} bytes; at most {MAX_JSON_BYTES} are allowed")
    try:
        content: Any = json.loads(part)
        check(content)
        return json.dumps(content).encode()
    except (graph.NotAllowed, ValueError, RecursionError) as error:
        raise UnsafeArchive(f"{name}: {error}") from error


def _zip_of(parts: dict[str, bytes]) -> bytes:
    """Return a zip file of the parts, stored uncompressed, as torch reads them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(f"{ROOT}/{name}"), part)
    return buffer.getvalue()
