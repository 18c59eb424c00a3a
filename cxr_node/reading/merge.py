"""Merges the predictions of a cascade's bundles for one film into one. Pure.

The first bundle in order that offers a finding answers; the same finding of a later one is a second opinion. Two
findings are the same if they have the same key, or the same code and site; two points, if they have the same key, and
no second opinion is kept of a point. Each bundle gives its own embedding. Structures are those of the first bundle
that outlines anatomy. The first bundle with an appearance judges the film; a later one only itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cxr_node.domain.reading import (
    CascadeStep,
    Embedding,
    Finding,
    ModelIdentity,
    NamedPoint,
    Prediction,
    StepState,
)
from cxr_node.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Part:
    """A bundle of a cascade, and its prediction if it answered."""

    step: CascadeStep
    prediction: Prediction | None


def merge(parts: Sequence[Part]) -> Prediction:
    """Return the prediction of all bundles; at least one has answered."""
    first: Prediction | None = None
    findings: list[Finding] = []
    answered: list[Prediction] = []
    steps: list[CascadeStep] = []
    for part in parts:
        prediction = part.prediction
        if prediction is None:
            steps.append(part.step)
            continue
        if first is None:
            first = prediction
        elif first.appearance is None:
            first = replace(first, appearance=prediction.appearance)
        elif unlike := _unlike(prediction):
            steps.append(replace(part.step, state=StepState.FAILED, reason=Reason.UNUSUAL, detail=unlike))
            continue
        offered = [finding for finding in prediction.findings if not _is_among(finding, findings)]
        repeated = [finding for finding in prediction.findings if _is_among(finding, findings)]
        is_first = prediction.model == first.model
        findings += [finding if is_first else replace(finding, model=prediction.model) for finding in offered]
        answered.append(prediction)
        has_structures = bool(prediction.structures) and not any(step.gives_structures for step in steps)
        if has_structures:
            first = replace(first, structures=prediction.structures)
        steps.append(
            replace(
                part.step,
                analysed_area=prediction.analysed_area,
                second_opinions=tuple(replace(finding, regions=(), heat=None) for finding in repeated),
                gives_structures=has_structures,
            )
        )
    if first is None:
        raise ValueError("no bundle of the cascade answered")
    return replace(
        first,
        findings=tuple(findings),
        steps=tuple(steps),
        points=_points(answered),
        embeddings=_embeddings(answered),
    )


def _points(predictions: Sequence[Prediction]) -> tuple[NamedPoint, ...]:
    """Return each point of the first prediction that has it, with its model unless that is the first."""
    points: dict[str, NamedPoint] = {}
    for prediction in predictions:
        model = None if prediction.model == predictions[0].model else prediction.model
        for point in prediction.points:
            points.setdefault(point.key, replace(point, model=model))
    return tuple(points.values())


def _embeddings(predictions: Sequence[Prediction]) -> tuple[Embedding, ...]:
    """Return the embedding of each model, with its model unless that is the first."""
    embeddings: dict[ModelIdentity, Embedding] = {}
    for prediction in predictions:
        model = None if prediction.model == predictions[0].model else prediction.model
        for embedding in prediction.embeddings:
            embeddings.setdefault(prediction.model, replace(embedding, model=model))
    return tuple(embeddings.values())


def with_measured(prediction: Prediction, measured: Sequence[Finding]) -> Prediction:
    """Add findings that a model derives from measurements; of a cascade, those of the model of the structures.

    They follow the rule of `merge`, in the place of the bundle that outlined the structures.
    """
    if not prediction.steps:
        return replace(prediction, findings=(*prediction.findings, *measured))
    for finding in measured:
        if finding.model == prediction.anatomy_model:
            prediction = _with_derived(prediction, finding)
    return prediction


def _with_derived(prediction: Prediction, derived: Finding) -> Prediction:
    same = next((finding for finding in prediction.findings if _is_among(finding, [derived])), None)
    here = _step_number(prediction, prediction.anatomy_model)
    there = here if same is None else _step_number(prediction, prediction.model_of(same))
    if there < here:
        return _with_opinion(prediction, here, derived)
    if there > here and same is not None:
        others = tuple(finding for finding in prediction.findings if finding is not same)
        prediction = _with_opinion(replace(prediction, findings=others), there, same)
    own = replace(derived, model=None) if derived.model == prediction.model else derived
    return replace(prediction, findings=(*prediction.findings, own))


def _step_number(prediction: Prediction, model: ModelIdentity) -> int:
    return next(number for number, step in enumerate(prediction.steps) if step.model == model)


def _with_opinion(prediction: Prediction, number: int, finding: Finding) -> Prediction:
    steps = list(prediction.steps)
    opinion = replace(finding, regions=(), heat=None, model=None)
    steps[number] = replace(steps[number], second_opinions=(*steps[number].second_opinions, opinion))
    return replace(prediction, steps=tuple(steps))


def _is_among(finding: Finding, others: Sequence[Finding]) -> bool:
    return any(finding.key == other.key or (finding.code, finding.site) == (other.code, other.site) for other in others)


def _unlike(prediction: Prediction) -> str:
    """Return why a bundle's findings do not hold for a film, by its own appearance; empty if they do."""
    appearance = prediction.appearance
    if appearance is None:
        return ""
    if appearance.view is None:
        return f"the model takes it for no chest film (score {appearance.score:.2f})"
    if appearance.distance > appearance.limit:
        return f"distance {appearance.distance:.3g} from the films that the model knows, limit {appearance.limit:.3g}"
    return ""
