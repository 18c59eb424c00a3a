"""An ONNX graph as a PyTorch module: runs its nodes in order, on films of any batch size."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from cxr_node.infer.onnx import numbers
from cxr_node.infer.onnx.file import Graph, Node
from cxr_node.infer.onnx.layout import LAYOUT, is_fixed
from cxr_node.infer.onnx.numbers import Numbers, Unsupported
from cxr_node.infer.onnx.operators import ARITHMETIC, Operator, Value
from cxr_node.infer.onnx.tensors import Array, UnsafeFile

OPERATORS: Mapping[str, Operator] = {**ARITHMETIC, **LAYOUT}
"""Operators on tensors by name: the allowlist."""
NAMES = frozenset(OPERATORS) | {
    "Constant",
    "ConstantOfShape",
    "Range",
    "Mod",
    "Floor",
    "Ceil",
    "Equal",
    "Not",
    "ReduceProd",
}
"""All operators of the allowlist: those on tensors, and those on sizes only."""

MAX_ELEMENTS = 1 << 28
"""Elements of one intermediate result, for one film."""


class OnnxNetwork(nn.Module):
    """The nodes of a graph with its tensors as buffers.

    Nodes whose inputs are all constant are computed once, at construction.

    Parameters
    ----------
    wanted
        Names of the outputs to return.

    Raises
    ------
    UnsafeFile
        If an operator is not on the allowlist, a name is not defined, or a constant is too large.
    """

    def __init__(self, graph: Graph, *, wanted: tuple[str, ...]) -> None:
        super().__init__()
        missing = sorted({node.operator for node in graph.nodes} - NAMES)
        if missing:
            raise UnsafeFile(f"operators that are not on the list: {', '.join(name[:80] for name in missing[:10])}")
        if len(graph.inputs) != 1:
            raise UnsafeFile(f"it has {len(graph.inputs)} inputs, expected one: the film")
        self._input = graph.inputs[0].name
        self._wanted = wanted
        self._constants: dict[str, str | Numbers] = {}
        self._plain: dict[str, Array] = {}
        for name, array in graph.tensors.items():
            self._define(name, _as_tensor(array))
        needed = _needed(graph, wanted)
        self._nodes = [node for node in graph.nodes if any(name in needed for name in node.outputs)]
        self._nodes = [node for node in self._nodes if not self._fold(node)]
        self._drop_constants({*wanted, *(name for node in self._nodes for name in node.inputs)})

    def forward(self, films: Tensor) -> dict[str, Tensor]:
        """(B, channels, rows, columns) or (B, rows, columns, channels) -> the wanted outputs by name."""
        values: dict[str, Value] = {name: self._constant(name) for name in self._constants}
        values[self._input] = films
        for node in self._nodes:
            _run(node, values)
        outputs = {name: values.get(name) for name in self._wanted}
        return {name: output for name, output in outputs.items() if isinstance(output, Tensor)}

    def _define(self, name: str, value: Tensor | Numbers) -> None:
        """Keep a constant: a tensor as a buffer, sizes as they are."""
        if isinstance(value, Numbers):
            if any(not isinstance(item, int | float) for item in value.items):
                self._constants[name] = value
                return
            value = value.tensor if value.tensor is not None else _as_tensor(_plain_array(value))
        if value.numel() > MAX_ELEMENTS:
            raise UnsafeFile(f"the constant {name[:80]!r} has {value.numel()} elements")
        buffer = f"tensor_{len(self._constants)}"
        self.register_buffer(buffer, value)
        self._constants[name] = buffer
        if value.ndim <= 1 and value.numel() <= numbers.MAX_NUMBERS:
            self._plain[buffer] = np.array(value.tolist(), dtype=object)  # a traced tensor has no values

    def _constant(self, name: str) -> Tensor | Numbers:
        value = self._constants[name]
        if isinstance(value, Numbers):
            return value
        tensor = self.get_buffer(value)
        return Numbers(self._plain[value], tensor) if value in self._plain else tensor

    def _fold(self, node: Node) -> bool:
        """Compute a node whose inputs are all constant; return whether it was."""
        if node.operator == "Constant":
            self._define(node.outputs[0], _constant_of(node))
            return True
        if not all(name == "" or name in self._constants for name in node.inputs):
            return False
        values: dict[str, Value] = {name: self._constant(name) for name in node.inputs if name}
        if node.operator == "ConstantOfShape":
            self._define(node.outputs[0], _filled(node, values[node.inputs[0]]))
            return True
        with torch.no_grad():
            _run(node, {name: _without_values(value) for name, value in values.items()})
            _run(node, values)
        for name in node.outputs:
            value = values.get(name)
            if value is not None:
                self._define(name, value)
        return True

    def _drop_constants(self, used: set[str]) -> None:
        """Remove the constants that no remaining node uses."""
        for name in [name for name in self._constants if name not in used]:
            value = self._constants.pop(name)
            if not isinstance(value, Numbers):
                delattr(self, value)


def _without_values(value: Value) -> Value:
    """Return a value without elements, to learn the size of a result before it is computed."""
    if isinstance(value, Numbers):
        return Numbers(value.array, value.tensor.to("meta") if value.tensor is not None else None)
    return value.to("meta") if value is not None else None


def _needed(graph: Graph, wanted: tuple[str, ...]) -> set[str]:
    """Return the names that the wanted outputs depend on; raise UnsafeFile for one that nothing defines in time."""
    needed = set(wanted)
    for node in reversed(graph.nodes):
        if any(name in needed for name in node.outputs):
            needed.update(name for name in node.inputs if name)
    defined = {*graph.tensors, *(value.name for value in graph.inputs)}
    for node in graph.nodes:
        if any(name in needed for name in node.outputs):
            undefined = next((name for name in node.inputs if name and name not in defined), None)
            if undefined is not None:
                raise UnsafeFile(f"the input {undefined[:80]!r} of {node.operator} is not defined before it")
        defined.update(node.outputs)
    absent = [name for name in wanted if name not in defined]
    if absent:
        raise UnsafeFile(f"no operator gives the output {absent[0][:80]!r}")
    return needed


def _run(node: Node, values: dict[str, Value]) -> None:
    """Run one node and store its outputs."""
    inputs = [values.get(name) if name else None for name in node.inputs]
    try:
        if node.operator not in ("Shape", "Size") and _are_sizes(node, inputs):
            sizes = [value for value in inputs if not isinstance(value, Tensor)]
            result: object = numbers.evaluate(node, sizes)
        elif node.operator in OPERATORS:
            result = OPERATORS[node.operator](node, inputs)
        else:
            result = _refuse(node)
    except Unsupported as error:
        raise UnsafeFile(f"{node.operator}: {error}") from error
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{node.operator} has inputs or attributes that do not fit it: {error}") from error
    results = result if isinstance(result, tuple) else (result,)
    for name, value in zip(node.outputs, results, strict=False):
        if isinstance(value, Tensor) and math.prod(filter(is_fixed, value.shape)) > MAX_ELEMENTS:
            raise UnsafeFile(f"{node.operator} gives a result of shape {tuple(value.shape)}, which is too large")
        if isinstance(value, Tensor | Numbers):
            values[name] = value


def _refuse(node: Node) -> Numbers:
    raise Unsupported(f"{node.operator} on values that depend on the film")


def _are_sizes(node: Node, inputs: list[Value]) -> bool:
    """Whether a node computes sizes: all of its inputs are."""
    if not numbers.is_known(node) or any(isinstance(value, Tensor) for value in inputs):
        return False
    return any(value is not None for value in inputs)


def _as_tensor(array: Array) -> Tensor:
    """Return a tensor of floats of 32 bits, whole numbers of 64, or booleans."""
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    return torch.from_numpy(array.astype(bool if array.dtype.kind == "b" else np.int64))


def _plain_array(value: Numbers) -> Array:
    """Return numbers as an array of one data type."""
    kind = bool if all(isinstance(item, bool) for item in value.items) else None
    array: Array = np.array(value.array.tolist(), dtype=kind)
    return array


def _constant_of(node: Node) -> Tensor:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        value = node.attributes.get(name)
        if value is not None and not isinstance(value, str):
            return _as_tensor(np.asarray(value))
    raise UnsafeFile("Constant without a number")


def _filled(node: Node, shape: Value) -> Tensor | Numbers:
    if not isinstance(shape, Numbers):
        raise UnsafeFile("ConstantOfShape of too many dimensions")
    sizes = [int(size) for size in shape.items]
    if math.prod(sizes) > MAX_ELEMENTS or any(size < 0 for size in sizes):
        raise UnsafeFile(f"ConstantOfShape of {sizes}")
    value = node.attributes.get("value")
    filling = _as_tensor(value) if isinstance(value, np.ndarray) else torch.zeros(1)
    return filling.reshape(-1)[0].expand(sizes).clone()
