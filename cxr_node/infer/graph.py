"""Allowlist for the graph of an exported network: aten operators on plain tensors only.

Strings are the risk: `torch.export.load` evaluates size expressions, looks targets up by name and writes names into
Python source. Every key, and every string by its key, must match what a plain network needs.
"""

import json
import re
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], None]


class NotAllowed(ValueError):
    """The graph contains something that a plain network does not need."""


_ATEN = """
adaptive_avg_pool2d.default add.Scalar add.Tensor add_.Tensor addmm.default amax.default amin.default
avg_pool2d.default batch_norm.default bmm.default cat.default clamp.default clamp_min.default clone.default
contiguous.default conv2d.default conv_transpose2d.input convolution.default div.Scalar div.Tensor div_.Tensor
dropout.default elu.default exp.default expand.default flatten.using_ints gelu.default group_norm.default
hardsigmoid.default hardswish.default hardtanh.default instance_norm.default layer_norm.default leaky_relu.default
linear.default log.default log_softmax.int logsumexp.default matmul.default max.dim max_pool2d.default mean.default
mean.dim mul.Scalar mul.Tensor mul_.Tensor neg.default ones_like.default pad.default permute.default
pixel_shuffle.default pixel_unshuffle.default pow.Tensor_Scalar relu.default relu_.default reshape.default
rsqrt.default rsub.Scalar
scaled_dot_product_attention.default select.int sigmoid.default silu.default silu_.default slice.Tensor softmax.int
sort.default sqrt.default square.default squeeze.dim stack.default std.correction sub.Scalar sub.Tensor sum.dim_IntList
abs.default arange.default cos.default eq.Scalar eq.Tensor erf.default flip.default floor.default gt.Tensor
index_select.default logical_not.default lt.Scalar lt.Tensor mish.default ne.Scalar reciprocal.default sin.default
softplus.default where.Scalar where.ScalarOther where.ScalarSelf tanh.default transpose.int unsqueeze.default
upsample_bilinear2d.default upsample_bilinear2d.vec upsample_nearest2d.default upsample_nearest2d.vec
var.correction view.default where.self gt.Scalar zeros_like.default
"""
_OPERATORS = {f"torch.ops.aten.{name}" for name in _ATEN.split()} | {"_operator.getitem", "torch.ops.aten.sym_size.int"}
"""Arithmetic on tensors. Operators on files (aten::from_file), devices or random numbers are not among them."""

_WORDS = """
graph_module opset_version range_constraints schema_version major minor verifiers torch_version guards_code graph
signature module_call_graph metadata treespec_namedtuple_fields inputs outputs nodes tensor_values sym_int_values
sym_bool_values sym_float_values custom_obj_values is_single_tensor_return target name arg kind
is_hop_single_tensor_return input_specs output_specs parameter buffer tensor_constant user_input user_output
parameter_name buffer_name tensor_constant_name persistent fqn in_spec out_spec forward_arg_names dtype sizes
strides storage_offset layout requires_grad device type index as_tensor as_tensors as_optional_tensors as_int
as_ints as_float as_floats as_bool as_bools as_none as_name as_sym_int as_sym_ints as_scalar_type as_memory_format
as_layout as_device as_string as_expr expr_str hint min_val max_val config path_name is_param use_pickle tensor_meta
"""
_KEYS = frozenset(_WORDS.split())
_MAPS = frozenset({"tensor_values", "sym_int_values", "opset_version", "range_constraints", "config"})
"""Keys whose value is a table keyed by the network's own names."""

