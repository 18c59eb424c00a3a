"""Small ONNX files of single operators and of a whole classifier, with random weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT: int = onnx.TensorProto.FLOAT
OPSET = 17
SHAPE = ("batch", 3, 32, 32)

node = helper.make_node


def content(
    nodes: Sequence[Any],
    tensors: dict[str, Any] | None = None,
    *,
    shape: Sequence[str | int] = SHAPE,
    opset: int = OPSET,
    outputs: Sequence[str] = ("y",),
) -> bytes:
    """Return an ONNX file with the input `x`."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (tensors or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    file: bytes = model.SerializeToString()
    return file


def classifier(
    *, labels: int = 3, channels: int = 3, side: int = 32, batch: str | int = "batch", last: str = "", seed: int = 7
) -> bytes:
    """Return a classifier of two convolutions and a linear layer; its scores spread over 0 to 1.

    `last` is an operator after the linear layer, such as "Sigmoid".
    """
    random = np.random.default_rng(seed)
    features = 6
    cells = side // 4
    first = (random.standard_normal((features, channels, 5, 5)) / 4).astype(np.float32)
    second = (random.standard_normal((features, features, 3, 3)) / 4).astype(np.float32)
    weights = (random.standard_normal((features * cells * cells, labels)) / cells).astype(np.float32)
    tensors = {"first": first, "second": second, "weights": weights, "bias": np.zeros(labels, np.float32)}
    nodes = [
        node("Conv", ["x", "first"], ["a"], strides=[2, 2], pads=[2, 2, 2, 2]),
        node("Tanh", ["a"], ["b"]),
        node("Conv", ["b", "second"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Tanh", ["c"], ["d"]),
        node("Flatten", ["d"], ["e"]),
        node("Gemm", ["e", "weights", "bias"], ["logits" if last else "y"]),
    ]
    if last:
        nodes.append(node(last, ["logits"], ["y"]))
    return content(nodes, tensors, shape=(batch, channels, side, side))
