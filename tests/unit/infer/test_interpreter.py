"""Interpreter of exported networks: torch.export's outputs bit by bit, devices, weights, and graphs that it refuses."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cxr_node.infer import archive, interpreter
from cxr_node.infer.export import strip_archive
from cxr_node.infer.interpreter import BadGraph, Network
from tests.support import hostile_archives

Change = Callable[[dict[str, Any]], None]

# torch.export warns of a transposed weight, which the archive may hold.
pytestmark = [pytest.mark.filterwarnings("ignore:No complete tensor found"), pytest.mark.slow]


class _Kinds(nn.Module):
    """Every kind of argument and output: sizes, lists, keywords, dtypes, several outputs, shared and turned weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("turned", torch.arange(12.0).reshape(3, 4).t())
        self.offset = nn.Parameter(torch.ones(3))
        self.shared = self.offset

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, 1, 8, 8) -> named outputs."""
        features = self.norm(self.conv(film)).relu_()
        flat = features.reshape(film.shape[0], 4, -1)
        largest, places = flat.max(2)
        gray = torch.arange(4, device=film.device) + torch.zeros_like(largest, dtype=torch.float64)
        joined = torch.cat([largest, gray, places * 0.5], dim=1)
        return {"joined": joined + self.offset.sum(0), "scaled": largest @ self.turned, "same": features}


def _content(network: nn.Module, films: Tensor, *, is_free: bool = True) -> bytes:
    shapes = {"film": {0: torch.export.Dim("batch")}} if is_free else None
    program = torch.export.export(network.eval(), (films,), dynamic_shapes=shapes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return strip_archive(buffer.getvalue())


FILMS = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@cache
def _archive() -> bytes:
    return _content(_Kinds(), FILMS[:2])


def _network() -> Network:
    return archive.open_network(_archive())


def test_outputs_equal_those_of_torch_export_to_the_last_bit() -> None:
    expected = torch.export.load(io.BytesIO(archive.rewrite_checked(_archive()))).module()(FILMS)

    outputs = _network()(FILMS)

    assert list(outputs) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(outputs[name], tensor), name


@pytest.mark.slow
def test_a_second_call_gives_the_same_although_operators_work_in_place() -> None:
    network = _network()

    first, second = network(FILMS), network(FILMS)

    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_films_of_another_size_or_a_batch_that_was_fixed_are_refused() -> None:
    fixed = archive.open_network(_content(_Kinds(), FILMS[:1], is_free=False))

    assert set(fixed(FILMS[:1])) == {"joined", "scaled", "same"}
    with pytest.raises(ValueError, match=r"exported for films of shape \(1, 1, 8, 8\), not \(2, 1, 8, 8\)"):
        fixed(FILMS[:2])
    with pytest.raises(ValueError, match=r"\(None, 1, 8, 8\)"):
        _network()(torch.zeros(1, 1, 8, 9))


def test_another_device_gets_weights_and_new_tensors() -> None:
    meta = torch.device("meta")  # a device without memory, which every build of PyTorch has

    outputs = _network().to(meta)(FILMS.to(meta))

    assert {tensor.device for tensor in outputs.values()} == {meta}
    assert outputs["joined"].shape == (3, 12)


def test_values_are_freed_after_their_last_use() -> None:
    network = _network()

    freed = [slot for step in network.steps for slot in step.unused]

    assert len(freed) == len(set(freed))
    computed = {slot for step in network.steps for slot in step.slots}
    assert computed - set(freed) == set(network.outputs.values())


def test_numbers_of_types_are_those_of_pytorch() -> None:
    from torch._export.serde import schema, serialize

    numbers = serialize._SERIALIZE_TO_TORCH_DTYPE  # the format has no other definition

    assert {int(number): dtype for number, dtype in numbers.items() if int(number) in interpreter._DTYPES} == (
        interpreter._DTYPES
    )
    assert [int(schema.ArgumentKind.POSITIONAL), int(schema.Layout.Strided)] == [1, 7]
    assert {schema.MemoryFormat.ContiguousFormat, schema.MemoryFormat.ChannelsLast} == {1, 2}


def _renamed_input(model: dict[str, Any]) -> None:
    node = next(node for node in model["graph_module"]["graph"]["nodes"] if "cat" in node["target"])
    node["inputs"][0]["arg"]["as_tensors"][0]["name"] = "no_such_value"


def _other_weight(model: dict[str, Any]) -> None:
    model["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = "no.such.weight"


def _no_output(model: dict[str, Any]) -> None:
    model["graph_module"]["signature"]["output_specs"].pop()


@pytest.mark.parametrize("change", [_renamed_input, _other_weight, _no_output])
def test_a_graph_that_refers_to_nothing_is_refused(change: Change) -> None:
    parts = hostile_archives.members(_archive())
    model = json.loads(parts[hostile_archives.MODEL])
    change(model)

    with pytest.raises((BadGraph, ValueError), match=r"incomplete|shorter|longer"):
        archive.open_network(hostile_archives.written({**parts, hostile_archives.MODEL: json.dumps(model).encode()}))


@pytest.mark.parametrize("sizes", [[2**40], [-1], [10_000]])
def test_sizes_that_do_not_fit_the_bytes_are_refused(sizes: list[int]) -> None:
    parts = hostile_archives.members(_archive())
    config = json.loads(parts[hostile_archives.WEIGHTS])
    described = next(payload["tensor_meta"] for payload in config["config"].values())
    described["sizes"] = [{"as_int": size} for size in sizes]
    described["strides"] = [{"as_int": 1} for _ in sizes]

    with pytest.raises(BadGraph, match="do not fit"):
        archive.open_network(hostile_archives.written({**parts, hostile_archives.WEIGHTS: json.dumps(config).encode()}))


def test_a_weight_whose_file_is_missing_is_refused() -> None:
    parts = {name: part for name, part in hostile_archives.members(_archive()).items() if not name.endswith("weight_0")}

    with pytest.raises(BadGraph, match="weight_0 is missing"):
        archive.open_network(hostile_archives.written(parts))


def test_the_reader_starts_without_the_compiler_of_pytorch() -> None:
    program = """
import sys
from pathlib import Path
import cxr_node.bundles, cxr_node.infer.bundle as bundle
bundle.load(Path(cxr_node.bundles.__file__).parent / "chest")
print(*({"sympy", "torch._dynamo", "torch._export.serde", "torch._inductor"} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == ""
