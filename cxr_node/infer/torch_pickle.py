"""Unpickler for PyTorch weights that imports and runs nothing that the pickle names. Needs no PyTorch.

A pickle is a program that calls the names in it. Here a name resolves to one of a few own functions: a tensor to the
position of its bytes, set and OrderedDict to themselves, each class of a network to a placeholder that stores its
state. Any other name is refused.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TYPES = {"FloatStorage": ("f4", 4), "DoubleStorage": ("f8", 8), "HalfStorage": ("f2", 2), "LongStorage": ("i8", 8)}
"""Storage class to numpy's type code and size in bytes; little-endian."""


class Refused(ValueError):
    """The file contains something other than the weights of a network."""


class Storage:
    """Contiguous numbers; `content` is set after the pickle has been read."""

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
    """Placeholder of a storage class."""

    name: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """Position of a tensor in its storage, counted in numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]

    @property
    def content(self) -> bytes:
        """Bytes of the tensor, in the order of its shape."""
        first, size = self.offset * self.storage.size, math.prod(self.shape) * self.storage.size
        content = self.storage.content[first : first + size]
        if first < 0 or len(content) != size:
            raise Refused("a tensor lies outside its storage")
        return content


class Placeholder:
    """Placeholder of an object of a network's class: stores its state and does nothing."""

    def __new__(cls, *_arguments: object, **_options: object) -> "Placeholder":
        """Accept any arguments of the real class."""
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        """Store the state if it is a table."""
        self.state = state if isinstance(state, dict) else {}


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_rest: object) -> Tensor:
    if not isinstance(storage, Storage) or len(shape) != len(strides) or min((*shape, offset), default=0) < 0:
        raise Refused("a tensor that is none")
    packed = 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and stride != packed:
            raise Refused("a tensor that is not contiguous")
        packed *= length
    return Tensor(storage, int(offset), tuple(map(int, shape)))


def _parameter(tensor: Tensor, *_rest: object) -> Tensor:
    return tensor


_ALLOWED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    **{("torch", name): StorageKind(name) for name in TYPES},
    # Figures of training beside the weights, such as the best loss: not needed, so not made.
    ("numpy.core.multiarray", "scalar"): Placeholder,
    ("numpy._core.multiarray", "scalar"): Placeholder,
    ("numpy", "dtype"): Placeholder,
    ("_codecs", "encode"): Placeholder,
}
_PLACEHOLDER_MODULES = ("torch.nn.modules.", "torch.nn.backends.", "torchxrayvision.models", "torchvision.models.")
"""Modules whose classes become placeholders."""


class Unpickler(pickle.Unpickler):
    """Resolves names in the allowlist above only."""

    def __init__(self, file: io.BytesIO, storage: Callable[[Storage], Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Return the allowed meaning of a name."""
        allowed = _ALLOWED.get((module, name))
        if allowed is not None:
            return allowed
        if module.startswith(_PLACEHOLDER_MODULES) and name.isidentifier():
            return Placeholder
        raise Refused(f"it names {module[:80]}.{name[:80]}, which no weights need")

    def persistent_load(self, pid: Any) -> Any:
        """Return a storage without its bytes, or a network's class, whose source text is ignored."""
        match pid:
            case ("storage", StorageKind(name=kind), str(key), str(), int(count), *_) if count >= 0:
                return self._storage(Storage(kind, key, count))
            case ("module", type() as kind, *_) if issubclass(kind, Placeholder):
                return Placeholder
        raise Refused("a reference to something else than numbers")
