"""Converts the network of an ONNX file once into the native program of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cxr_node.infer import archive
from cxr_node.infer.bundle import Program
from cxr_node.infer.export import export_network
from cxr_node.infer.onnx.file import Graph
from cxr_node.infer.onnx.program import OnnxNetwork
from cxr_node.infer.onnx.tensors import UnsafeFile
from cxr_node.infer.prepare import Frame

Scores = Literal["logits", "probabilities", "softmax"]
"""Meaning of an output: logits of a sigmoid, probabilities, or logits of a softmax over all of its values."""

_LEAST = 1e-7
"""Probabilities are clamped to this distance from 0 and 1, so that their logits are finite."""
_TRIAL_FILMS = 3
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Outputs of a file that become outputs of a bundle.

    `places` are the places of the labels in the output `scores`, in the order of the card; `maps`, an output of shape
    (B, classes, rows, columns), is "" for none.
    """

    scores: str
    meaning: Scores
    places: tuple[int, ...]
    maps: str = ""


class ImportedNetwork(nn.Module):
    """The network of a file with the outputs of a bundle: logits of the labels, and maps.

    Parameters
    ----------
    is_channels_last
        Whether the file takes films as (B, rows, columns, channels).
    """

    def __init__(self, network: OnnxNetwork, outputs: Outputs, *, is_channels_last: bool) -> None:
        super().__init__()
        self.network = network
        self._outputs = outputs
        self._is_channels_last = is_channels_last
        self.register_buffer("places", torch.tensor(outputs.places))

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """(B, channels, rows, columns) -> finding_logits (B, labels), and finding_maps (B, labels, r, c)."""
        films = film.permute(0, 2, 3, 1) if self._is_channels_last else film
        values = self.network(films)
        named = {"finding_logits": self._logits(values[self._outputs.scores])}
        if self._outputs.maps:
            named["finding_maps"] = self._chosen(values[self._outputs.maps])
        return named

    def _logits(self, values: Tensor) -> Tensor:
        """(B, classes) or (B, classes, 1, 1) -> (B, labels)."""
        flat = values.flatten(1) if values.ndim > 1 else values[:, None]
        match self._outputs.meaning:
            case "logits":
                return self._chosen(flat)
            case "softmax":
                flat = nn.functional.softmax(flat, 1)
            case "probabilities":
                pass
        shares = self._chosen(flat).clamp(_LEAST, 1 - _LEAST)
        return shares.log() - (1 - shares).log()

    def _chosen(self, values: Tensor) -> Tensor:
        if self._outputs.places == tuple(range(values.shape[1])):
            return values
        return torch.index_select(values, 1, self.get_buffer("places"))


def native(graph: Graph, outputs: Outputs, *, is_channels_last: bool, film_shape: tuple[int, ...]) -> ImportedNetwork:
    """Return the network of a file as a module, in evaluation mode.

    Parameters
    ----------
    film_shape
        Shape of one film as the file takes it.

    Raises
    ------
    UnsafeFile
        If an operator cannot be converted.
    """
    wanted = tuple(dict.fromkeys(name for name in (outputs.scores, outputs.maps) if name))
    network = ImportedNetwork(
        OnnxNetwork(graph, wanted=wanted, film_shape=film_shape), outputs, is_channels_last=is_channels_last
    )
    return network.eval()


def convert(network: ImportedNetwork, frame: Frame) -> bytes:
    """Return a network as the archive of a bundle, for batches of any size.

    Raises
    ------
    UnsafeFile
        If it cannot take several films at a time, or gives another score for a film when it does.
    """
    try:
        content = export_network(network, frame)
    except UnsafeFile:
        raise
    except Exception as error:  # torch.export raises many types
        raise UnsafeFile(
            "the network cannot be converted for several films at a time; export it with a free batch size "
            f'(dynamic_axes={{"input": {{0: "batch"}}}} in torch.onnx.export) ({_first_line(error)})'
        ) from error
    try:
        program = archive.open_network(content)
    except archive.UnsafeArchive as error:
        raise UnsafeFile(f"the converted network is not on the allowlist of programs: {error}") from error
    require_free_batch(network, program, (frame.steps.channels, frame.rows, frame.columns))
    return content


def require_free_batch(network: ImportedNetwork, program: Program, shape: Sequence[int]) -> None:
    """Compare films run together by the program with each of them run alone by the graph.

    Parameters
    ----------
    shape
        (channels, rows, columns) of one film.

    Raises
    ------
    UnsafeFile
        If a score depends on the other films of its batch, or the graph cannot be run.
    """
    films = torch.rand(_TRIAL_FILMS, *shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        alone = torch.cat([network(film[None])["finding_logits"].sigmoid() for film in films])
        together = program(films)["finding_logits"].sigmoid()
    difference = float((together - alone).abs().max())
    if not difference <= _TOLERANCE:
        raise UnsafeFile(
            f"a film's scores differ by {difference:.2g} when it is run with others; export the network with a free "
            "batch size"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "the library gives no reason"
