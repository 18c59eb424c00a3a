"""Turned films that do not say so: the network sees each film that it takes for no chest film turned as well."""

from collections.abc import Callable, Sequence

import numpy as np

from cxr_node.domain.geometry import Orientation
from cxr_node.domain.radiograph import Float32
from cxr_node.pixels.view_check import is_certain_chest
from cxr_node.reading.cascade import CascadeAdapter, only
from cxr_node.reading.network import FilmOutputs, ModelAdapter, Network, Prepared

_TURNS = (1, 2, 3)


def find_turned(network: Network, prepared: Sequence[Prepared], outputs: Sequence[FilmOutputs]) -> list[int]:
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
    judged = [_judged(network.adapter, inputs, output) for inputs, output in zip(prepared, outputs, strict=True)]
    suspects = [(number, turn) for number, turn in enumerate(judged) if turn is not None]
    if not suspects:
        return turns
    turned = network.forward([turn(times) for _, turn in suspects for times in _TURNS])
    for place, (number, _) in enumerate(suspects):
        answers = [network.adapter.decode_appearance(output) for output in turned[3 * place : 3 * place + 3]]
        certain = [
            (answer.score, turn)
            for answer, turn in zip(answers, _TURNS, strict=True)
            if answer is not None and is_certain_chest(answer)
        ]
        turns[number] = max(certain, default=(0.0, 0))[1]
    return turns


def _judged(adapter: ModelAdapter, inputs: Prepared, outputs: FilmOutputs) -> Callable[[int], Prepared] | None:
    """Return a function that turns the inputs of a film that is taken for no chest film; None for other films.

    Of a cascade, only the network that judged the film gets a turned input.
    """
    appearance = adapter.decode_appearance(outputs)
    if appearance is None or appearance.view is not None:
        return None
    number = adapter.judging(outputs) if isinstance(adapter, CascadeAdapter) else None
    array: Float32 = inputs if number is None else inputs[number].array
    if array.shape[-2] != array.shape[-1]:
        return None
    return lambda turn: _turned(array, turn) if number is None else only(inputs, number, _turned(array, turn))


def _turned(prepared: Float32, turn: int) -> Float32:
    orientation = Orientation.clockwise(turn)
    channels = prepared.reshape(-1, *prepared.shape[-2:])
    return np.stack([orientation.of_pixels(channel) for channel in channels]).reshape(prepared.shape)
