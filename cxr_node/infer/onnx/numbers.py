"""Arithmetic on sizes: the operators of an ONNX graph that compute shapes, on Python numbers.

A size may be symbolic, such as the number of films in a batch, so values are numpy arrays of Python objects.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from cxr_node.infer.onnx.file import Node

MAX_NUMBERS = 4096
"""Elements of one value; larger ones are tensors."""


_LARGEST = 1 << 63
"""Sizes are 64-bit; larger numbers are an attempt to use up memory."""


class Unsupported(ValueError):
    """An operator is used in a way that is not converted; the message names operator and reason."""


class NotNumbers(Unsupported):
    """A result has more than `MAX_NUMBERS` elements, or a number of elements that depends on the batch.

    It is computed as a tensor, if it can be.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Sizes, indices or scalars: an array of Python numbers, and the tensor that they come from, if any."""

    array: Any
    tensor: Tensor | None = None

    @property
    def items(self) -> list[Any]:
        """All numbers in order."""
        return list(self.array.reshape(-1))

    @property
    def scalar(self) -> Any:
        """The only number."""
        if self.array.size != 1:
            raise Unsupported(f"expected one number, found {self.array.size}")
        return self.items[0]


def to_numbers(values: Sequence[Any] | Any) -> Numbers:
    """Return numbers from a list, or from one number."""
    return Numbers(np.array(values, dtype=object))


def evaluate(node: Node, values: Sequence[Numbers | None]) -> Numbers | tuple[Numbers, ...]:
    """Return the output of an operator on sizes; raise Unsupported for one that has no meaning on them."""
    function = _FUNCTIONS.get(node.operator)
    if function is None:
        raise Unsupported(f"{node.operator} on sizes is not converted")
    try:
        result = function(node, [value.array if value is not None else None for value in values])
    except (ArithmeticError, IndexError, TypeError, AttributeError) as error:
        raise Unsupported(f"{node.operator} on sizes: {error}") from error
    if isinstance(result, tuple):
        return tuple(_checked(node, part) for part in result)
    return _checked(node, result)


def _checked(node: Node, result: Any) -> Numbers:
    array = np.asarray(result, dtype=object)
    if array.size > MAX_NUMBERS:
        raise NotNumbers(f"{node.operator} gives more sizes than a network has")
    if any(isinstance(value, int) and abs(value) > _LARGEST for value in array.reshape(-1)):
        raise Unsupported(f"{node.operator} gives larger sizes than a network has")
    return Numbers(array)


def is_known(node: Node) -> bool:
    """Whether the operator is one that sizes can go through."""
    return node.operator in _FUNCTIONS


def axes_of(node: Node, second: Any) -> list[int]:
    """Return the axes of an operator: an attribute in older versions, the second input in newer ones."""
    axes = node.attributes.get("axes") if second is None else [int(axis) for axis in second.reshape(-1)]
    return [int(axis) for axis in axes] if isinstance(axes, list) else []


def _unsqueeze(node: Node, values: list[Any]) -> Any:
    array = values[0]
    rank = array.ndim + len(axes_of(node, _at(values, 1)))
    for axis in sorted(axis % rank for axis in axes_of(node, _at(values, 1))):
        array = np.expand_dims(array, axis)
    return array


def _squeeze(node: Node, values: list[Any]) -> Any:
    axes = axes_of(node, _at(values, 1))
    return np.squeeze(values[0], tuple(axes) if axes else None)


def _slice(node: Node, values: list[Any]) -> Any:
    array = values[0]
    for axis, start, end, step in slices(node, values[1:], array.ndim):
        index: list[Any] = [slice(None)] * array.ndim
        index[axis] = slice(start, end if abs(end) < MAX_NUMBERS else None, step)
        array = array[tuple(index)]
    return array


def slices(node: Node, inputs: Sequence[Any], rank: int) -> list[tuple[int, int, int, int]]:
    """Return (axis, start, end, step) for each axis that Slice cuts."""
    if inputs:
        parts = [None if part is None else [int(number) for number in part.reshape(-1)] for part in inputs]
        starts, ends, axes, steps = [*parts, None, None][:4]
    else:
        starts, ends, axes = (_list(node, name) for name in ("starts", "ends", "axes"))
        steps = None
    if starts is None or ends is None or len(starts) != len(ends):
        raise Unsupported("Slice without starts and ends")
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    return [(axis % rank, *rest) for axis, *rest in zip(axes, starts, ends, steps, strict=True)]  # type: ignore[misc]


def _list(node: Node, name: str) -> list[int] | None:
    values = node.attributes.get(name)
    return [int(value) for value in values] if isinstance(values, list) else None


def _cast(node: Node, values: list[Any]) -> Any:
    kind = node.attributes.get("to")
    convert: Callable[[Any], Any] = float if kind in (1, 11) else bool if kind == 9 else _whole
    return _map(convert, values[0])


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float | bool) else value


def _map(function: Callable[[Any], Any], array: Any) -> Any:
    result = np.empty(array.shape, dtype=object)
    for place in np.ndindex(array.shape):
        result[place] = function(array[place])
    return result


def _divide(_node: Node, values: list[Any]) -> Any:
    first, second = (np.asarray(part, dtype=object) for part in np.broadcast_arrays(*values))
    result = np.empty(first.shape, dtype=object)
    for place in np.ndindex(first.shape):
        above: Any = first[place]
        below: Any = second[place]
        if not below:
            raise Unsupported("Div of a size by zero")
        result[place] = above / below if isinstance(above, float) or isinstance(below, float) else above // below
    return result


def _gather(node: Node, values: list[Any]) -> Any:
    axis, indices = int_of(node, "axis", 0), values[1]
    places = np.array([int(index) for index in indices.reshape(-1)], dtype=np.int64).reshape(indices.shape)
    return np.take(values[0], places, axis=axis)


def int_of(node: Node, name: str, default: int) -> int:
    """Return an attribute that is a whole number."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise Unsupported(f"{node.operator} with {name} = {value!r}")
    return value


