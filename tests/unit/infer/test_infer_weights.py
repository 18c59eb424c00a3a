"""Pickled weight files: what is weights comes through, of anything else nothing is run."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cxr_node.infer import weights
from cxr_node.infer.weights import Limits, UnsafeWeights
from tests.support import hostile_pickles as hostile


def refusal(content: bytes, folder: Path, limits: Limits | None = None) -> str:
    file = folder / "weights.pt"
    file.write_bytes(content)
    with pytest.raises(UnsafeWeights) as caught:
        weights.read(file, limits)
    return str(caught.value)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), nn.Linear(2, 3).half()))


@pytest.mark.slow
@pytest.mark.parametrize("written", [hostile.zipped, hostile.legacy], ids=["today", "2020"])
@pytest.mark.parametrize("whole", [True, False], ids=["a whole network", "a state dictionary"])
def test_tensors_come_through_as_they_are(written: Callable[[object], bytes], whole: bool, tmp_path: Path) -> None:
    expected = network().state_dict()
    file = tmp_path / "weights.pt"
    file.write_bytes(written(network() if whole else expected))

    tensors = weights.read(file)

    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


@pytest.mark.parametrize("written", [hostile.zipped, hostile.legacy], ids=["today", "2020"])
def test_a_checkpoint_gives_its_state_dictionary(written: Callable[[object], bytes], tmp_path: Path) -> None:
    expected = network().state_dict()
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}
    file = tmp_path / "m.pth.tar"
    file.write_bytes(
        written({"epoch": 3, "state_dict": expected, "best_loss": np.float64(0.2), "optimizer": optimizer})
    )

    tensors = weights.read(file)

    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())


def test_a_function_beside_the_weights_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "run"
    hidden = {"state_dict": network().state_dict(), "epoch": hostile.calls(marker)["posix.system"]}

    assert "it names posix.system" in refusal(hostile.zipped(hidden), tmp_path)
    assert not marker.exists()


def test_safetensors_come_through_whatever_the_file_is_called(tmp_path: Path) -> None:
    torch_files = pytest.importorskip("safetensors.torch", reason="needs the extra safetensors")
    expected = {"a.weight": torch.rand(2, 3), "b": torch.arange(4), "c": torch.rand(5).to(torch.bfloat16)}
    file = tmp_path / "weights.bin"
    torch_files.save_file(expected, file)

    tensors = weights.read(file)

    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name].to(tensors[name].dtype)) for name in expected)
    assert tensors["c"].dtype == torch.float32


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_safetensors_file_that_is_cut_off_is_refused(share: float, tmp_path: Path) -> None:
    torch_files = pytest.importorskip("safetensors.torch", reason="needs the extra safetensors")
    content = torch_files.save({"weight": torch.rand(100)})

    assert "no safetensors file" in refusal(content[: int(len(content) * share)], tmp_path)


def test_tensors_of_another_type_are_refused(tmp_path: Path) -> None:
    torch_files = pytest.importorskip("safetensors.torch", reason="needs the extra safetensors")

    message = refusal(torch_files.save({"weight": torch.zeros(2, dtype=torch.bool)}), tmp_path)

    assert "it holds torch.bool, expected" in message


def test_a_part_of_a_larger_storage_comes_through(tmp_path: Path) -> None:
    numbers = torch.arange(12.0)
    file = tmp_path / "weights.pt"
    file.write_bytes(hostile.zipped({"a": numbers[2:8].reshape(2, 3), "b": numbers}))

    tensors = weights.read(file)

    assert torch.equal(tensors["a"], numbers[2:8].reshape(2, 3))
    assert torch.equal(tensors["b"], numbers)


@pytest.mark.parametrize("written", [hostile.zipped, hostile.legacy], ids=["today", "2020"])
@pytest.mark.parametrize("kind", ["posix.system", "__builtin__.exec", "__builtin__.eval", "__builtin__.getattr"])
def test_a_file_that_names_a_function_is_refused_and_runs_nothing(
    kind: str, written: Callable[[object], bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "run"

    message = refusal(written(hostile.calls(marker)[kind]), tmp_path)

    assert f"it names {kind}, which no weights need" in message
    assert not marker.exists()


def test_the_files_run_something_where_pickle_alone_reads_them(tmp_path: Path) -> None:
    marker = tmp_path / "run"
    content = pickle.dumps(hostile.calls(marker)["__builtin__.exec"])

    subprocess.run(
        [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"], input=content, check=True
    )

    assert marker.exists()


@pytest.mark.parametrize("kind", ["torch.hub.load", "a pickle within"])
def test_functions_of_libraries_are_not_called_either(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "run"

    assert "which no weights need" in refusal(hostile.zipped(hostile.calls(marker)[kind]), tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize("write", [hostile.swelling, hostile.memo], ids=["an object", "the memo"])
def test_a_file_that_needs_more_than_the_memory_limit_is_refused(write: Callable[[], bytes], tmp_path: Path) -> None:
    assert "cannot be read as a file of torch.save" in refusal(write(), tmp_path)


@pytest.mark.slow
def test_a_file_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    assert "compressed" in refusal(hostile.bomb(), tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    content = hostile.zipped(network())

    assert refusal(content, tmp_path, Limits(file_bytes=1000)) == f"{len(content)} bytes; at most 1000 are allowed"


@pytest.mark.slow
@pytest.mark.parametrize("written", [hostile.zipped, hostile.legacy], ids=["today", "2020"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_a_file_that_is_cut_off_is_refused(share: float, written: Callable[[object], bytes], tmp_path: Path) -> None:
    content = written(network())

    assert refusal(content[: int(len(content) * share)], tmp_path)


def test_a_module_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert "without end" in refusal(hostile.ring(), tmp_path)


def test_a_tensor_larger_than_its_numbers_is_refused(tmp_path: Path) -> None:
    assert "outside its storage" in refusal(hostile.claims_more(), tmp_path)


def test_numbers_that_are_not_in_a_row_are_refused(tmp_path: Path) -> None:
    assert "not contiguous" in refusal(hostile.zipped({"weight": torch.rand(3, 4).T}), tmp_path)


@pytest.mark.parametrize("value", [{"weight": [1.0, 2.0]}, {"weight": {}}, [], "weights"], ids=repr)
def test_what_holds_no_tensors_is_refused(value: object, tmp_path: Path) -> None:
    assert refusal(hostile.zipped(value), tmp_path)


def test_a_picture_is_no_weight_file(tmp_path: Path) -> None:
    assert "not a file of torch.save" in refusal(b"\x89PNG\r\n\x1a\n" + bytes(100), tmp_path)


def test_the_child_imports_no_torch() -> None:
    output = subprocess.run(
        [sys.executable, "-c", "import sys, cxr_node.infer.unpickle; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert output == "False\n"
