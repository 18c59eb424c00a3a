"""Interpreter of an exported network: its checked graph, run operator by operator without torch.export.

`torch.export.load` imports PyTorch's compiler and propagates shapes through every operator, several seconds of CPU
at each start. A graph on the allowlist (`graph`) calls aten operators alone, so that calling them in order is enough.
The format is that of PyTorch's `torch._export.serde.schema`, version 8, as of torch 2.13.
"""

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

_DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
_MEMORY_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
_STRIDED = 7
_POSITIONAL = 1
_CONSTANTS = {"as_int", "as_float", "as_bool", "as_string", "as_ints", "as_floats", "as_bools"}
_NUMBERED: Mapping[str, Mapping[Any, Any]] = {
    "as_scalar_type": _DTYPES,
    "as_memory_format": _MEMORY_FORMATS,
    "as_layout": {_STRIDED: torch.strided},
}
"""Kinds of arguments that are numbers of an enumeration."""
_LISTS = {"as_tensors", "as_optional_tensors", "as_sym_ints"}
_VALUES = {"as_tensor", "as_sym_int"}


class BadGraph(ValueError):
    """The graph cannot be run: it refers to what it does not define, or has a kind of value that none is known for."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """Place of a value that is computed, in the list of values of a run."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One operator with its arguments; `slots` are the places of its outputs, `unused` those that no later step needs.

    Where `is_sequence`, the operator gives several outputs, one for each slot.
    """

    function: Callable[..., Any]
    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    slots: tuple[int, ...]
    is_sequence: bool
    unused: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that can be called.

    `weights` are parameters, buffers and constants by slot; `film_sizes` the sizes of the input, None where any.
    """

    steps: tuple[_Step, ...]
    weights: Mapping[int, torch.Tensor]
    film: int
    film_sizes: tuple[int | None, ...]
    outputs: Mapping[str, int]
    slot_count: int

    def __call__(self, films: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the named outputs for films, shape (B, channels, rows, columns).

        Raises
        ------
        ValueError
            If the films do not have the sizes that the network was exported for.
        RuntimeError
            If an operator fails.
        """
        sizes = tuple(films.shape)
        if len(sizes) != len(self.film_sizes) or any(
            expected not in (None, actual) for expected, actual in zip(self.film_sizes, sizes, strict=True)
        ):
            raise ValueError(f"the network was exported for films of shape {self.film_sizes}, not {sizes}")
        values: list[Any] = [None] * self.slot_count
        for slot, weight in self.weights.items():
            values[slot] = weight
        values[self.film] = films
        for step in self.steps:
            result = step.function(
                *[_value(argument, values) for argument in step.positional],
                **{name: _value(argument, values) for name, argument in step.named.items()},
            )
            if step.is_sequence:
                for slot, part in zip(step.slots, result, strict=True):
                    values[slot] = part
            else:
                values[step.slots[0]] = result
            for slot in step.unused:
                values[slot] = None
        return {name: values[slot] for name, slot in self.outputs.items()}

    def mapped(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Network":
        """Return the same network with changed weights."""
        return replace(self, weights={slot: change(weight) for slot, weight in self.weights.items()})

    def to(self, device: torch.device) -> "Network":
        """Return the same network on another device."""
        steps = tuple(
            replace(
                step, named={name: device if name == "device" else argument for name, argument in step.named.items()}
            )
            for step in self.steps
        )
        return replace(self.mapped(lambda weight: weight.to(device)), steps=steps)


def build(program: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Network:
    """Return the network of a checked `models/model.json`.

    Parameters
    ----------
    tensors
        Parameters, buffers and constants by their full names, as `tensors_of` returns them.

    Raises
    ------
    BadGraph
        If the graph refers to what it does not define.
    """
    module = program["graph_module"]
    graph = module["graph"]
    try:
        return _Builder(graph).build(module["signature"], _output_names(module), tensors)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadGraph(f"the graph is incomplete: {error!r}") from error


def tensors_of(config: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, torch.Tensor]:
    """Return the tensors of a checked table of weights or constants, each with memory of its own.

    Parameters
    ----------
    files
        The bytes of each storage by the name of its file.

    Raises
    ------
    BadGraph
        If sizes, dtype or layout do not fit the bytes.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, payload in config["config"].items():
        described = payload["tensor_meta"]
        if described["layout"] != _STRIDED or described["dtype"] not in _DTYPES:
            raise BadGraph(f"{name}: layout {described['layout']} or dtype {described['dtype']} is not supported")
        if payload["path_name"] not in files:
            raise BadGraph(f"{name}: {payload['path_name']} is missing")
        storage = bytearray(files[payload["path_name"]])
        dtype = _DTYPES[described["dtype"]]
        flat = torch.frombuffer(storage, dtype=dtype) if storage else torch.empty(0, dtype=dtype)
        try:
            tensor = flat.as_strided(
                [size["as_int"] for size in described["sizes"]],
                [stride["as_int"] for stride in described["strides"]],
                described["storage_offset"]["as_int"],
            )
        except (KeyError, TypeError, RuntimeError) as error:
            raise BadGraph(f"{name}: its sizes do not fit its {len(storage)} bytes: {error}") from error
        tensors[name] = tensor.clone()
    return tensors


class _Builder:
    """Numbers the values of a graph and turns its nodes into steps."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self._graph = graph
        self._slots: dict[str, int] = {}

    def build(
        self, signature: Mapping[str, Any], output_names: Sequence[str], tensors: Mapping[str, torch.Tensor]
    ) -> Network:
        weights: dict[int, torch.Tensor] = {}
        film = ""
        for spec in signature["input_specs"]:
            ((kind, described),) = spec.items()
            if kind == "user_input":
                film = described["arg"]["as_tensor"]["name"]
            else:
                weights[self._define(described["arg"]["name"])] = tensors[described[f"{kind}_name"]]
        film_slot = self._define(film)
        steps = [self._step(node) for node in self._graph["nodes"]]
        outputs = [self._slots[spec["user_output"]["arg"]["as_tensor"]["name"]] for spec in signature["output_specs"]]
        return Network(
            steps=_with_unused(steps, keep={*outputs, *weights}),
            weights=weights,
            film=film_slot,
            film_sizes=tuple(size.get("as_int") for size in self._graph["tensor_values"][film]["sizes"]),
            outputs=dict(zip(output_names, outputs, strict=True)),
            slot_count=len(self._slots),
        )

    def _define(self, name: str) -> int:
        return self._slots.setdefault(name, len(self._slots))

    def _step(self, node: Mapping[str, Any]) -> _Step:
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for entry in node["inputs"]:
            argument = self._argument(entry["arg"])
            if entry["kind"] == _POSITIONAL:
                positional.append(argument)
            else:
                named[entry["name"]] = argument
        outputs = node["outputs"]
        is_sequence = len(outputs) > 1 or "as_tensors" in outputs[0]
        names = [name for output in outputs for name in _names_of(output)]
        return _Step(
            function=_function(node["target"]),
            positional=tuple(positional),
            named=named,
            slots=tuple(self._define(name) for name in names),
            is_sequence=is_sequence,
        )

    def _argument(self, argument: Mapping[str, Any]) -> Any:
        """Return a constant, a `_Slot`, or a list with both."""
        ((kind, content),) = argument.items()
        if kind in _CONSTANTS:
            return content
        if kind in _NUMBERED:
            return _NUMBERED[kind][content]
        if kind in _LISTS:
            return [self._item(item) for item in content]
        return torch.device("cpu") if kind == "as_device" else self._item(content if kind in _VALUES else argument)

    def _item(self, item: Mapping[str, Any]) -> "_Slot | int | None":
        match item:
            case {"name": name} | {"as_name": name} | {"as_tensor": {"name": name}}:
                return _Slot(self._slots[name])
            case {"as_int": int(size)}:
                return size
            case {"as_none": _}:
                return None
            case _:
                raise BadGraph(f"an argument of the kind {', '.join(item)} is not supported")


def _value(argument: Any, values: Sequence[Any]) -> Any:
    if type(argument) is _Slot:
        return values[argument.number]
    if type(argument) is list:
        return [_value(item, values) for item in argument]
    return argument


def _function(target: str) -> Callable[..., Any]:
    """Return an operator on the allowlist."""
    if target == "_operator.getitem":
        return operator.getitem
    name, overload = target.removeprefix("torch.ops.aten.").split(".")
    function: Callable[..., Any] = getattr(getattr(torch.ops.aten, name), overload)
    return function


def _names_of(output: Mapping[str, Any]) -> list[str]:
    """Return the names of what one output of an operator is: a tensor, a list of tensors or a size."""
    ((kind, content),) = output.items()
    match kind:
        case "as_tensor":
            return [content["name"]]
        case "as_tensors":
            return [tensor["name"] for tensor in content]
        case "as_sym_int":
            return [content["as_name"]]
        case _:
            raise BadGraph(f"an output of the kind {kind!r} is not supported")


def _output_names(module: Mapping[str, Any]) -> list[str]:
    """Return the names of the outputs from the specification of the whole network's call."""
    specification = json.loads(module["module_call_graph"][0]["signature"]["out_spec"])
    names: list[str] = json.loads(specification[1]["context"])
    return names


def _with_unused(steps: Iterable[_Step], *, keep: set[int]) -> tuple[_Step, ...]:
    """Return the steps, each with the slots whose last use it is, so that their memory is freed."""
    needed = set(keep)
    reversed_steps: list[_Step] = []
    for step in reversed(list(steps)):
        used = {*step.slots, *_slots_in(step.positional), *_slots_in(step.named.values())}
        reversed_steps.append(replace(step, unused=tuple(used - needed)))
        needed |= used
    return tuple(reversed(reversed_steps))


def _slots_in(arguments: Iterable[Any]) -> set[int]:
    numbers = set[int]()
    for argument in arguments:
        if isinstance(argument, _Slot):
            numbers.add(argument.number)
        elif isinstance(argument, list):
            numbers |= _slots_in(argument)
    return numbers
