"""Bundles made to run something on the node: none is opened, none runs."""

import contextlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cxr_node.infer import archive, bundle
from cxr_node.infer.bundle import BundleError
from tests.support import hostile_archives, tiny_bundles

Maker = Callable[[Path], bytes]


def _opened_by_torch(content: bytes) -> None:
    """Open and call an archive as torch does by itself, whatever comes of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the older formats, which is the point here
        program = torch.export.load(io.BytesIO(content))
        program.module()(torch.zeros(2, 1, tiny_bundles.SIDE, tiny_bundles.SIDE))


@pytest.mark.parametrize("make", [*hostile_archives.RUN_WHEN_OPENED, *hostile_archives.RUN_WHEN_CALLED])
def test_torch_alone_would_run_it(make: Maker, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = make(marker)

    with contextlib.suppress(Exception):  # what it ran is what counts, not how opening it ended
        _opened_by_torch(content)

    assert marker.exists()


@pytest.mark.parametrize("make", [*hostile_archives.RUN_WHEN_OPENED, *hostile_archives.RUN_WHEN_CALLED])
def test_the_node_refuses_it_and_nothing_runs(make: Maker, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    folder = tiny_bundles.bundle(tmp_path / "bundle", content=make(marker))

    with pytest.raises(BundleError, match="was not opened"):
        bundle.load(folder)

    assert not marker.exists()


def _target(name: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model["graph_module"]["graph"]["nodes"][0]["target"] = name

    return change


def _forward(model: Any) -> None:
    model["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = ["x=open('y', 'w')"]


def _guards(model: Any) -> None:
    model["guards_code"] = ["True"]


def _name(model: Any) -> None:
    model["graph_module"]["graph"]["nodes"][0]["name"] = "x; y"


def _size(expression: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model["graph_module"]["graph"]["tensor_values"]["film"]["sizes"][0]["as_expr"]["expr_str"] = expression

    return change


def _metadata(model: Any) -> None:
    model["graph_module"]["graph"]["nodes"][0]["metadata"] = {"source_fn_stack": "a,torch.hub.load"}


def _graph_argument(model: Any) -> None:
    model["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_graph": {"name": "g", "graph": {}}}


def _script_object(model: Any) -> None:
    model["graph_module"]["graph"]["custom_obj_values"] = {"a": {"name": "a", "class_fqn": "b"}}


def _output_spec(model: Any) -> None:
    signature = model["graph_module"]["module_call_graph"][0]["signature"]
    signature["out_spec"] = json.dumps([1, {"type": "collections.namedtuple", "context": '"x"', "children_spec": []}])


def _input_spec(model: Any) -> None:
    model["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = "[1, {}]"


@pytest.mark.parametrize(
    "change",
    [
        _target("torch.ops.aten.from_file.default"),
        _target("torch.hub.load"),
        _target("#namespace:operator"),
        _target("math.sqrt"),
        _forward,
        _guards,
        _name,
        _size("exit()"),
        _size("Min(exit(), Integer(2))"),
        _size("Min(Integer(2), Mul(Integer(2), exit()))"),
        _size("Min(Integer(2), Min(Integer(2), Integer(3)))"),
        _metadata,
        _graph_argument,
        _script_object,
        _output_spec,
        _input_spec,
    ],
)
def test_a_graph_with_more_than_a_network_needs_is_refused(change: Callable[[Any], None]) -> None:
    with pytest.raises(archive.UnsafeArchive, match=r"models/model\.json"):
        archive.rewrite_checked(hostile_archives.changed(hostile_archives.MODEL, change))


@pytest.mark.parametrize(
    "name",
    [
        "data/aotinductor/model/a.so",
        "extra/notes.txt",
        "data/constants/custom_obj_0",
        "data/weights/../../x",
        "models/other.json",
    ],
)
def test_a_member_that_is_not_on_the_list_is_refused(name: str) -> None:
    with pytest.raises(archive.UnsafeArchive, match="does not belong"):
        archive.rewrite_checked(hostile_archives.written({**hostile_archives.members(), name: b"x"}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a zip file"),
        (b"\x80\x02cposix\nsystem\n.", "not a zip file"),
        (hostile_archives.written({"archive_format": b"pt2"}), "missing"),
        (hostile_archives.written({}, root=""), "root folder|missing"),
    ],
)
def test_what_is_no_archive_of_a_network_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(archive.UnsafeArchive, match=sentence):
        archive.rewrite_checked(content)


def test_compressed_members_are_refused() -> None:
    with pytest.raises(archive.UnsafeArchive, match="compressed"):
        archive.rewrite_checked(hostile_archives.written(hostile_archives.members(), compression=zipfile.ZIP_DEFLATED))


def test_a_member_that_is_there_twice_is_refused() -> None:
    buffer = io.BytesIO(tiny_bundles.network())
    with zipfile.ZipFile(buffer, "a") as added, pytest.warns(UserWarning, match="Duplicate name"):
        added.writestr("network/archive_format", b"pt2")

    with pytest.raises(archive.UnsafeArchive, match="no member twice"):
        archive.rewrite_checked(buffer.getvalue())


def test_what_is_opened_is_written_anew_from_what_was_checked() -> None:
    before = tiny_bundles.network()

    after = archive.rewrite_checked(b"another reader of zip files may begin here" + before)

    assert hostile_archives.members(after).keys() == hostile_archives.members(before).keys()
    assert b"another reader" not in after


def test_torchs_own_archive_is_refused_for_its_sample_inputs() -> None:
    program = torch.export.export(
        tiny_bundles.Tiny().eval(), (torch.zeros(2, 1, tiny_bundles.SIDE, tiny_bundles.SIDE),)
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)

    with pytest.raises(archive.UnsafeArchive, match=r"sample_inputs|metadata"):
        archive.rewrite_checked(buffer.getvalue())
