"""Operators on windows and layout: convolution, pooling, resizing, and the movement of elements."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cxr_node.infer.onnx import numbers
from cxr_node.infer.onnx.file import Node
from cxr_node.infer.onnx.numbers import Numbers, Unsupported
from cxr_node.infer.onnx.operators import (
    Inputs,
    Operator,
    Value,
    integers,
    known,
    optional_tensor,
    real,
    tensor,
    text,
    whole,
)

_PLANE = 2
"""Spatial dimensions."""
_LOWEST = torch.finfo(torch.float32).min
"""Below every value of a map; minus infinity does not pass the allowlist of programs."""
_MAX_SIDE = 1 << 14
"""Rows or columns of a resized map."""


def _pads(
    node: Node, film: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Return the padding: top, left, bottom, right."""
    mode = text(node, "auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        return integers(node, "pads", [0] * 4)
    if mode == "VALID":
        return [0] * 4
    before, after = [], []
    for axis in range(_PLANE):
        size = film.shape[2 + axis]
        covered = (kernel[axis] - 1) * dilations[axis] + 1
        total = max((-(-size // strides[axis]) - 1) * strides[axis] + covered - size, 0)
        smaller, larger = total // 2, total - total // 2
        before.append(smaller if mode == "SAME_UPPER" else larger)
        after.append(larger if mode == "SAME_UPPER" else smaller)
    return [*before, *after]


def _require_plane(node: Node, film: Tensor) -> None:
    if film.ndim != _PLANE + 2:
        raise Unsupported(f"{node.operator} in {film.ndim - 2} dimensions")


def _padded(film: Tensor, pads: Sequence[int], value: float) -> tuple[Tensor, list[int]]:
    """Return the film, and the symmetric padding that is left to do."""
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return film, [top, left]
    return functional.pad(film, [left, right, top, bottom], value=value), [0, 0]


def _conv(node: Node, inputs: Inputs) -> Tensor:
    film, weight = tensor(inputs[0]), tensor(inputs[1])
    _require_plane(node, film)
    strides, dilations = integers(node, "strides", [1, 1]), integers(node, "dilations", [1, 1])
    pads = _pads(node, film, list(weight.shape[2:]), strides, dilations)
    film, rest = _padded(film, pads, 0.0)
    bias = optional_tensor(inputs, 2)
    return functional.conv2d(film, weight, bias, strides, rest, dilations, whole(node, "group", 1))


def _conv_transpose(node: Node, inputs: Inputs) -> Tensor:
    film, weight = tensor(inputs[0]), tensor(inputs[1])
    _require_plane(node, film)
    top, left, bottom, right = integers(node, "pads", [0] * 4)
    if (top, left) != (bottom, right) or text(node, "auto_pad", "NOTSET") != "NOTSET":
        raise Unsupported("ConvTranspose with uneven padding")
    return functional.conv_transpose2d(
        film,
        weight,
        optional_tensor(inputs, 2),
        integers(node, "strides", [1, 1]),
        [top, left],
        integers(node, "output_padding", [0, 0]),
        whole(node, "group", 1),
        integers(node, "dilations", [1, 1]),
    )


def _max_pool(node: Node, inputs: Inputs) -> Tensor:
    film = tensor(inputs[0])
    _require_plane(node, film)
    if len(node.outputs) > 1:
        raise Unsupported("MaxPool with indices")
    kernel, strides = integers(node, "kernel_shape", []), integers(node, "strides", [1, 1])
    dilations = integers(node, "dilations", [1, 1])
    pads = _pads(node, film, kernel, strides, dilations)
    film, rest = _padded(film, pads, _LOWEST)
    return functional.max_pool2d(film, kernel, strides, rest, dilations, bool(whole(node, "ceil_mode")))


def _average_pool(node: Node, inputs: Inputs) -> Tensor:
    film = tensor(inputs[0])
    _require_plane(node, film)
    kernel, strides = integers(node, "kernel_shape", []), integers(node, "strides", [1, 1])
    if integers(node, "dilations", [1, 1]) != [1, 1]:
        raise Unsupported("AveragePool with dilations")
    pads = _pads(node, film, kernel, strides, [1, 1])
    counted = bool(whole(node, "count_include_pad"))
    if pads[:2] != pads[2:] and not counted:
        raise Unsupported("AveragePool with uneven padding that is not counted")
    film, rest = _padded(film, pads, 0.0)
    return functional.avg_pool2d(film, kernel, strides, rest, bool(whole(node, "ceil_mode")), counted)


def _pad(node: Node, inputs: Inputs) -> Tensor:
    film, stated = tensor(inputs[0]), known(inputs, 1)
    pads = [int(size) for size in stated] if stated is not None else integers(node, "pads", [])
    value = known(inputs, 2)
    if known(inputs, 3) is not None or len(pads) != 2 * film.ndim:
        raise Unsupported("Pad of some axes only")
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(text(node, "mode", "constant"))
    if mode is None:
        raise Unsupported(f"Pad in mode {text(node, 'mode', '')!r}")
    if not any(pads):
        return film
    sides = [size for axis in reversed(range(film.ndim)) for size in (pads[axis], pads[axis + film.ndim])]
    while len(sides) > 2 and sides[-2:] == [0, 0]:
        sides = sides[:-2]
    filling = float(value[0]) if value else real(node, "value", 0.0)
    return functional.pad(film, sides, mode, filling if mode == "constant" else None)


def _resize(node: Node, inputs: Inputs) -> Tensor:
    film = tensor(inputs[0])
    _require_plane(node, film)
    is_upsample = node.operator == "Upsample"
    scales, sizes = known(inputs, 1 if is_upsample else 2), None if is_upsample else known(inputs, 3)
    if scales:
        size = [int(film.shape[axis] * float(scales[axis])) for axis in (2, 3)]
    elif sizes:
        size = [int(number) for number in sizes[-_PLANE:]]
    else:
        raise Unsupported(f"{node.operator} without scales and sizes")
    if max(size) > _MAX_SIDE:
        raise Unsupported(f"{node.operator} to {size[0]} x {size[1]}")
    mode = text(node, "mode", "nearest")
    places = text(node, "coordinate_transformation_mode", "asymmetric" if is_upsample else "half_pixel")
    if mode == "nearest" and (places == "asymmetric" or _is_multiple(film, size)):
        return functional.interpolate(film, size, mode="nearest")
    if mode == "linear" and places in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return functional.interpolate(film, size, mode="bilinear", align_corners=places == "align_corners")
    raise Unsupported(f"{node.operator} in mode {mode!r}, {places!r}")


def _is_multiple(film: Tensor, size: Sequence[int]) -> bool:
    return all(wanted % film.shape[2 + axis] == 0 for axis, wanted in enumerate(size))


def _reshape(node: Node, inputs: Inputs) -> Tensor:
    film, shape = tensor(inputs[0]), known(inputs, 1)
    if shape is None:
        return film.reshape(integers(node, "shape", []))  # learned before, see program.py
    if not whole(node, "allowzero"):
        shape = [film.shape[axis] if isinstance(size, int) and size == 0 else size for axis, size in enumerate(shape)]
    return film.reshape(with_open_batch(film, shape))


def with_open_batch(film: Tensor, shape: list[Any]) -> list[Any]:
    """Return a shape in which the size that depends on the number of films is -1, as far as it can be told.

    A file exported for one film has the batch of one in its shapes. Films come first, so the first size takes it up.
    """
    is_open = [not is_fixed(size) for size in shape]
    symbolic = any(not is_fixed(size) for size in film.shape)
    if sum(is_open) == 1 and -1 not in [size for size in shape if isinstance(size, int)]:
        return [-1 if opened else size for size, opened in zip(shape, is_open, strict=True)]
    if not any(is_open) and symbolic and len(shape) > 1:
        if -1 not in shape:
            return [-1, *shape[1:]]
        if shape[0] == 1 and not is_fixed(film.shape[0]):
            return [film.shape[0], *shape[1:]]
    return shape


def product(sizes: Iterable[Any]) -> Any:
    """Return the product of sizes, of which one may depend on the number of films."""
    return math.prod(sizes)


def is_fixed(size: Any) -> bool:
    """Whether a size is a plain number, and not one that depends on the number of films."""
    return isinstance(size, int)


def _flatten(node: Node, inputs: Inputs) -> Tensor:
    film, axis = tensor(inputs[0]), whole(node, "axis", 1)
    axis = axis % film.ndim if axis != film.ndim else axis
    if axis == 1:
        return film.flatten(1)
    sizes = film.shape[axis:]
    if axis == 0 or not all(is_fixed(size) for size in sizes):
        raise Unsupported(f"Flatten at axis {axis}")
    return film.reshape(-1, math.prod(sizes))


def _transpose(node: Node, inputs: Inputs) -> Tensor:
    film = tensor(inputs[0])
    return film.permute(integers(node, "perm", list(reversed(range(film.ndim)))))


def _axes(node: Node, inputs: Inputs) -> list[int]:
    axes = inputs[1] if len(inputs) > 1 else None
    return numbers.axes_of(node, axes.array if isinstance(axes, Numbers) else None)


def _unsqueeze(node: Node, inputs: Inputs) -> Tensor:
    film, axes = tensor(inputs[0]), _axes(node, inputs)
    rank = film.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        film = film.unsqueeze(axis)
    return film


def _squeeze(node: Node, inputs: Inputs) -> Tensor:
    film, axes = tensor(inputs[0]), _axes(node, inputs)
    if not axes:
        raise Unsupported("Squeeze of all axes")
    for axis in sorted((axis % film.ndim for axis in axes), reverse=True):
        film = film.squeeze(axis)
    return film


def _slice(node: Node, inputs: Inputs) -> Tensor:
    film = tensor(inputs[0])
    parts = []
    for value in inputs[1:]:
        if isinstance(value, Tensor):
            raise Unsupported("Slice with starts or ends computed from the film")
        parts.append(value.array if value is not None else None)
    for axis, start, end, step in numbers.slices(node, parts, film.ndim):
        if step < 1:
            film = _slice_backwards(film, axis, slice(start, end, step))
            continue
        index = [slice(None)] * axis + [slice(start, end if end < 1 << 31 else None, step)]
        film = film[tuple(index)]
    return film


def _slice_backwards(film: Tensor, axis: int, cut: slice) -> Tensor:
    """Return every element from start down to end, by a slice forwards that is turned round."""
    size = film.shape[axis]
    if cut.step != -1 or not is_fixed(size):
        raise Unsupported(f"Slice with a step of {cut.step}")
    places = range(*cut.indices(size))
    index = [slice(None)] * axis + [slice(places[-1], places[0] + 1) if places else slice(0, 0)]
    return film[tuple(index)].flip(axis)


def _split(node: Node, inputs: Inputs) -> tuple[Tensor, ...]:
    film, stated = tensor(inputs[0]), known(inputs, 1)
    axis = whole(node, "axis") % film.ndim
    sizes = [int(size) for size in stated] if stated is not None else integers(node, "split", [])
    if not sizes:
        count, size = len(node.outputs), film.shape[axis]
        part = -(-size // count)
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
    parts, start = [], 0
    for size in sizes:
        parts.append(film[(*[slice(None)] * axis, slice(start, start + size))])
        start += size
    return tuple(parts)


def _concat(node: Node, inputs: Inputs) -> Tensor:
    films = [tensor(value) for value in inputs]
    axis = whole(node, "axis") % films[0].ndim
    opened = next((film.shape[0] for film in films if not is_fixed(film.shape[0])), None)
    if opened is not None and axis:
        # A constant beside the films, exported for one film, such as the class token of a transformer.
        films = [
            film.expand(opened, *film.shape[1:]) if is_fixed(film.shape[0]) and film.shape[0] == 1 else film
            for film in films
        ]
    return torch.cat(films, axis)


def _expand(_node: Node, inputs: Inputs) -> Tensor:
    film, shape = tensor(inputs[0]), known(inputs, 1)
    if shape is None or len(shape) < film.ndim:
        raise Unsupported("Expand to fewer dimensions")
    own = [1] * (len(shape) - film.ndim) + list(film.shape)
    return film.expand([_expanded(mine, size) for mine, size in zip(own, shape, strict=True)])


def _expanded(mine: Any, size: Any) -> Any:
    """Return the size of one axis after Expand; -1 for one that depends on the number of films and stays."""
    if not is_fixed(mine) and not is_fixed(size) and bool(mine == size):
        return -1
    return mine if is_fixed(size) and size == 1 else size


def _tile(_node: Node, inputs: Inputs) -> Tensor:
    film, repeats = tensor(inputs[0]), known(inputs, 1)
    if repeats is None or any(size != 1 and mine != 1 for size, mine in zip(repeats, film.shape, strict=True)):
        raise Unsupported("Tile of sizes other than one")
    return film.expand([size if mine == 1 else mine for size, mine in zip(repeats, film.shape, strict=True)])


def _depth_to_space(node: Node, inputs: Inputs) -> Tensor:
    if text(node, "mode", "DCR") != "CRD":
        raise Unsupported("DepthToSpace in mode DCR")
    return functional.pixel_shuffle(tensor(inputs[0]), whole(node, "blocksize", 1))


def _shape(node: Node, inputs: Inputs) -> Numbers:
    shape = list(_sizes(inputs[0]))
    end = node.attributes.get("end")
    return numbers.to_numbers(shape[whole(node, "start") : end if isinstance(end, int) else None])


def _size(_node: Node, inputs: Inputs) -> Numbers:
    return Numbers(np.array(math.prod(_sizes(inputs[0])), dtype=object))


def _sizes(value: Value) -> Sequence[Any]:
    """Return the shape of a tensor, or of sizes."""
    return value.array.shape if isinstance(value, Numbers) else tensor(value).shape


LAYOUT: Mapping[str, Operator] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Expand": _expand,
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
    "Shape": _shape,
    "Size": _size,
}
