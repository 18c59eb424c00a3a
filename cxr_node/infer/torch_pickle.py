"""A pickle of PyTorch read as a description: nothing that it names is imported or run. Needs no PyTorch.

A pickle is a program that calls what it names. Here a name means one of a few functions of our own: a tensor becomes a
note of where its bytes are, a set and an ordered dictionary themselves, and every class of a network an empty shell
that keeps what it is filled with. Any other name is refused.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TYPES = {"FloatStorage": ("f4", 4), "DoubleStorage": ("f8", 8), "HalfStorage": ("f2", 2), "LongStorage": ("i8", 8)}
"""Types of numbers, as numpy names them little-endian, and their size."""


class Refused(ValueError):
    """The file holds something else than the weights of a network."""


class Storage:
    """Numbers in a row; the bytes come when the pickle has been read."""

    def __init__(self, kind: str, key: str, count: int) -> None:
        self.kind = kind
        self.key = key
        self.count = count
        self.content = b""

    @property
    def size(self) -> int:
        """Bytes of one number."""
        return TYPES[self.kind][1]


@dataclass(frozen=True, slots=True)
class StorageKind:
    """Stands for a class of storages."""

    name: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in its storage, in numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]

    @property
    def content(self) -> bytes:
        """Its bytes, in the order of its shape."""
        first, size = self.offset * self.storage.size, math.prod(self.shape) * self.storage.size
        content = self.storage.content[first : first + size]
        if first < 0 or len(content) != size:
            raise Refused("a tensor lies outside its storage")
        return content


class Shell:
    """Stands for an object of a network's class: does nothing, keeps the state that it is given."""

    def __new__(cls, *_arguments: object, **_options: object) -> "Shell":
        """Make one, whatever the real class would have been made from."""
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        """Keep the state, if it is a table."""
        self.state = state if isinstance(state, dict) else {}


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_rest: object) -> Tensor:
    if not isinstance(storage, Storage) or len(shape) != len(strides) or min((*shape, offset), default=0) < 0:
        raise Refused("a tensor that is none")
    packed = 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and stride != packed:
            raise Refused("a tensor whose numbers are not in a row")
        packed *= length
    return Tensor(storage, int(offset), tuple(map(int, shape)))


def _parameter(tensor: Tensor, *_rest: object) -> Tensor:
    return tensor


_KNOWN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    **{("torch", name): StorageKind(name) for name in TYPES},
}
_SHELLS = ("torch.nn.modules.", "torch.nn.backends.", "torchxrayvision.models", "torchvision.models.")
"""Modules whose classes become shells."""


class Unpickler(pickle.Unpickler):
    """Looks names up in the list above, and nowhere else."""

    def __init__(self, file: io.BytesIO, storage: Callable[[Storage], Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for here."""
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        if module.startswith(_SHELLS) and name.isidentifier():
            return Shell
        raise Refused(f"it names {module[:80]}.{name[:80]}, which no weights need")

    def persistent_load(self, pid: Any) -> Any:
        """Return a storage without its bytes, or the class of a network, of which the source text is passed over."""
        match pid:
            case ("storage", StorageKind(name=kind), str(key), str(), int(count), *_) if count >= 0:
                return self._storage(Storage(kind, key, count))
            case ("module", type() as kind, *_) if issubclass(kind, Shell):
                return Shell
        raise Refused("a reference to something else than numbers")
