"""An ONNX graph as a PyTorch module: runs its nodes in order, on films of any batch size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from cxr_node.infer.onnx import numbers
from cxr_node.infer.onnx.einsum import einsum
from cxr_node.infer.onnx.file import Graph, Node
from cxr_node.infer.onnx.indexing import INDEXING
from cxr_node.infer.onnx.layout import LAYOUT, is_fixed
from cxr_node.infer.onnx.numbers import Numbers, Unsupported
from cxr_node.infer.onnx.operators import ARITHMETIC, Operator, Value
from cxr_node.infer.onnx.tensors import Array, UnsafeFile

OPERATORS: Mapping[str, Operator] = {**ARITHMETIC, **LAYOUT, **INDEXING, "Einsum": einsum}
"""Operators on tensors by name: the allowlist."""
NAMES = frozenset(OPERATORS) | {"Constant", "Mod", "Ceil", "ReduceProd"}
"""All operators of the allowlist: those on tensors, and those on sizes only."""

MAX_ELEMENTS = 1 << 28
"""Elements of one intermediate result, for one film."""
MAX_CONSTANT_ELEMENTS = 1 << 29
"""Elements of all tensors of a file, and of all constants that are computed from them."""
_TRIAL_BATCHES = (1, 2, 37)
"""Numbers of films for which sizes are computed: those that are the same for all are constant."""

_Values = dict[str, Value]
_Trials = dict[int, _Values]
"""What was computed for each number of films, by name, without elements."""


class OnnxNetwork(nn.Module):
    """The nodes of a graph with its tensors as buffers.

    Nodes whose inputs are all constant are computed once, at construction; with `film_shape`, so are sizes that do not
    depend on the number of films, and what is computed from them, such as masks and tables of positions.

    Parameters
    ----------
    wanted
        Names of the outputs to return.
    film_shape
        Shape of one film as the file takes it.

    Raises
    ------
    UnsafeFile
        If an operator is not on the allowlist, a name is not defined, or a constant is too large.
    """

    def __init__(self, graph: Graph, *, wanted: tuple[str, ...], film_shape: tuple[int, ...] | None = None) -> None:
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
        self._elements = 0
        for name, array in graph.tensors.items():
            self._define(name, _as_tensor(array))
        needed = _needed(graph, wanted)
        trials = _trials(graph, film_shape)
        nodes = [node for node in graph.nodes if any(name in needed for name in node.outputs)]
        settled = [self._settled(node, trials) for node in nodes]
        self._nodes = _used([node for node in settled if node is not None], wanted)
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
        self._elements += value.numel()
        if self._elements > MAX_CONSTANT_ELEMENTS:
            raise UnsafeFile(f"up to {name[:80]!r}, constants have more than {MAX_CONSTANT_ELEMENTS} elements")
        buffer = f"tensor_{len(self._constants)}"
        self.register_buffer(buffer, value.contiguous())
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
        with torch.no_grad():
            _run(node, {name: _without_values(value) for name, value in values.items()})
            _run(node, values)
        for name in node.outputs:
            value = values.get(name)
            if value is not None:
                self._define(name, value)
        return True

    def _settled(self, node: Node, trials: _Trials) -> Node | None:
        """Return a node to run for each batch, or None if its outputs are constant.

        A Reshape gets the shape that it had in all trials, with -1 for the size that depends on the number of films.
        """
        if self._fold(node):
            return None
        self._try(node, trials)
        if not trials:
            return node
        results = {name: [values.get(name) for values in trials.values()] for name in node.outputs if name}
        learned = {name: value for name, values in results.items() if (value := _common(values)) is not None}
        for name, value in learned.items():
            self._define(name, value)
        if learned.keys() == results.keys():
            return None
        first = node.outputs[0]
        if node.operator == "Range":
            for values in trials.values():
                values[first] = _as_places(values.get(first))
        return _with_shape(node, results.get(first, [])) if node.operator == "Reshape" else node

    def _try(self, node: Node, trials: _Trials) -> None:
        """Run a node for each number of films, without elements; remove all trials if it cannot be run."""
        for films, values in trials.items():
            own = {name: _without_values(self._constant(name)) for name in node.inputs if name in self._constants}
            own.update({name: values[name] for name in node.inputs if name in values})
            try:
                _run(node, own, films)
            except UnsafeFile:  # found again, with its reason, when films are run
                trials.clear()
                return
            values.update({name: _without_values(own[name]) for name in node.outputs if name in own})

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


def _trials(graph: Graph, film_shape: tuple[int, ...] | None) -> _Trials:
    """Return the films of each trial; none for a file that is for one film."""
    (film,) = graph.inputs
    if film_shape is None or film.shape is None or film.shape[0] is not None:
        return {}
    return {films: {film.name: torch.empty(films, *film_shape, device="meta")} for films in _TRIAL_BATCHES}


def _common(values: Sequence[Value]) -> Numbers | None:
    """Return sizes that are the same in all trials, or None."""
    sizes = [value for value in values if isinstance(value, Numbers)]
    if len(sizes) != len(values):
        return None
    first = sizes[0]
    same = all(other.array.shape == first.array.shape and other.items == first.items for other in sizes)
    return Numbers(first.array) if same else None


def _as_places(value: Value) -> Value:
    """Return a range over films as the tensor that it is in the program, without elements."""
    return torch.empty(value.array.shape, dtype=torch.int64, device="meta") if isinstance(value, Numbers) else value


def _with_shape(node: Node, results: Sequence[Value]) -> Node:
    """Return a Reshape with a known shape, if at most one size differs between trials."""
    shapes = [tuple(value.shape) for value in results if isinstance(value, Tensor)]
    if not shapes or len(shapes) != len(results):
        return node
    sizes = [sized[0] if len(set(sized)) == 1 else -1 for sized in zip(*shapes, strict=True)]
    if sizes.count(-1) > 1:
        return node
    return replace(node, inputs=node.inputs[:1], attributes={"shape": sizes})


def _used(nodes: Sequence[Node], wanted: Sequence[str]) -> list[Node]:
    """Return the nodes that the wanted outputs depend on."""
    needed, used = set(wanted), []
    for node in reversed(nodes):
        if any(name in needed for name in node.outputs):
            needed.update(node.inputs)
            used.append(node)
    return used[::-1]


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


def _run(node: Node, values: _Values, films: int = 1) -> None:
    """Run one node, on that many films, and store its outputs."""
    inputs = [values.get(name) if name else None for name in node.inputs]
    try:
        if node.operator not in ("Shape", "Size") and _are_sizes(node, inputs):
            result = _sizes(node, inputs)
        else:
            result = _operate(node, inputs)
    except Unsupported as error:
        raise UnsafeFile(f"{node.operator}: {error}") from error
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{node.operator} has inputs or attributes that do not fit it: {error}") from error
    results = result if isinstance(result, tuple) else (result,)
    for name, value in zip(node.outputs, results, strict=False):
        if isinstance(value, Tensor) and math.prod(filter(is_fixed, value.shape)) > MAX_ELEMENTS * films:
            raise UnsafeFile(f"{node.operator} gives a result of shape {tuple(value.shape)}, which is too large")
        if isinstance(value, Tensor | Numbers):
            values[name] = value


def _sizes(node: Node, inputs: Sequence[Value]) -> object:
    """Run a node whose inputs are sizes, on numbers, or on tensors if the result is large."""
    try:
        return numbers.evaluate(node, [value for value in inputs if not isinstance(value, Tensor)])
    except numbers.NotNumbers:
        return _operate(node, inputs)


def _operate(node: Node, inputs: Sequence[Value]) -> object:
    """Run a node on tensors."""
    if node.operator not in OPERATORS:
        raise Unsupported(f"{node.operator} on values that depend on the film")
    return OPERATORS[node.operator](node, inputs)


def _are_sizes(node: Node, inputs: Sequence[Value]) -> bool:
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