def _reshape(_node: Node, values: list[Any]) -> Any:
    return values[0].reshape([int(size) for size in values[1].reshape(-1)])


def _range(_node: Node, values: list[Any]) -> Any:
    start, stop, step = (value.reshape(-1)[0] for value in values)
    if not all(isinstance(part, int) for part in (start, stop, step)) or not step:
        raise NotNumbers("Range over anything but known whole numbers")
    if abs(stop - start) > MAX_NUMBERS * abs(step):
        raise NotNumbers("Range over too many numbers")
    return np.array(list(range(start, stop, step)), dtype=object)


def _constant_of_shape(node: Node, values: list[Any]) -> Any:
    shape = [int(size) for size in values[0].reshape(-1)]
    if math.prod(shape) > MAX_NUMBERS:
        raise NotNumbers("ConstantOfShape with too many numbers")
    value = node.attributes.get("value")
    return np.full(shape, value.reshape(-1)[0].item() if isinstance(value, np.ndarray) else 0.0, dtype=object)


def _split(node: Node, values: list[Any]) -> Any:
    axis, count = int_of(node, "axis", 0), len(node.outputs)
    stated = values[1] if len(values) > 1 and values[1] is not None else None
    sizes = [int(size) for size in stated.reshape(-1)] if stated is not None else _list(node, "split")
    parts = np.cumsum(sizes)[:-1].tolist() if sizes else count
    return tuple(np.split(values[0], parts, axis=axis))


def _expand(_node: Node, values: list[Any]) -> Any:
    shape = [int(size) for size in values[1].reshape(-1)]
    if math.prod(shape) > MAX_NUMBERS:
        raise NotNumbers("Expand to too many numbers")
    return np.broadcast_to(values[0], np.broadcast_shapes(values[0].shape, tuple(shape)))


def _clip(node: Node, values: list[Any]) -> Any:
    array = values[0]
    for place, name, function in ((1, "min", np.maximum), (2, "max", np.minimum)):
        stated = _at(values, place)
        bound = stated.reshape(-1)[0] if stated is not None else node.attributes.get(name)
        array = array if bound is None else function(array, bound)
    return array


def _at(values: Sequence[Any], place: int) -> Any:
    return values[place] if len(values) > place else None


_FUNCTIONS: Mapping[str, Callable[[Node, list[Any]], Any]] = {
    "Add": lambda _, values: values[0] + values[1],
    "Sub": lambda _, values: values[0] - values[1],
    "Mul": lambda _, values: values[0] * values[1],
    "Div": _divide,
    "Mod": lambda _, values: values[0] % values[1],
    "Neg": lambda _, values: -values[0],
    "Sqrt": lambda _, values: _map(math.sqrt, values[0]),
    "Floor": lambda _, values: _map(math.floor, values[0]),
    "Ceil": lambda _, values: _map(math.ceil, values[0]),
    "Pow": lambda _, values: _map(lambda base: math.pow(base, values[1].reshape(-1)[0]), values[0]),
    "Max": lambda _, values: np.maximum.reduce(values),
    "Min": lambda _, values: np.minimum.reduce(values),
    "Clip": _clip,
    "Equal": lambda _, values: values[0] == values[1],
    "Greater": lambda _, values: values[0] > values[1],
    "Less": lambda _, values: values[0] < values[1],
    "Not": lambda _, values: _map(lambda value: not value, values[0]),
    "Where": lambda _, values: np.where(values[0].astype(bool), values[1], values[2]),
    "Cast": _cast,
    "Identity": lambda _, values: values[0],
    "Concat": lambda node, values: np.concatenate(values, axis=int_of(node, "axis", 0)),
    "Gather": _gather,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Reshape": _reshape,
    "Range": _range,
    "ReduceProd": lambda _, values: np.multiply.reduce(values[0].reshape(-1)),
    "ConstantOfShape": _constant_of_shape,
    "Shape": lambda _, values: np.array(list(values[0].shape), dtype=object),
    "Expand": _expand,
    "Split": _split,
}
