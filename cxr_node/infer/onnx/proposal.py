"""What an ONNX file says of itself: size and layout of its input, and its outputs."""

from dataclasses import dataclass

from cxr_node.infer.onnx.convert import Scores
from cxr_node.infer.onnx.file import FLOAT, Graph, Value
from cxr_node.infer.onnx.tensors import UnsafeFile

_CHANNELS = (1, 3)
_PLANE = 4
"""Dimensions of a batch of films, and of maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Proposed answers. `rows` and `columns` are None if the file leaves them open.

    `outputs` are the names of all outputs; `scores` the one that is likely to have the scores, `maps` the one that is
    likely to have a map for each of them, or "".
    """

    rows: int | None
    columns: int | None
    channels: int
    is_channels_last: bool
    is_batch_free: bool
    outputs: tuple[str, ...]
    scores: str
    meaning: Scores
    maps: str
    classes: int | None


def propose(graph: Graph) -> Proposal:
    """Return what a file says of itself.

    Raises
    ------
    UnsafeFile
        If it does not take films: one input of 32-bit floats with one or three channels.
    """
    if len(graph.inputs) != 1 or not graph.outputs:
        raise UnsafeFile(f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; expected one input")
    (film,) = graph.inputs
    shape = film.shape or ()
    if film.kind != FLOAT or len(shape) != _PLANE:
        raise UnsafeFile(
            f"its input {film.name[:80]!r} has {len(shape)} dimensions of data type {film.kind}; expected 32-bit "
            "floats of shape (batch, channels, rows, columns)"
        )
    is_last = shape[3] in _CHANNELS and shape[1] not in _CHANNELS
    channels, rows, columns = (shape[3], shape[1], shape[2]) if is_last else shape[1:]
    if channels not in (*_CHANNELS, None):
        raise UnsafeFile(f"its input has {channels} channels; expected 1 or 3")
    scores = min(graph.outputs, key=_dimensions)
    maps = [value.name for value in graph.outputs if _dimensions(value) == _PLANE and value != scores]
    return Proposal(
        rows=rows,
        columns=columns,
        channels=channels or _channels_of_weights(graph),
        is_channels_last=is_last,
        is_batch_free=shape[0] is None,
        outputs=tuple(value.name for value in graph.outputs),
        scores=scores.name,
        meaning=_meaning(graph, scores.name),
        maps=maps[0] if maps else "",
        classes=(scores.shape or (None, None))[-1] if len(scores.shape or ()) == 2 else None,
    )


def _dimensions(value: Value) -> int:
    """Return the number of dimensions of an output; one of unknown shape may have the scores."""
    return len(value.shape) if value.shape is not None else 2


def _channels_of_weights(graph: Graph) -> int:
    """Return the channels that the first convolution takes, by the shape of its weights."""
    for node in graph.nodes:
        weights = graph.tensors.get(node.inputs[1]) if node.operator == "Conv" and len(node.inputs) > 1 else None
        if weights is not None and weights.ndim == _PLANE and weights.shape[1] in _CHANNELS:
            return int(weights.shape[1])
    return 1


def _meaning(graph: Graph, name: str) -> Scores:
    """Return the meaning of an output by the operator that gives it: after a sigmoid or softmax, probabilities."""
    by_output = {output: node for node in graph.nodes for output in node.outputs}
    while (node := by_output.pop(name, None)) is not None:
        if node.operator in ("Sigmoid", "Softmax"):
            return "probabilities"
        if node.operator not in ("Identity", "Squeeze", "Reshape", "Flatten", "Cast") or not node.inputs:
            return "logits"
        name = node.inputs[0]
    return "logits"