_EMPTY = frozenset(
    {
        "guards_code",
        "metadata",
        "sym_bool_values",
        "sym_float_values",
        "custom_obj_values",
        "treespec_namedtuple_fields",
    }
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_DOTTED = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,99}(\.[A-Za-z0-9_]{1,99}){0,19})?")
_SIZE = r"(?:Integer\([0-9]{1,12}\)|Symbol\('s[0-9]{1,4}', positive=True, integer=True\)|s[0-9]{1,4})"
_TERM = rf"(?:{_SIZE}|(?:Mul|Add)\({_SIZE}(?:, {_SIZE}){{1,7}}\))"
_STRINGS = {
    "expr_str": re.compile(rf"{_TERM}|(?:Min|Max)\({_TERM}(?:, {_TERM}){{1,7}}\)"),
    "torch_version": re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+]{0,40}"),
    "verifiers": re.compile(r"TRAINING|ATEN"),
    "fqn": _DOTTED,
    "parameter_name": _DOTTED,
    "buffer_name": _DOTTED,
    "tensor_constant_name": _DOTTED,
    "type": re.compile(r"cpu"),
    "path_name": re.compile(r"(weight|tensor)_[0-9]{1,6}"),
}
_INPUT_SPEC = [
    1,
    {
        "type": "builtins.tuple",
        "context": "null",
        "children_spec": [
            {
                "type": "builtins.tuple",
                "context": "null",
                "children_spec": [{"type": None, "context": None, "children_spec": []}],
            },
            {"type": "builtins.dict", "context": "[]", "children_spec": []},
        ],
    },
]


def check_program(content: Any) -> None:
    """Check `models/model.json`, or raise NotAllowed."""
    if not isinstance(content, dict) or "graph_module" not in content:
        raise NotAllowed("graph_module missing")
    _walk(content, under="program")


def check_weights(content: Any) -> None:
    """Check `data/weights/model_weights_config.json`, or raise NotAllowed."""
    _check_payloads(content, prefix="weight_")


def check_constants(content: Any) -> None:
    """Check `data/constants/model_constants_config.json`, or raise NotAllowed."""
    _check_payloads(content, prefix="tensor_")


def _check_payloads(content: Any, *, prefix: str) -> None:
    """Require that each tensor is raw bytes under a name of its kind, not a pickle."""
    if not isinstance(content, dict) or content.keys() != {"config"} or not isinstance(content["config"], dict):
        raise NotAllowed("expected the one key 'config' with a table")
    _walk(content, under="payloads")
    for name, payload in content["config"].items():
        if not isinstance(payload, dict) or payload.get("use_pickle") is not False:
            raise NotAllowed(f"{name}: pickled tensors are not allowed")
        if not str(payload.get("path_name")).startswith(prefix) or not isinstance(payload.get("tensor_meta"), dict):
            raise NotAllowed(f"{name}: not a plain tensor")


def _walk(value: Any, *, under: str) -> None:
    """Check `value`, the value of the key `under`, and everything in it."""
    if under in _EMPTY and value:
        raise NotAllowed(f"{under} must be empty: it would be run as Python or is of no use to a network")
    match value:
        case dict():
            _walk_table(value, under=under)
        case list():
            for item in value:
                _walk(item, under=under)
        case str():
            _check_string(value, under=under)
        case None | bool() | int() | float():
            pass


def _walk_table(table: dict[str, Any], *, under: str) -> None:
    """Check the keys of a table: known keys, or names if the table is keyed by names."""
    for key, value in table.items():
        if under in _MAPS:
            _require(_DOTTED, key, under=under)
            _walk(value, under="")
        elif key in _KEYS:
            _walk(value, under=key)
        else:
            raise NotAllowed(f"unknown key {key[:80]!r} under {under}")


def _check_string(text: str, *, under: str) -> None:
    """Check a string by its key; without a rule for the key it must be a plain name."""
    if under == "target":
        if text not in _OPERATORS:
            raise NotAllowed(f"operator {text[:80]!r} is not on the list")
    elif under == "in_spec":
        if json.loads(text) != _INPUT_SPEC:
            raise NotAllowed("in_spec: expected one tensor as the only input")
    elif under == "out_spec":
        _check_output_spec(json.loads(text))
    else:
        _require(_STRINGS.get(under, _NAME), text, under=under)


def _check_output_spec(spec: Any) -> None:
    """Require a table of named tensors as the output."""
    leaf: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
    names = json.loads(spec[1]["context"]) if isinstance(spec, list) and len(spec) == 2 else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NotAllowed("out_spec: expected a table of named tensors")
    for name in names:
        _require(_NAME, name, under="out_spec")
    expected = {"type": "builtins.dict", "context": spec[1]["context"], "children_spec": [leaf] * len(names)}
    if spec != [1, expected]:
        raise NotAllowed("out_spec: expected a table of named tensors")


def _require(pattern: re.Pattern[str], text: str, *, under: str) -> None:
    if pattern.fullmatch(text) is None:
        raise NotAllowed(f"{under or 'a name'} holds {text[:80]!r}")
