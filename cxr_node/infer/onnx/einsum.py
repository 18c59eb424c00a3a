"""Einsum of one or two tensors, by transposition, reshaping and one product of matrices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cxr_node.infer.onnx.file import Node
from cxr_node.infer.onnx.layout import product, with_open_batch
from cxr_node.infer.onnx.numbers import Unsupported
from cxr_node.infer.onnx.operators import Inputs, tensor, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """Letters of the axes of each operand, and of the result."""

    operands: tuple[str, ...]
    result: str


def parse(equation: str) -> Equation:
    """Return an equation such as `bij,bjk->bik`; without an arrow, the result has the letters that occur once, sorted.

    Raises
    ------
    Unsupported
        If it has an ellipsis, a letter twice in one operand, or more than two operands.
    """
    compact = "".join(equation.split())
    left, arrow, result = compact.partition("->")
    operands = tuple(left.split(","))
    if not arrow:
        result = "".join(sorted(letter for letter in set(left) - {","} if left.count(letter) == 1))
    terms = (*operands, result)
    if len(operands) > 2 or any(len(set(term)) != len(term) or (term and not term.isalpha()) for term in terms):
        raise Unsupported(f"the equation {equation[:80]!r}")
    if not set(result) <= set(left):
        raise Unsupported(f"the equation {equation[:80]!r}")
    return Equation(operands=operands, result=result)


def einsum(node: Node, inputs: Inputs) -> Tensor:
    """Return the sum of products that the attribute `equation` states."""
    equation = parse(text(node, "equation", ""))
    tensors = [tensor(value) for value in inputs]
    if [len(term) for term in equation.operands] != [one.ndim for one in tensors]:
        raise Unsupported("an equation that does not fit its inputs")
    if len(tensors) == 1:
        summed, term = _summed(tensors[0], equation.operands[0], equation.result)
        return _permuted(summed, term, equation.result)
    return _product(tensors[0], tensors[1], equation)


def _product(first: Tensor, second: Tensor, equation: Equation) -> Tensor:
    """Return the sum of products of two tensors: axes of both that stay are batches, those that go are summed over."""
    one, two = equation.operands
    first, one = _summed(first, one, equation.result + two)
    second, two = _summed(second, two, equation.result + one)
    batch = [letter for letter in one if letter in two and letter in equation.result]
    summed = [letter for letter in one if letter in two and letter not in equation.result]
    left, right = [letter for letter in one if letter not in two], [letter for letter in two if letter not in one]
    sizes: dict[str, Any] = {**dict(zip(two, second.shape, strict=True)), **dict(zip(one, first.shape, strict=True))}
    groups = [product(sizes[letter] for letter in letters) for letters in (batch, left, summed, right)]
    before = _reshaped(_permuted(first, one, batch + left + summed), [groups[0], groups[1], groups[2]])
    after = _reshaped(_permuted(second, two, batch + summed + right), [groups[0], groups[2], groups[3]])
    whole = _reshaped(torch.matmul(before, after), [sizes[letter] for letter in batch + left + right])
    return _permuted(whole, batch + left + right, equation.result)


def _summed(one: Tensor, term: str, wanted: str) -> tuple[Tensor, str]:
    """Return the sum over the axes whose letters are not wanted, and the letters that remain."""
    axes = [place for place, letter in enumerate(term) if letter not in wanted]
    return (one.sum(axes), "".join(letter for letter in term if letter in wanted)) if axes else (one, term)


def _permuted(one: Tensor, term: Sequence[str], wanted: Sequence[str]) -> Tensor:
    order = [list(term).index(letter) for letter in wanted]
    return one if order == sorted(order) else one.permute(order)


def _reshaped(one: Tensor, sizes: list[Any]) -> Tensor:
    return one.reshape(with_open_batch(one, sizes))
