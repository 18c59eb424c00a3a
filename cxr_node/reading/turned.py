"""Turned films that do not say so: the network sees each film that it takes for no chest film turned as well."""

from collections.abc import Sequence

import numpy as np

from cxr_node.domain.geometry import Orientation
from cxr_node.domain.radiograph import Float32
from cxr_node.pixels.view_check import is_certain_chest
from cxr_node.reading.network import Network, Outputs

_TURNS = (1, 2, 3)


def find_turned(network: Network, prepared: Sequence[Float32], outputs: Sequence[Outputs]) -> list[int]:
    """Return for each film after how many clockwise quarter turns the network takes it for a chest film.

    0 for a film that it takes for a chest film as it is, or in no position. Three more forward passes for each film
    that it takes for none; none for a network without appearance.

    Parameters
    ----------
    prepared
        The network's inputs, shape (rows, columns) or (channels, rows, columns). Only square ones are turned.
    outputs
        The network's outputs for them.

    Raises
    ------
    GiveUp
        As `Network.forward`.
    """
    turns = [0] * len(prepared)
    suspects = [number for number, output in enumerate(outputs) if _is_suspect(network, prepared[number], output)]
    if not suspects:
        return turns
    turned = network.forward([_turned(prepared[number], turn) for number in suspects for turn in _TURNS])
    for place, number in enumerate(suspects):
        answers = [network.adapter.decode_appearance(output) for output in turned[3 * place : 3 * place + 3]]
        certain = [
            (answer.score, turn)
            for answer, turn in zip(answers, _TURNS, strict=True)
            if answer is not None and is_certain_chest(answer)
        ]
        turns[number] = max(certain, default=(0.0, 0))[1]
    return turns


def _is_suspect(network: Network, prepared: Float32, outputs: Outputs) -> bool:
    appearance = network.adapter.decode_appearance(outputs)
    return appearance is not None and appearance.view is None and prepared.shape[-2] == prepared.shape[-1]


def _turned(prepared: Float32, turn: int) -> Float32:
    orientation = Orientation.clockwise(turn)
    channels = prepared.reshape(-1, *prepared.shape[-2:])
    return np.stack([orientation.of_pixels(channel) for channel in channels]).reshape(prepared.shape)
