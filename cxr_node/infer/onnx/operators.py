"""Standard ONNX operators as PyTorch functions, for the native program.

Each takes a node and its inputs: tensors, sizes (`Numbers`), or None for an optional input that is absent. What is not
in the table is not converted. The functions lead to operators of the allowlist in `infer/graph.py` only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cxr_node.infer.onnx import numbers
from cxr_node.infer.onnx.file import Node
from cxr_node.infer.onnx.numbers import Numbers, Unsupported

Value = Tensor | Numbers | None
Inputs = Sequence[Value]
Result = Tensor | Numbers | tuple[Tensor, ...]
Operator = Callable[[Node, Inputs], Result]


def tensor(value: Value) -> Tensor:
    """Return a value as a tensor; raise Unsupported if it is a computed size."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Numbers) and value.tensor is not None:
        return value.tensor
    raise Unsupported("a size that depends on the batch is used as a value")


def optional_tensor(inputs: Inputs, place: int) -> Tensor | None:
    """Return an optional input as a tensor."""
    return tensor(inputs[place]) if len(inputs) > place and inputs[place] is not None else None


def known(inputs: Inputs, place: int) -> list[Any] | None:
    """Return an optional input whose values must be known: sizes, or a constant."""
    value = inputs[place] if len(inputs) > place else None
    if value is None:
        return None
    if isinstance(value, Numbers):
        return value.items
    raise Unsupported("a parameter is computed from the film")


def whole(node: Node, name: str, default: int = 0) -> int:
    """Return an attribute that is a whole number."""
    return numbers.int_of(node, name, default)


