"""Reads an ONNX file into plain values, within limits: standard operators, no external data, no code, no subgraphs."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_node.infer.onnx.tensors import MAX_NAME_BYTES, Array, TensorReader, UnsafeFile, limited
from cxr_node.infer.onnx.wire import Field, MalformedFile, WireReader

MAX_BYTES = 640 * 1024 * 1024
MAX_NODES = 20_000
MAX_TENSORS = 20_000
OPSETS = range(7, 26)
"""Versions of the standard operators whose definitions were checked."""

_DOMAINS = ("", "ai.onnx")
FLOAT = 1

Attribute = int | float | str | list[int] | list[float] | list[str] | Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator: inputs and outputs by name, "" for an optional one that is absent."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    opset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input or output of the graph; a size is None if the file leaves it open, `kind` a data type."""

    name: str
    kind: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """The network of a file: nodes in order of execution, tensors by name."""

    nodes: tuple[Node, ...]
    tensors: Mapping[str, Array]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    opset: int
    producer: str


def parse(content: bytes) -> Graph:
    """Return the graph of an ONNX file.

    Raises
    ------
    UnsafeFile
        If it is malformed, exceeds a limit, or uses what is not allowed; the message says what, and what to do.
    """
    if len(content) > MAX_BYTES:
        raise UnsafeFile(f"{len(content)} bytes; at most {MAX_BYTES} are allowed")
    try:
        return _Parser().model(memoryview(content))
    except MalformedFile as error:
        raise UnsafeFile(f"not an ONNX file: {error}") from error


class _Parser:
    """Field numbers are those of onnx.proto."""

    def __init__(self) -> None:
        self._wire = WireReader()
        self._tensors = TensorReader(self._wire)
        self._opset = 0

    def model(self, content: memoryview) -> Graph:
        """ModelProto."""
        graph: memoryview | None = None
        producer = ""
        for field in self._wire.fields(content):
            match field.number:
                case 2:
                    producer = field.text(MAX_NAME_BYTES)
                case 7:
                    graph = field.message()
                case 8:
                    self._opset_of(field.message())
                case 20 | 25:
                    what = "training information" if field.number == 20 else "functions"
                    raise UnsafeFile(f"it has {what} of its own; export it again for inference, with functions inlined")
                case _:
                    pass
        if graph is None or not self._opset:
            raise UnsafeFile("not an ONNX file: it has no graph, or no version of its operators")
        if self._opset not in OPSETS:
            raise UnsafeFile(
                f"its operators are of version {self._opset}; export it again with opset_version "
                f"{OPSETS.start} to {OPSETS.stop - 1}, for example 17"
            )
        return self._graph(graph, producer)

    def _opset_of(self, content: memoryview) -> None:
        """OperatorSetIdProto. Other domains matter only if a node uses them."""
        domain, version = "", 0
        for field in self._wire.fields(content):
            if field.number == 1:
                domain = field.text(MAX_NAME_BYTES)
            elif field.number == 2:
                version = field.integer()
        if domain in _DOMAINS:
            self._opset = version

    def _graph(self, content: memoryview, producer: str) -> Graph:
        """GraphProto."""
        nodes: list[Node] = []
        tensors: dict[str, Array] = {}
        values: dict[int, list[Value]] = {11: [], 12: []}
        for field in self._wire.fields(content):
            match field.number:
                case 1:
                    nodes.append(self._node(field.message()))
                case 5:
                    name, array = self._tensors.read(field.message())
                    tensors[name] = array
                case 11 | 12:
                    values[field.number].append(self._value(field.message()))
                case 15:
                    raise UnsafeFile("sparse tensors are not supported; export it with dense ones")
                case _:
                    pass
            if len(nodes) > MAX_NODES or len(tensors) > MAX_TENSORS:
                raise UnsafeFile(f"more than {MAX_NODES} operators or {MAX_TENSORS} tensors")
        inputs = tuple(value for value in values[11] if value.name not in tensors)
        return Graph(
            nodes=tuple(nodes),
            tensors=tensors,
            inputs=inputs,
            outputs=tuple(values[12]),
            opset=self._opset,
            producer=producer,
        )

    def _node(self, content: memoryview) -> Node:
        """NodeProto."""
        inputs: list[str] = []
        outputs: list[str] = []
        attributes: dict[str, Attribute] = {}
        operator = domain = ""
        for field in self._wire.fields(content):
            match field.number:
                case 1:
                    inputs.append(field.text(MAX_NAME_BYTES))
                case 2:
                    outputs.append(field.text(MAX_NAME_BYTES))
                case 4:
                    operator = field.text(MAX_NAME_BYTES)
                case 5:
                    name, attribute = self._attribute(field.message())
                    attributes[name] = attribute
                case 7:
                    domain = field.text(MAX_NAME_BYTES)
                case _:
                    pass
        if domain not in _DOMAINS:
            raise UnsafeFile(
                f"operator {operator[:80]!r} is of the domain {domain[:80]!r}: only standard operators are run; export "
                "it without custom operators and without optimisation for one run time"
            )
        return Node(
            operator=operator,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            attributes=attributes,
            opset=self._opset,
        )

    def _attribute(self, content: memoryview) -> tuple[str, Attribute]:
        """AttributeProto."""
        name = ""
        kind = 0
        parts: dict[int, list[Field]] = {}
        for field in self._wire.fields(content):
            if field.number == 1:
                name = field.text(MAX_NAME_BYTES)
            elif field.number == 20:
                kind = field.integer()
            else:
                parts.setdefault(field.number, []).append(field)
        return name, self._attribute_value(name, kind, parts)

    def _attribute_value(self, name: str, kind: int, parts: Mapping[int, list[Field]]) -> Attribute:
        match kind:
            case 1:
                return parts[2][-1].float32() if 2 in parts else 0.0
            case 2:
                return parts[3][-1].integer() if 3 in parts else 0
            case 3:
                return parts[4][-1].text(MAX_NAME_BYTES) if 4 in parts else ""
            case 4 if 5 in parts:
                return self._tensors.read(parts[5][-1].message())[1]
            case 6:
                return limited([number for field in parts.get(7, []) for number in field.floats().tolist()])
            case 7:
                return limited([number for field in parts.get(8, []) for number in field.integers()])
            case 8:
                return limited([field.text(MAX_NAME_BYTES) for field in parts.get(9, [])])
            case _:
                raise UnsafeFile(f"attribute {name[:80]!r} holds a graph or another type that is not supported")

    def _value(self, content: memoryview) -> Value:
        """ValueInfoProto, with its TypeProto.Tensor."""
        name, kind, shape = "", 0, None
        for field in self._wire.fields(content):
            if field.number == 1:
                name = field.text(MAX_NAME_BYTES)
            elif field.number == 2:
                for inner in self._wire.fields(field.message()):
                    if inner.number == 1:
                        kind, shape = self._tensor_type(inner.message())
        return Value(name=name, kind=kind, shape=shape)

    def _tensor_type(self, content: memoryview) -> tuple[int, tuple[int | None, ...] | None]:
        kind, shape = 0, None
        for field in self._wire.fields(content):
            if field.number == 1:
                kind = field.integer()
            elif field.number == 2:
                shape = tuple(self._size(size.message()) for size in self._wire.fields(field.message()))
        return kind, shape

    def _size(self, content: memoryview) -> int | None:
        sizes = [field.integer() for field in self._wire.fields(content) if field.number == 1]
        return sizes[-1] if sizes and sizes[-1] > 0 else None
