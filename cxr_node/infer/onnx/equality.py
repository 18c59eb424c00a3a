"""Compares the node's scores of films with those of another pipeline, and searches for the step that differs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32, UInt16
from cxr_node.infer import steps as stepwise
from cxr_node.infer.onnx.candidates import Candidate, Preparation, Reading, candidates, larger_crops

Float64 = npt.NDArray[np.float64]
Run = Callable[[Float32], Float32]
"""Runs the network on one prepared film, shape (channels, rows, columns), and returns the output with the scores."""

TOLERANCE = 1e-3
"""Largest difference of a score for two pipelines to count as equal."""
_PARTNERS = 4
"""Steps that are tried together with every other one, if no single step explains the scores."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredFilm:
    """A film with the scores of another pipeline.

    `pictures` has P-values by the name of the picture, each of shape (rows, columns); `expected` a score by label.
    """

    name: str
    pictures: Mapping[str, UInt16]
    expected: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Scores of one label on one film: ours and theirs."""

    film: str
    label: str
    ours: float
    theirs: float

    @property
    def size(self) -> float:
        """The absolute difference."""
        return abs(self.ours - self.theirs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Steps under which the scores agree, or come closest, with the largest difference that remains."""

    steps: tuple[Candidate, ...]
    difference: float


@dataclass(slots=True, kw_only=True, eq=False)
class Comparison:
    """Scores of films by different preparations of one network.

    Parameters
    ----------
    labels
        Labels with the place of each in the network's output.
    rows, columns
        Size of the input.
    """

    run: Run
    films: Sequence[ScoredFilm]
    labels: Mapping[str, int]
    rows: int
    columns: int
    _outputs: dict[Any, list[Float64]] = field(default_factory=dict)

    def differences(self, preparation: Preparation) -> list[Difference]:
        """Return the difference of each score that is given, the largest first."""
        differences = [
            Difference(film=film.name, label=label, ours=scores[self.labels[label]], theirs=theirs)
            for film, output in zip(self.films, self._raw(preparation), strict=True)
            for scores in [_scores(output, preparation.reading)]
            for label, theirs in film.expected.items()
        ]
        return sorted(differences, key=lambda difference: -difference.size)

    def largest(self, preparation: Preparation) -> float:
        """Return the largest difference of a score."""
        return self.differences(preparation)[0].size

    def explain(self, base: Preparation, pictures: Mapping[str, str], tolerance: float) -> list[Explanation]:
        """Return explanations, the best first: one step, or two if no single step brings agreement."""
        every = self._candidates(base, pictures)
        singles = [Explanation(steps=(one,), difference=self.largest(one.preparation)) for one in every]
        singles.sort(key=lambda explanation: explanation.difference)
        if singles[0].difference <= tolerance:
            return singles
        pairs = []
        for first in singles[:_PARTNERS]:
            (step,) = first.steps
            again = [
                *candidates(step.preparation, pictures),
                *larger_crops(step.preparation, max(self.rows, self.columns)),
            ]
            for second in again:
                if second.group != step.group:
                    difference = self.largest(second.preparation)
                    pairs.append(Explanation(steps=(step, second), difference=difference))
        return sorted([*singles, *pairs], key=lambda explanation: explanation.difference)

    def _candidates(self, base: Preparation, pictures: Mapping[str, str]) -> list[Candidate]:
        """Return the steps to try. Scores outside 0 to 1 are logits, others are not taken for logits."""
        theirs = [score for film in self.films for score in film.expected.values()]
        impossible = "none" if min(theirs) >= 0 and max(theirs) <= 1 else "probabilities"
        every = [*candidates(base, pictures), *larger_crops(base, max(self.rows, self.columns))]
        return [one for one in every if one.group != "output" or one.preparation.reading != impossible]

    def _raw(self, preparation: Preparation) -> list[Float64]:
        """Return the network's output for each film, before it is read as scores; computed once."""
        key = replace(preparation, reading="logits")
        if key not in self._outputs:
            self._outputs[key] = [self._output(film, preparation) for film in self.films]
        return self._outputs[key]

    def _output(self, film: ScoredFilm, preparation: Preparation) -> Float64:
        steps = preparation.steps
        prepared = stepwise.prepare(film.pictures[preparation.picture], self.rows, self.columns, steps)
        prepared = prepared.reshape(steps.channels, self.rows, self.columns)
        if preparation.is_first_channel_only:
            prepared = prepared.copy()
            prepared[1:] = 0
        return self.run(prepared).reshape(-1).astype(np.float64)


def _scores(output: Float64, reading: Reading) -> list[float]:
    """Return scores from an output, shape (classes,)."""
    scores = output
    match reading:
        case "logits":
            scores = _sigmoid(output)
        case "twice":
            scores = _sigmoid(_sigmoid(output))
        case "softmax":
            powers = np.exp(output - output.max())
            scores = powers / powers.sum()
        case "probabilities" | "none":
            pass
    return [float(score) for score in scores]


def _sigmoid(values: Float64) -> Float64:
    scores: Float64 = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return scores
