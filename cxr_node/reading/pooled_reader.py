"""Films read with the network here and all else in processes beside it: one is in the network, others are seen."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Float32, Geometry, Radiograph
from cxr_node.domain.reading import Prediction, Reading
from cxr_node.reading.preprocess import PreprocessedFilm, ReadContext, build_reading, failed_reading, preprocess
from cxr_node.reading.preprocess_pool import PreprocessPool
from cxr_node.records.films import Film

Item = TypeVar("Item")
Made = TypeVar("Made")


class ModelAdapterProtocol(Protocol):
    """What lies on both sides of a network: `infer.interpreter.Interpreter`, or another that may travel."""

    @property
    def outlines_anatomy(self) -> bool:
        """Whether there will be anything to measure."""

    def preprocess(self, film: Radiograph) -> Float32:
        """Return a film as the network sees it."""

    def decode_outputs(self, geometry: Geometry, given: Mapping[str, Float32]) -> Prediction:
        """Return what the network's outputs for one film say; raise GiveUp if nothing."""


class Network(Protocol):
    """A network with what belongs to it: `infer.reader.Reader`, or another of its kind."""

    @property
    def adapter(self) -> ModelAdapterProtocol:
        """What prepares films for it and says what its outputs mean."""

    def forward(self, prepared: Sequence[Float32]) -> Sequence[Mapping[str, Float32]]:
        """Return the outputs for each film, in order; raise GiveUp if it cannot."""


class PooledReader:
    """Reads films. Several threads may: the network has the films of one of them at a time, the eyes those of others.

    Parameters
    ----------
    network
        Says which network reads; asked once for each turn, so that another may take its place between two.
    watch
        Ends the process if the network takes longer than it may.
    """

    def __init__(
        self, network: Callable[[], Network], eyes: PreprocessPool, *, watch: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._network = network
        self._eyes = eyes
        self._watch = watch
        # Always the same thread: each that runs a network has threads of its own made for it.
        self._lane = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._hands = ThreadPoolExecutor(eyes.count, thread_name_prefix="eye")

    def read(self, films: Sequence[Film]) -> list[Reading]:
        """Read films in one go, as `pipeline.read` does, which see."""
        network = self._network()
        interpreter = network.adapter

        def seen_by_one(film: Film) -> tuple[PreprocessedFilm, Float32] | Reading:
            return self._eyes.call(preprocess_and_prepare, film, interpreter)

        def said_by_one(of: tuple[PreprocessedFilm, Mapping[str, Float32]]) -> Reading:
            return self._eyes.call(postprocess, of[0], interpreter, of[1])

        looked = self._each(seen_by_one, films)
        seen = [each for each in looked if not isinstance(each, Reading)]
        if not seen:
            return [each for each in looked if isinstance(each, Reading)]
        try:
            given = self._lane.submit(self._forward, network, [prepared for _, prepared in seen]).result()
            spoken = iter(
                self._each(said_by_one, [(one, outputs) for (one, _), outputs in zip(seen, given, strict=True)])
            )
        except GiveUp as gave_up:
            if len(films) > 1:
                raise
            return [failed_reading(seen[0][0], gave_up)]
        return [each if isinstance(each, Reading) else next(spoken) for each in looked]

    def _forward(self, network: Network, prepared: list[Float32]) -> Sequence[Mapping[str, Float32]]:
        with self._watch():
            return network.forward(prepared)

    def _each(self, do: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
        return [do(items[0])] if len(items) == 1 else list(self._hands.map(do, items))


def preprocess_and_prepare(
    desk: ReadContext, film: Film, interpreter: ModelAdapterProtocol
) -> tuple[PreprocessedFilm, Float32] | Reading:
    """Look at a film and prepare it for a network; return the reading of one that is not to be read."""
    looked = preprocess(film, desk, is_measured=interpreter.outlines_anatomy)
    if isinstance(looked, Reading):
        return looked
    seen, radiograph = looked
    return seen, interpreter.preprocess(radiograph)


def postprocess(
    desk: ReadContext, seen: PreprocessedFilm, interpreter: ModelAdapterProtocol, given: Mapping[str, Float32]
) -> Reading:
    """Return the reading of a film from the network's outputs for it."""
    return build_reading(seen, interpreter.decode_outputs(seen.geometry, given), desk.rules)
