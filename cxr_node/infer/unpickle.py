"""Child of `weights`: parses a pickled weight file without importing or running anything that it names.

Started as `python -m cxr_node.infer.unpickle BYTES SECONDS`, with the limits of its memory and time. It reads the file
from standard input and writes the tensors to standard output: the size of a JSON table (64 bits, little-endian), the
table (name to type, shape and position in the bytes that follow), and the bytes. A refusal is one line on standard
error and the exit status REFUSED. Needs no PyTorch; `torch_pickle` reads the pickles.
"""

import io
import json
import re
import struct
import sys
import zipfile
from collections.abc import Iterator
from typing import Any, NoReturn

from cxr_node import child_process
from cxr_node.infer.torch_pickle import TYPES, Placeholder, Refused, Storage, Tensor, Unpickler

REFUSED = 3
SIZE = struct.Struct("<Q")

MAX_MEMBERS = 20_000
_MAX_DEPTH = 32
_NAME = re.compile(r"[A-Za-z0-9_]{1,80}(\.[A-Za-z0-9_]{1,80}){0,31}")
_PROTOCOL = b"\x80"
"""First byte of every pickle since protocol 2."""
_IN_CHECKPOINT = "state_dict"
"""Key of the weights in a checkpoint, beside the optimizer's state and figures of training."""
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001


def read(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a weight file by name: of a state dictionary, of one in a checkpoint, or of a network.

    Raises
    ------
    Refused
        If it is anything else.
    """
    loaded = _read_zip(content) if content.startswith(b"PK\x03\x04") else _read_legacy(content)
    if isinstance(loaded, dict) and isinstance(loaded.get(_IN_CHECKPOINT), dict):
        loaded = loaded[_IN_CHECKPOINT]
    tensors: dict[str, Tensor] = {}
    for name, tensor in _named_tensors(loaded, depth=0):
        if name in tensors or _NAME.fullmatch(name) is None:
            raise Refused(f"a tensor named {name[:80]!r}")
        tensors[name] = tensor
    if not tensors:
        raise Refused("it holds no tensors")
    return tensors


def _read_zip(content: bytes) -> Any:
    """Read the format of `torch.save` since version 1.6."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_MEMBERS or any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries):
            raise Refused("too many members, or compressed or encrypted ones; PyTorch writes them as they are")
        if sum(entry.file_size for entry in entries) > len(content):
            raise Refused("members overlap")
        parts = {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}
    if "data.pkl" not in parts or "constants.pkl" in parts:
        raise Refused("a zip file, but not one of torch.save")
    if parts.get("byteorder", b"little") != b"little":
        raise Refused("numbers are big-endian")

    def load_storage(storage: Storage) -> Storage:
        storage.content = parts.get(f"data/{storage.key}", b"")
        return _require_complete(storage)

    return Unpickler(io.BytesIO(parts["data.pkl"]), load_storage).load()


def _read_legacy(content: bytes) -> Any:
    """Read the format before version 1.6: five pickles, then the storages that the last one lists."""
    if not content.startswith(_PROTOCOL):
        raise Refused("not a file of torch.save")
    file = io.BytesIO(content)
    storages: dict[str, Storage] = {}

    def register(storage: Storage) -> Storage:
        return storages.setdefault(storage.key, storage)

    magic, version, system = (Unpickler(file, register).load() for _ in range(3))
    if magic != _LEGACY_MAGIC or version != _LEGACY_VERSION:
        raise Refused("not a file of torch.save")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("numbers are big-endian")
    loaded = Unpickler(file, register).load()
    for key in Unpickler(file, register).load():
        storage = storages.get(key)
        if storage is None or file.read(SIZE.size) != SIZE.pack(storage.count):
            raise Refused("storages are not those that the tensors need")
        storage.content = file.read(storage.count * storage.size)
    for storage in storages.values():
        _require_complete(storage)
    return loaded


def _require_complete(storage: Storage) -> Storage:
    if len(storage.content) != storage.count * storage.size:
        raise Refused("numbers are missing; the file is cut off or damaged")
    return storage


def _named_tensors(value: Any, *, depth: int, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor with its name as in a state dictionary."""
    if depth > _MAX_DEPTH:
        raise Refused("modules within modules without end")
    match value:
        case Placeholder():
            for group in ("_parameters", "_buffers", "_modules"):
                yield from _named_tensors(value.state.get(group, {}), depth=depth + 1, prefix=prefix)
        case Tensor():
            yield prefix.removesuffix("."), value
        case dict():
            for key, item in value.items():
                yield from _named_tensors(item, depth=depth + 1, prefix=f"{prefix}{key}.")
        case None:
            return
        case _:
            raise Refused(f"{prefix.removesuffix('.') or 'the file'} is neither a tensor nor a module")


def _write(tensors: dict[str, Tensor]) -> None:
    table, at = {}, 0
    for name, tensor in tensors.items():
        size = len(tensor.content)
        table[name] = {"type": TYPES[tensor.storage.kind][0], "shape": tensor.shape, "first": at, "size": size}
        at += size
    header = json.dumps(table).encode()
    sys.stdout.buffer.write(SIZE.pack(len(header)) + header)
    for tensor in tensors.values():
        sys.stdout.buffer.write(tensor.content)
    sys.stdout.buffer.flush()


def main(memory_bytes: int, seconds: int) -> None:
    """Read standard input, write standard output, within limits."""
    child_process.limit_resources(memory_bytes=memory_bytes, cpu_s=seconds, may_fork=False)
    try:
        _write(read(sys.stdin.buffer.read()))
    except Refused as error:
        _refuse(str(error))
    except Exception:  # noqa: BLE001 - a damaged file raises any type; the parent needs a reply
        _refuse("it cannot be read as a file of torch.save")


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(message.replace("\n", " "))
    sys.exit(REFUSED)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
