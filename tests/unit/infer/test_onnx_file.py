"""ONNX files: what is read, and hostile files, each refused within limits."""

import random
import time

import numpy as np
import pytest
import torch

from cxr_node.infer.onnx import file, program, tensors, wire
from cxr_node.infer.onnx.program import OnnxNetwork
from cxr_node.infer.onnx.tensors import UnsafeFile

onnx = pytest.importorskip("onnx")
onnx_models = pytest.importorskip("tests.support.onnx_models")

node = onnx_models.node


def varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


OPSET = field(8, field(2, 17))


def model(graph: bytes, rest: bytes = OPSET) -> bytes:
    return field(7, graph) + rest


def test_graph_is_read_as_onnx_wrote_it() -> None:
    content = onnx_models.classifier(last="Sigmoid")

    graph = file.parse(content)

    theirs = onnx.load_from_string(content).graph
    assert [one.operator for one in graph.nodes] == [one.op_type for one in theirs.node]
    assert graph.inputs[0].shape == (None, 3, 32, 32)
    assert [value.name for value in graph.outputs] == ["y"]
    for tensor in theirs.initializer:
        assert np.array_equal(graph.tensors[tensor.name], onnx.numpy_helper.to_array(tensor))


HOSTILE = {
    "nothing": (b"", "no graph"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'id'\ntR.", "not an ONNX file"),
    "a zip file": (b"PK\x03\x04" + bytes(100), "not an ONNX file"),
    "a field beyond the end": (varint(7 << 3 | 2) + varint(1 << 40), "ends within"),
    "a number without end": (b"\xff" * 50, "does not end"),
    "a group": (bytes([7 << 3 | 3]), "wire type 3"),
    "operators of the future": (model(b"", field(8, field(2, 99))), "version 99"),
    "functions": (model(b"", OPSET + field(25, b"")), "functions"),
    "training information": (model(b"", OPSET + field(20, b"")), "training information"),
    "sparse tensors": (model(field(15, b"")), "sparse"),
    "a subgraph": (model(field(1, field(4, b"If") + field(5, field(1, b"then") + field(20, 5)))), "holds a graph"),
    "data in another file": (
        model(field(5, field(1, 4) + field(2, 1) + field(8, b"w") + field(13, b"../../etc/passwd") + field(14, 1))),
        "in another file",
    ),
    "a huge tensor": (model(field(5, field(1, 1 << 40) + field(2, 1))), "more than"),
    "a size below zero": (model(field(5, field(1, (1 << 64) - 4) + field(2, 1))), "the shape"),
    "too few values": (model(field(5, field(1, 4) + field(2, 1) + field(9, bytes(8)))), "its shape needs 4"),
    "half a value": (model(field(5, field(1, 4) + field(2, 1) + field(9, bytes(7)))), "not of its data type"),
    "strings": (model(field(5, field(1, 1) + field(2, 8))), "data type 8"),
    "a long name": (model(field(1, field(4, b"x" * 5000))), "1024 are allowed"),
    "packed numbers without end": (
        model(field(5, field(1, 1) + field(2, 7) + field(7, bytes(1 << 23)))),
        "packed numbers",
    ),
    "too many operators": (model(field(1, b"") * (file.MAX_NODES + 1)), "operators"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_with_the_reason(name: str) -> None:
    content, reason = HOSTILE[name]

    with pytest.raises(UnsafeFile, match=reason):
        file.parse(content)


def test_file_of_countless_fields_is_refused_in_time() -> None:
    content = field(1, 0) * (wire.MAX_FIELDS // 100)
    reader = wire.WireReader(1000)

    with pytest.raises(wire.MalformedFile, match="too many fields"):
        list(reader.fields(memoryview(content)))


def test_mutated_files_are_refused_or_read_but_never_fail_otherwise() -> None:
    content = bytearray(onnx_models.classifier(labels=2))
    generator = random.Random(3)  # noqa: S311  # not for secrets
    start = time.monotonic()
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(generator.randint(1, 8)):
            changed[generator.randrange(len(changed))] = generator.randrange(256)
        try:
            graph = file.parse(bytes(changed[: generator.randint(1, len(changed))]))
            OnnxNetwork(graph, wanted=tuple(value.name for value in graph.outputs), film_shape=(3, 32, 32))
        except UnsafeFile:
            pass

    assert time.monotonic() - start < 60


def network(*nodes: object, **arrays: object) -> OnnxNetwork:
    return OnnxNetwork(file.parse(onnx_models.content(nodes, arrays)), wanted=("y",), film_shape=(3, 32, 32))


def test_operator_of_another_domain_is_refused() -> None:
    content = onnx_models.content([node("FusedConv", ["x"], ["y"], domain="com.microsoft")])

    with pytest.raises(UnsafeFile, match=r"com\.microsoft.*only standard operators"):
        file.parse(content)


def test_operator_outside_the_list_is_named() -> None:
    with pytest.raises(UnsafeFile, match="not on the list: Loop, NonZero"):
        network(node("NonZero", ["x"], ["a"]), node("Loop", ["a"], ["y"]))


def test_name_that_nothing_defines_is_refused() -> None:
    with pytest.raises(UnsafeFile, match="'nowhere' of Add is not defined"):
        network(node("Add", ["x", "nowhere"], ["y"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "nodes",
    [
        [node("MatMul", ["column", "row"], ["y"])],
        [node("ConstantOfShape", ["huge"], ["y"])],
        [node("Expand", ["column", "huge"], ["a"]), node("Exp", ["a"], ["y"])],
        [node("Mul", ["number", "number"], ["a"])]
        + [node("Mul", ["a", "a"], ["a"])] * 70
        + [node("Add", ["a", "x"], ["y"])],
        [node("Resize", ["picture", "", "", "sizes"], ["y"], mode="linear")],
    ],
    ids=["product", "filled", "expanded", "squared again and again", "resized"],
)
def test_constant_that_would_use_up_memory_is_refused(nodes: list[object]) -> None:
    arrays = {
        "column": np.zeros((1 << 18, 1), np.float32),
        "row": np.zeros((1, 1 << 18), np.float32),
        "huge": np.array([1 << 20, 1 << 20], np.int64),
        "number": np.array([1 << 40], np.int64),
        "picture": np.zeros((1, 3, 32, 32), np.float32),
        "sizes": np.array([1, 3, 1 << 20, 1 << 20], np.int64),
    }

    with pytest.raises(UnsafeFile):
        network(*nodes, **arrays)


@pytest.mark.slow
def test_constants_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MAX_CONSTANT_ELEMENTS", 5000)
    steps = [node("Exp", ["first"], ["a"]), node("Exp", ["a"], ["b"]), node("Add", ["a", "b"], ["c"])]

    with pytest.raises(UnsafeFile, match="constants have more than 5000 elements"):
        network(*steps, node("Add", ["x", "c"], ["y"]), first=np.zeros((3, 32, 32), np.float32))


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "reason"),
    [
        ("Einsum", ["x", "table"], {"equation": "...ij,jk->...ik"}, "the equation"),
        ("Einsum", ["x", "table"], {"equation": "bchw,ww->bch"}, "the equation"),
        ("Einsum", ["x", "table"], {"equation": "bchw,wk->bchz"}, "the equation"),
        ("Einsum", ["x", "table"], {"equation": "chw,wk->chk"}, "does not fit"),
        ("Einsum", ["x", "x", "table"], {"equation": "bchw,bchw,wk->bk"}, "the equation"),
        ("GatherND", ["x", "far"], {}, "do not fit"),
        ("GatherND", ["table", "places"], {"batch_dims": 1}, "batch_dims above 0"),
        ("GatherND", ["table", "far"], {}, "do not fit"),
        ("ScatterND", ["table", "far", "updates"], {}, "do not fit"),
        ("ScatterND", ["table", "places", "updates"], {"reduction": "add"}, "reduction"),
        ("Range", ["zero", "many", "one"], {}, "too many"),
        ("ConstantOfShape", ["below"], {}, "negative"),
        ("Flatten", ["x"], {"axis": 0}, "axis 0"),
        ("BatchNormalization", ["x", "scale", "scale", "scale", "scale"], {"training_mode": 1}, "evaluation mode"),
    ],
)
def test_operator_that_is_used_otherwise_is_refused(
    operator: str, inputs: list[str], attributes: dict[str, object], reason: str
) -> None:
    arrays = {
        "table": np.zeros((32, 32), np.float32),
        "places": np.array([[0, 1], [2, 3]], np.int64),
        "far": np.array([[0, 1], [2, 300]], np.int64),
        "updates": np.zeros(2, np.float32),
        "zero": np.int64(0),
        "one": np.int64(1),
        "many": np.int64(1 << 40),
        "below": np.array([2, -2], np.int64),
        "scale": np.ones(3, np.float32),
    }

    with pytest.raises(UnsafeFile, match=reason):
        network(node(operator, inputs, ["y"], **attributes), **arrays)(torch.zeros(2, 3, 32, 32))


def test_limits_are_those_that_the_documents_state() -> None:
    assert (file.MAX_BYTES, file.MAX_NODES) == (640 << 20, 20_000)
    assert (tensors.MAX_ELEMENTS, program.MAX_ELEMENTS) == (160 << 20, 1 << 28)
