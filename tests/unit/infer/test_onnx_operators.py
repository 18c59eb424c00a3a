"""Converted ONNX operators, each held against ONNX Runtime; together they pass the allowlist of programs."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cxr_node.infer import archive
from cxr_node.infer.export import strip_archive
from cxr_node.infer.onnx import file
from cxr_node.infer.onnx.program import NAMES, OnnxNetwork

onnxruntime = pytest.importorskip("onnxruntime")
onnx_models = pytest.importorskip("tests.support.onnx_models")

_RANDOM = np.random.default_rng(0)


def _floats(*shape: int) -> Any:
    return _RANDOM.standard_normal(shape).astype(np.float32)


def _ints(*values: int) -> Any:
    return np.array(values, np.int64)


def _number(value: float) -> Any:
    return np.float32(value).reshape(())


def _chain(*steps: tuple[str, list[str], dict[str, Any]]) -> list[Any]:
    """Return nodes whose results are called a, b, ... and at last y; the first input of each is the one before."""
    nodes, before = [], "x"
    for place, (operator, inputs, attributes) in enumerate(steps):
        after = "y" if place == len(steps) - 1 else "abcdefgh"[place]
        nodes.append(onnx_models.node(operator, [before, *inputs], [after], **attributes))
        before = after
    return nodes


_POSITIVE: tuple[Any, ...] = ("Abs", [], {}), ("Add", ["c"], {})
_POINTWISE = [
    *("Abs", "Exp", "Sqrt", "Reciprocal", "Erf", "Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "LeakyRelu"),
    *("Elu", "HardSigmoid", "Neg", "Log", "Identity", "Dropout", "Softmax", "LogSoftmax"),
]
_NORMS = {"s": _floats(3), "b": _floats(3)}
CASES: dict[str, bytes] = {
    **{name: onnx_models.content(_chain(*_POSITIVE, (name, [], {})), {"c": _number(0.3)}) for name in _POINTWISE},
    **{
        f"{name} of a tensor": onnx_models.content(_chain((name, ["c"], {})), {"c": np.abs(_floats(1, 3, 1, 1)) + 1})
        for name in ("Add", "Sub", "Mul", "Div", "Max", "Min")
    },
    "Sub from a number": onnx_models.content(
        [onnx_models.node("Sub", ["c", "x"], ["y"])], {"c": np.array([0.7], np.float32)}
    ),
    "Pow": onnx_models.content(_chain(("Pow", ["c"], {})), {"c": _number(3)}),
    "Clip": onnx_models.content(_chain(("Clip", ["l", "h"], {})), {"l": _number(0.2), "h": _number(0.7)}),
    "PRelu": onnx_models.content(
        _chain(("Sub", ["h"], {}), ("PRelu", ["c"], {})), {"c": _floats(3, 1, 1), "h": _number(0.5)}
    ),
    "Greater, Where": onnx_models.content(
        [onnx_models.node("Greater", ["x", "c"], ["a"]), onnx_models.node("Where", ["a", "x", "c"], ["y"])],
        {"c": _number(0.5)},
    ),
    "Less, Cast": onnx_models.content(_chain(("Less", ["c"], {}), ("Cast", [], {"to": 1})), {"c": _number(0.5)}),
    "Gelu": onnx_models.content(_chain(("Gelu", [], {})), opset=20),
    "Conv with automatic padding": onnx_models.content(
        _chain(("Conv", ["w"], {"auto_pad": "SAME_UPPER", "strides": [2, 2]})), {"w": _floats(4, 3, 3, 3)}
    ),
    "Conv with uneven padding": onnx_models.content(
        _chain(("Conv", ["w"], {"pads": [0, 0, 1, 1], "strides": [2, 2]})), {"w": _floats(4, 3, 3, 3)}
    ),
    "Conv in groups": onnx_models.content(
        _chain(("Conv", ["w", "b"], {"group": 3, "dilations": [2, 2]})), {"w": _floats(6, 1, 3, 3), "b": _floats(6)}
    ),
    "ConvTranspose": onnx_models.content(
        _chain(("ConvTranspose", ["w"], {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]})),
        {"w": _floats(3, 4, 3, 3)},
    ),
    "MaxPool with uneven padding": onnx_models.content(
        _chain(("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}))
    ),
    "MaxPool to a larger size": onnx_models.content(
        _chain(("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}))
    ),
    "AveragePool": onnx_models.content(
        _chain(("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}))
    ),
    "AveragePool with its padding": onnx_models.content(
        _chain(("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}))
    ),
    "GlobalMaxPool, Flatten": onnx_models.content(_chain(("GlobalMaxPool", [], {}), ("Flatten", [], {}))),
    "GlobalAveragePool": onnx_models.content(_chain(("GlobalAveragePool", [], {}))),
    **{
        f"Pad, {mode}": onnx_models.content(
            _chain(("Pad", ["p"], {"mode": mode})), {"p": _ints(0, 0, 1, 2, 0, 0, 3, 1)}
        )
        for mode in ("constant", "reflect", "edge")
    },
    "Resize, nearest": onnx_models.content(
        _chain(
            (
                "Resize",
                ["", "s"],
                {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            )
        ),
        {"s": np.array([1, 1, 2, 2], np.float32)},
    ),
    "Resize, linear": onnx_models.content(
        _chain(("Resize", ["", "", "z"], {"mode": "linear"})), {"z": _ints(1, 3, 48, 40)}
    ),
    **{
        name: onnx_models.content(_chain((name, [], {"axes": [2, 3], "keepdims": 0})))
        for name in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare")
    },
    "ReduceSum": onnx_models.content(_chain(("ReduceSum", ["a1"], {})), {"a1": _ints(1)}),
    "LayerNormalization": onnx_models.content(
        _chain(("LayerNormalization", ["s", "b"], {})), {"s": _floats(32), "b": _floats(32)}
    ),
    "InstanceNormalization": onnx_models.content(_chain(("InstanceNormalization", ["s", "b"], {})), _NORMS),
    "GroupNormalization": onnx_models.content(
        _chain(("GroupNormalization", ["s", "b"], {"num_groups": 3})), _NORMS, opset=21
    ),
    "BatchNormalization": onnx_models.content(
        _chain(("BatchNormalization", ["s", "b", "m", "v"], {})),
        {**_NORMS, "m": _floats(3), "v": np.abs(_floats(3)) + 1},
    ),
    "Shape, Gather, Unsqueeze, Concat, Reshape": onnx_models.content(
        [
            onnx_models.node("Shape", ["x"], ["shape"]),
            onnx_models.node("Gather", ["shape", "zero"], ["batch"], axis=0),
            onnx_models.node("Unsqueeze", ["batch", "axis"], ["batches"]),
            onnx_models.node("Concat", ["batches", "rest"], ["target"], axis=0),
            onnx_models.node("Reshape", ["x", "target"], ["y"]),
        ],
        {"zero": np.array(0, np.int64), "axis": _ints(0), "rest": _ints(-1, 32)},
    ),
    "Reshape for one film": onnx_models.content(
        _chain(("Reshape", ["r"], {})), {"r": _ints(1, -1)}, shape=(1, 3, 32, 32)
    ),
    "Reshape of windows for one film": onnx_models.content(
        _chain(("Reshape", ["r"], {}), ("Reshape", ["q"], {})),
        {"r": _ints(16, 3, 8, 8), "q": _ints(1, 3072)},
        shape=(1, 3, 32, 32),
    ),
    "Split, Concat": onnx_models.content(
        [
            onnx_models.node("Split", ["x", "s"], ["a", "b"], axis=1),
            onnx_models.node("Concat", ["b", "a"], ["y"], axis=1),
        ],
        {"s": _ints(1, 2)},
    ),
    "Slice": onnx_models.content(
        _chain(("Slice", ["f", "t", "n", "o"], {})),
        {"f": _ints(2, -30), "t": _ints(30, 2**63 - 1), "n": _ints(2, 3), "o": _ints(2, 1)},
    ),
    "Gather at one place": onnx_models.content(_chain(("Gather", ["i"], {"axis": 1})), {"i": np.array(-1, np.int64)}),
    "Gather at several": onnx_models.content(_chain(("Gather", ["i"], {"axis": 2})), {"i": _ints(3, 1, -1)}),
    "Gather at a table": onnx_models.content(
        _chain(("Gather", ["i"], {"axis": 3})), {"i": np.array([[3, 1], [0, -1]], np.int64)}
    ),
    "Transpose": onnx_models.content(_chain(("Transpose", [], {"perm": [0, 2, 3, 1]}))),
    "Squeeze": onnx_models.content(
        _chain(("ReduceMean", [], {"axes": [2, 3]}), ("Squeeze", ["n"], {})), {"n": _ints(2, 3)}
    ),
    "Expand": onnx_models.content(
        _chain(("ReduceMean", [], {"axes": [2]}), ("Expand", ["n"], {})), {"n": _ints(1, 1, 5, 1)}
    ),
    "Tile": onnx_models.content(
        _chain(("ReduceMean", [], {"axes": [2]}), ("Tile", ["n"], {})), {"n": _ints(1, 1, 5, 1)}
    ),
    "DepthToSpace": onnx_models.content(
        [
            onnx_models.node("Concat", ["x"] * 4, ["a"], axis=1),
            onnx_models.node("DepthToSpace", ["a"], ["y"], blocksize=2, mode="CRD"),
        ]
    ),
    "Gemm": onnx_models.content(
        _chain(("Flatten", [], {}), ("Gemm", ["w", "b"], {"transB": 1, "alpha": 0.5, "beta": 2.0})),
        {"w": _floats(5, 3072), "b": _floats(5)},
    ),
    "MatMul": onnx_models.content(_chain(("MatMul", ["w"], {})), {"w": _floats(32, 7)}),
    "Sin, Cos, Floor": onnx_models.content(
        _chain(("Mul", ["k"], {}), ("Sin", [], {}), ("Mul", ["k"], {}), ("Floor", [], {}), ("Cos", [], {})),
        {"k": _number(9)},
    ),
    "Equal, Not, Cast": onnx_models.content(
        _chain(("Mul", ["k"], {}), ("Floor", [], {}), ("Equal", ["l"], {}), ("Not", [], {}), ("Cast", [], {"to": 1})),
        {"k": _number(4), "l": _number(2)},
    ),
    "Flatten of windows": onnx_models.content(
        _chain(("Flatten", [], {"axis": 3}), ("Reshape", ["r"], {})), {"r": _ints(-1, 3072)}
    ),
    "Slice backwards": onnx_models.content(
        _chain(("Slice", ["f", "t", "n", "o"], {})), {"f": _ints(-2), "t": _ints(-40), "n": _ints(3), "o": _ints(-1)}
    ),
    "GatherND": onnx_models.content(
        [
            onnx_models.node("GatherND", ["table", "places"], ["a"]),
            onnx_models.node("MatMul", ["x", "a"], ["y"]),
        ],
        {"table": _floats(4, 5, 7), "places": np.array([[i % 4, -1 - i % 5] for i in range(32)], np.int64)},
    ),
    "ScatterND": onnx_models.content(
        [
            onnx_models.node("ScatterND", ["table", "places", "updates"], ["a"]),
            onnx_models.node("MatMul", ["x", "a"], ["y"]),
        ],
        {"table": _floats(32, 7), "places": np.array([[[3, 1], [31, -1]]], np.int64), "updates": _floats(1, 2)},
    ),
    "Mask of the film's size: Range, ConstantOfShape, ScatterND": onnx_models.content(
        [
            onnx_models.node("Shape", ["x"], ["shape"]),
            onnx_models.node("Slice", ["shape", "two", "four"], ["sides"]),
            onnx_models.node("ConstantOfShape", ["sides"], ["zeros"]),
            onnx_models.node("Gather", ["shape", "three"], ["width"]),
            onnx_models.node("Range", ["zero", "width", "step"], ["columns"]),
            onnx_models.node("Unsqueeze", ["columns", "axis"], ["places"]),
            onnx_models.node("ScatterND", ["zeros", "places", "updates"], ["mask"]),
            onnx_models.node("Add", ["x", "mask"], ["y"]),
        ],
        {
            "two": _ints(2),
            "four": _ints(4),
            "three": np.array(3, np.int64),
            "zero": np.array(0, np.int64),
            "step": np.array(5, np.int64),
            "axis": _ints(1),
            "updates": _floats(7, 32),
        },
    ),
    "Mask of more elements than sizes have": onnx_models.content(
        [
            onnx_models.node("Shape", ["x"], ["shape"]),
            onnx_models.node("Gather", ["shape", "channels"], ["three"]),
            onnx_models.node("Concat", ["three", "sides"], ["size"], axis=0),
            onnx_models.node("ConstantOfShape", ["size"], ["zeros"]),
            onnx_models.node("Equal", ["zeros", "c"], ["ones"]),
            onnx_models.node("Cast", ["ones"], ["mask"], to=1),
            onnx_models.node("ReduceMean", ["mask"], ["a"], axes=[1, 2]),
            onnx_models.node("Add", ["x", "a"], ["y"]),
        ],
        {"channels": _ints(1), "sides": _ints(64, 64), "c": _number(0)},
    ),
    "Clip of sizes": onnx_models.content(
        [
            onnx_models.node("Shape", ["x"], ["shape"]),
            onnx_models.node("Gather", ["shape", "three"], ["width"]),
            onnx_models.node("Clip", ["width", "", "most"], ["end"]),
            onnx_models.node("Slice", ["x", "start", "end", "axis"], ["y"]),
        ],
        {"three": _ints(3), "most": np.array(9, np.int64), "start": _ints(0), "axis": _ints(3)},
    ),
    "Shape of sizes": onnx_models.content(
        [
            onnx_models.node("Shape", ["x"], ["shape"]),
            onnx_models.node("Shape", ["shape"], ["rank"]),
            onnx_models.node("Cast", ["rank"], ["a"], to=1),
            onnx_models.node("Mul", ["x", "a"], ["y"]),
        ]
    ),
    "Reshape of windows, with an open size last": onnx_models.content(
        [
            onnx_models.node("Shape", ["x"], ["shape"]),
            onnx_models.node("Gather", ["shape", "first"], ["batch"]),
            onnx_models.node("Mul", ["batch", "windows"], ["all"]),
            onnx_models.node("Concat", ["all", "rest"], ["target"], axis=0),
            onnx_models.node("Reshape", ["x", "target"], ["a"]),
            onnx_models.node("ReduceMax", ["a"], ["b"], axes=[2], keepdims=0),
            onnx_models.node("Concat", ["batch", "rest_again"], ["back"], axis=0),
            onnx_models.node("Reshape", ["b", "back"], ["y"]),
        ],
        {"first": _ints(0), "windows": _ints(16), "rest": _ints(3, -1), "rest_again": _ints(-1)},
    ),
    "Gather among all numbers of a batch": onnx_models.content(
        [
            onnx_models.node("Shape", ["x"], ["batch"], start=0, end=1),
            onnx_models.node("Squeeze", ["batch"], ["films"]),
            onnx_models.node("Range", ["zero", "films", "one"], ["numbers"]),
            onnx_models.node("Mul", ["numbers", "size"], ["starts"]),
            onnx_models.node("Unsqueeze", ["starts", "axis"], ["rows"]),
            onnx_models.node("Add", ["rows", "offsets"], ["places"]),
            onnx_models.node("Reshape", ["x", "flat"], ["a"]),
            onnx_models.node("Gather", ["a", "places"], ["y"], axis=0),
        ],
        {
            "zero": np.array(0, np.int64),
            "one": np.array(1, np.int64),
            "size": _ints(3072),
            "axis": _ints(1),
            "offsets": np.arange(0, 3072, 7).reshape(1, -1),
            "flat": _ints(-1),
        },
    ),
    "BatchNormalization of weights": onnx_models.content(
        [
            onnx_models.node("BatchNormalization", ["w", "s", "b", "m", "v"], ["a", "c", "d"], training_mode=1),
            onnx_models.node("MatMul", ["x", "a"], ["y"]),
        ],
        {**_NORMS, "w": _floats(1, 3, 32, 7), "m": _floats(3), "v": np.abs(_floats(3)) + 1},
    ),
    **{
        f"Einsum {equation}": onnx_models.content(
            [onnx_models.node("Einsum", inputs, ["y"], equation=equation)], {"w": _floats(*shape)} if shape else {}
        )
        for equation, inputs, shape in (
            ("bchw,wk->bkch", ["x", "w"], (32, 7)),
            ("b c h w, b c k w -> b c h k", ["x", "x"], ()),
            ("bchw,cwk->bchk", ["x", "w"], (3, 32, 5)),
            ("wh,bcwv->bcv", ["w", "x"], (32, 4)),
            ("bchw->bwc", ["x"], ()),
            ("bchw,hk", ["x", "w"], (32, 4)),
        )
    },
}
_FILMS = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2)) + 0.01


def _network(case: str) -> OnnxNetwork:
    return OnnxNetwork(file.parse(CASES[case]), wanted=("y",), film_shape=(3, 32, 32)).eval()


def _expected(case: str) -> Any:
    session = onnxruntime.InferenceSession(CASES[case], providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": film[None].numpy()})[0] for film in _FILMS]).reshape(3, -1)


def _difference(outputs: Tensor, expected: Any) -> float:
    return float(np.abs(outputs.detach().reshape(3, -1).numpy() - expected).max() / max(np.abs(expected).max(), 1))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_operator_gives_what_onnx_runtime_gives(case: str) -> None:
    network = _network(case)

    outputs = torch.cat([network(film[None])["y"].reshape(1, -1) for film in _FILMS])

    assert _difference(outputs, _expected(case)) < 1e-5


class _All(nn.Module):
    """Every case as one network."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList([_network(case) for case in CASES])

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 3, 32, 32) -> an output for each case."""
        return {f"case_{place}": network(film)["y"] for place, network in enumerate(self.networks)}


@pytest.mark.slow
def test_converted_operators_pass_the_allowlist_for_any_batch() -> None:
    batch = {"film": {0: torch.export.Dim("batch")}}
    program = torch.export.export(_All(), (_FILMS[:2],), dynamic_shapes=batch)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)

    opened = archive.open_network(strip_archive(buffer.getvalue()))

    outputs = opened(_FILMS)
    for place, case in enumerate(CASES):
        assert _difference(outputs[f"case_{place}"], _expected(case)) < 1e-5, case


def test_every_operator_of_the_list_has_a_case_or_computes_sizes() -> None:
    used = {node.operator for content in CASES.values() for node in file.parse(content).nodes}

    rest = "Ceil Constant Mish Mod ReduceProd Size Upsample"
    assert NAMES - used == set(rest.split())