def real(node: Node, name: str, default: float) -> float:
    """Return an attribute that is a number."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int | float):
        raise Unsupported(f"{node.operator} with {name} = {value!r}")
    return float(value)


def text(node: Node, name: str, default: str) -> str:
    """Return an attribute that is text."""
    value = node.attributes.get(name, default)
    return value if isinstance(value, str) else default


def integers(node: Node, name: str, default: Sequence[int]) -> list[int]:
    """Return an attribute that is a list of whole numbers."""
    value = node.attributes.get(name)
    return [int(item) for item in value] if isinstance(value, list) else list(default)


def _operand(value: Value, other: Tensor) -> Tensor | float:
    """Return an operand: a plain number if it is one and does not raise the rank of the result."""
    if isinstance(value, Numbers) and value.array.size == 1 and value.array.ndim <= other.ndim:
        number: float = value.scalar
        return number
    return tensor(value)


def _binary(function: Callable[[Any, Any], Tensor]) -> Operator:
    def run(_node: Node, inputs: Inputs) -> Tensor:
        first, second = inputs
        if isinstance(first, Tensor):
            return function(first, _operand(second, first))
        if isinstance(second, Tensor):
            number = _operand(first, second)
            return function(number, second)
        return function(tensor(first), tensor(second))

    return run


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    def run(_node: Node, inputs: Inputs) -> Tensor:
        return function(tensor(inputs[0]))

    return run


def _pow(_node: Node, inputs: Inputs) -> Tensor:
    exponent = known(inputs, 1)
    if exponent is None or len(exponent) != 1:
        raise Unsupported("Pow with an exponent that is not one known number")
    return torch.pow(tensor(inputs[0]), exponent[0])


def _clip(node: Node, inputs: Inputs) -> Tensor:
    low, high = (known(inputs, place) for place in (1, 2))
    least: Any = low[0] if low else node.attributes.get("min")
    most: Any = high[0] if high else node.attributes.get("max")
    return torch.clamp(tensor(inputs[0]), least, most)


def _gelu(node: Node, inputs: Inputs) -> Tensor:
    return functional.gelu(tensor(inputs[0]), approximate=text(node, "approximate", "none"))


def _hard_sigmoid(node: Node, inputs: Inputs) -> Tensor:
    return (tensor(inputs[0]) * real(node, "alpha", 0.2) + real(node, "beta", 0.5)).clamp(0, 1)


def _prelu(_node: Node, inputs: Inputs) -> Tensor:
    film, slope = tensor(inputs[0]), tensor(inputs[1])
    return film.clamp(min=0) + film.clamp(max=0) * slope


def _softmax(node: Node, inputs: Inputs) -> Tensor:
    film = tensor(inputs[0])
    axis = whole(node, "axis", -1 if node.opset >= 13 else 1)
    if node.opset < 13 and axis % film.ndim != film.ndim - 1:
        raise Unsupported("Softmax over several axes (operators before version 13)")
    return functional.log_softmax(film, axis) if node.operator == "LogSoftmax" else functional.softmax(film, axis)


def _cast(node: Node, inputs: Inputs) -> Tensor:
    film, kind = tensor(inputs[0]), whole(node, "to")
    if kind in (1, 11):
        # 64-bit floats are computed in 32 bits.
        return (
            torch.where(film, 1.0, 0.0)
            if film.dtype == torch.bool
            else film
            if film.is_floating_point()
            else film * 1.0
        )
    if kind == 9 and film.dtype != torch.bool:
        return film != 0
    if kind in (6, 7) and film.is_floating_point():
        raise Unsupported("Cast of values to whole numbers")
    return film


def _gemm(node: Node, inputs: Inputs) -> Tensor:
    first, second = tensor(inputs[0]), tensor(inputs[1])
    bias = optional_tensor(inputs, 2)
    first = first.transpose(0, 1) if whole(node, "transA") else first
    second = second if whole(node, "transB") else second.transpose(0, 1)
    alpha, beta = real(node, "alpha", 1.0), real(node, "beta", 1.0)
    second = second if alpha == 1 else second * alpha
    bias = bias if bias is None or beta == 1 else bias * beta
    if bias is not None and bias.ndim != 1:
        return functional.linear(first, second) + bias
    return functional.linear(first, second, bias)


def _batch_norm(node: Node, inputs: Inputs) -> Tensor:
    film, scale, bias, mean, variance = (tensor(value) for value in inputs[:5])
    if whole(node, "training_mode"):
        if film.shape[0] != 1 or not isinstance(film.shape[0], int):
            raise Unsupported("BatchNormalization in training mode: export the network in evaluation mode")
        # Of weights, which some networks standardise by this operator: mean and variance are those of the input.
        return functional.instance_norm(film, weight=scale, bias=bias, eps=real(node, "epsilon", 1e-5))
    if len(node.outputs) > 1:
        raise Unsupported("BatchNormalization with statistics as outputs")
    return functional.batch_norm(film, mean, variance, scale, bias, eps=real(node, "epsilon", 1e-5))


def _layer_norm(node: Node, inputs: Inputs) -> Tensor:
    film, scale = tensor(inputs[0]), tensor(inputs[1])
    axis = whole(node, "axis", -1) % film.ndim
    shape = list(film.shape[axis:])
    return functional.layer_norm(film, shape, scale, optional_tensor(inputs, 2), real(node, "epsilon", 1e-5))


def _instance_norm(node: Node, inputs: Inputs) -> Tensor:
    film, scale, bias = (tensor(value) for value in inputs[:3])
    return functional.instance_norm(film, weight=scale, bias=bias, eps=real(node, "epsilon", 1e-5))


def _group_norm(node: Node, inputs: Inputs) -> Tensor:
    film, scale, bias = (tensor(value) for value in inputs[:3])
    groups = whole(node, "num_groups")
    if scale.shape[0] != film.shape[1]:
        raise Unsupported("GroupNormalization with a scale for each group")
    return functional.group_norm(film, groups, scale, bias, real(node, "epsilon", 1e-5))


def _reduce(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def run(node: Node, inputs: Inputs) -> Tensor:
        film, stated = tensor(inputs[0]), known(inputs, 1)
        axes = [int(axis) for axis in stated] if stated is not None else integers(node, "axes", [])
        if not axes and whole(node, "noop_with_empty_axes"):
            return film
        return function(film, axes or list(range(film.ndim)), bool(whole(node, "keepdims", 1)))

    return run


def _norm(film: Tensor, axes: list[int], keep: bool) -> Tensor:
    return (film * film).sum(axes, keepdim=keep).sqrt()


def _where(_node: Node, inputs: Inputs) -> Tensor:
    first, second = inputs[1], inputs[2]
    if isinstance(first, Numbers) and first.array.size == 1 and isinstance(second, Tensor):
        return torch.where(tensor(inputs[0]), first.scalar, second)
    if isinstance(second, Numbers) and second.array.size == 1 and isinstance(first, Tensor):
        return torch.where(tensor(inputs[0]), first, second.scalar)
    return torch.where(tensor(inputs[0]), tensor(first), tensor(second))


def _variadic(function: Callable[[Any, Any], Tensor]) -> Operator:
    def run(node: Node, inputs: Inputs) -> Result:
        result = inputs[0]
        for value in inputs[1:]:
            result = _binary(function)(node, (result, value))  # type: ignore[assignment]
        return tensor(result)

    return run


def _maximum(first: Any, second: Any) -> Tensor:
    return torch.where(first > second, first, second)


def _minimum(first: Any, second: Any) -> Tensor:
    return torch.where(first > second, second, first)


ARITHMETIC: Mapping[str, Operator] = {
    "Add": _binary(lambda first, second: first + second),
    "Sub": _binary(lambda first, second: first - second),
    "Mul": _binary(lambda first, second: first * second),
    "Div": _binary(lambda first, second: first / second),
    "Pow": _pow,
    "Greater": _binary(lambda first, second: first > second),
    "Less": _binary(lambda first, second: first < second),
    "Equal": _binary(lambda first, second: first == second),
    "Not": _unary(torch.logical_not),
    "Max": _variadic(_maximum),
    "Min": _variadic(_minimum),
    "Where": _where,
    "Neg": _unary(torch.neg),
    "Abs": _unary(torch.abs),
    "Exp": _unary(torch.exp),
    "Log": _unary(torch.log),
    "Sqrt": _unary(torch.sqrt),
    "Sin": _unary(torch.sin),
    "Cos": _unary(torch.cos),
    "Floor": _unary(torch.floor),
    "Reciprocal": _unary(lambda film: 1 / film),
    "Erf": _unary(torch.erf),
    "Relu": _unary(functional.relu),
    "Sigmoid": _unary(torch.sigmoid),
    "Tanh": _unary(torch.tanh),
    "HardSwish": _unary(functional.hardswish),
    "Softplus": _unary(functional.softplus),
    "Mish": _unary(functional.mish),
    "LeakyRelu": lambda node, inputs: functional.leaky_relu(tensor(inputs[0]), real(node, "alpha", 0.01)),
    "Elu": lambda node, inputs: functional.elu(tensor(inputs[0]), real(node, "alpha", 1.0)),
    "PRelu": _prelu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Clip": _clip,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Cast": _cast,
    "Dropout": _unary(lambda film: film),
    "Identity": _unary(lambda film: film),
    "MatMul": lambda _, inputs: torch.matmul(tensor(inputs[0]), tensor(inputs[1])),
    "Gemm": _gemm,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "ReduceMean": _reduce(lambda film, axes, keep: film.mean(axes, keepdim=keep)),
    "ReduceSum": _reduce(lambda film, axes, keep: film.sum(axes, keepdim=keep)),
    "ReduceMax": _reduce(lambda film, axes, keep: film.amax(axes, keepdim=keep)),
    "ReduceMin": _reduce(lambda film, axes, keep: film.amin(axes, keepdim=keep)),
    "ReduceL2": _reduce(_norm),
    "ReduceSumSquare": _reduce(lambda film, axes, keep: (film * film).sum(axes, keepdim=keep)),
    "GlobalAveragePool": _unary(lambda film: film.mean(list(range(2, film.ndim)), keepdim=True)),
    "GlobalMaxPool": _unary(lambda film: film.amax(list(range(2, film.ndim)), keepdim=True)),
}
