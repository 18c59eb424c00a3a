"""Operators that make, select and place elements by their indices."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from cxr_node.infer.onnx.file import Node
from cxr_node.infer.onnx.layout import is_fixed, with_open_batch
from cxr_node.infer.onnx.numbers import Numbers, Unsupported
from cxr_node.infer.onnx.operators import Inputs, Operator, known, tensor, text, whole

_MAX_ELEMENTS = 1 << 24
"""Elements of a tensor that is made of a few numbers."""


def _gather(node: Node, inputs: Inputs) -> Tensor:
    film, indices = tensor(inputs[0]), inputs[1]
    axis = whole(node, "axis") % film.ndim
    if not isinstance(indices, Numbers):
        if indices is None or indices.is_floating_point():
            raise Unsupported("Gather with indices computed from the film")
        # Along an axis that depends on the number of films, places below zero are an error when films are run.
        counted = indices + film.shape[axis] * (indices < 0) if is_fixed(film.shape[axis]) else indices
        places = counted.flatten()
        shape = (*film.shape[:axis], *indices.shape, *film.shape[axis + 1 :])
        return torch.index_select(film, axis, places).reshape(with_open_batch(film, list(shape)))
    if indices.array.ndim == 0:
        return film.select(axis, int(indices.scalar))
    if indices.array.ndim != 1:
        raise Unsupported("Gather with indices of more than one dimension")
    first, count = int(indices.items[0]), len(indices.items)
    if first >= 0 and [int(index) for index in indices.items] == list(range(first, first + count)):
        return film[(*[slice(None)] * axis, slice(first, first + count))]
    places = tensor(indices)
    if any(int(index) < 0 for index in indices.items):
        places = places + film.shape[axis] * (places < 0)
    return torch.index_select(film, axis, places)


def _gather_nd(node: Node, inputs: Inputs) -> Tensor:
    if whole(node, "batch_dims"):
        raise Unsupported("GatherND with batch_dims above 0")
    film, places = tensor(inputs[0]), tensor(inputs[1])
    rows, place = _rows(film, places)
    return torch.index_select(rows, 0, place).reshape(*places.shape[:-1], *film.shape[places.shape[-1] :])


def _scatter_nd(node: Node, inputs: Inputs) -> Tensor:
    """Put rows in their places; `index_copy` is not on the allowlist of programs, so only constants pass."""
    if text(node, "reduction", "none") != "none":
        raise Unsupported("ScatterND with a reduction")
    film, places, updates = tensor(inputs[0]), tensor(inputs[1]), tensor(inputs[2])
    rows, place = _rows(film, places)
    return rows.index_copy(0, place, updates.reshape(-1, rows.shape[1])).reshape(film.shape)


def _rows(film: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return the film as rows, one for each index of its first axes, and the number of the row of each place.

    Parameters
    ----------
    places
        Indices, shape (..., axes): of the first `axes` axes of the film.
    """
    axes = places.shape[-1]
    sizes = film.shape[:axes]
    if not all(is_fixed(size) for size in film.shape):
        raise Unsupported("indices along the batch axis")
    number = torch.zeros_like(places[..., 0])
    for axis, size in enumerate(sizes):
        place = places[..., axis]
        _require_within(place, size)
        number = number * size + place + size * (place < 0)
    return film.reshape(math.prod(sizes), math.prod(film.shape[axes:])), number.flatten()


def _require_within(place: Tensor, size: int) -> None:
    """Raise IndexError for an index outside of an axis; values are not known while a network is exported."""
    is_known = not place.is_meta and not torch.compiler.is_exporting()
    if is_known and bool(((place >= size) | (place < -size)).any()):
        raise IndexError(f"an index is not below {size}")


def _range(_node: Node, inputs: Inputs) -> Tensor:
    bounds = [known(inputs, place) for place in range(3)]
    start, stop, step = (part[0] if part else None for part in bounds)
    if (start, step) == (0, 1) and stop is not None and not isinstance(stop, int | float):
        return torch.arange(stop)  # a number for each film
    if not isinstance(start, int) or not isinstance(stop, int) or not isinstance(step, int) or not step:
        raise Unsupported("Range over anything but known whole numbers")
    if abs(stop - start) > _MAX_ELEMENTS * abs(step):
        raise Unsupported("Range over too many numbers")
    return torch.arange(start, stop, step)


def _constant_of_shape(node: Node, inputs: Inputs) -> Tensor:
    sizes = known(inputs, 0)
    if sizes is None or not all(is_fixed(size) and size >= 0 for size in sizes):
        raise Unsupported("a shape that is not known")
    if math.prod(sizes) > _MAX_ELEMENTS:
        raise Unsupported(f"a shape of {sizes}")
    value = node.attributes.get("value")
    filling = value.reshape(-1)[0].item() if isinstance(value, np.ndarray) else 0.0
    return torch.full((), filling).expand(sizes)


INDEXING: Mapping[str, Operator] = {
    "Gather": _gather,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "Range": _range,
    "ConstantOfShape": _constant_of_shape,
}
