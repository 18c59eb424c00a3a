"""Cascade: several networks read a film in order, each under a condition; their predictions become one.

A cascade is a network to the main path: one preprocessing, one forward pass and one postprocessing a film, whatever the
number of its networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import (
    Appearance,
    CascadeStep,
    Finding,
    Measurement,
    ModelIdentity,
    Prediction,
    Presence,
    StepState,
)
from cxr_node.domain.reasons import Reason
from cxr_node.reading.merge import Part, merge
from cxr_node.reading.network import ModelAdapter, Outputs

Scores = Mapping[str, tuple[float, Presence]]
"""Score and presence of each finding, by its key."""


class ScoringAdapter(ModelAdapter, Protocol):
    """Model adapter that returns scores without decoding maps and outlines."""

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model."""

    def scores(self, outputs: Outputs) -> Scores:
        """Return the scores in the network's outputs for one film."""


class ScoringNetwork(Protocol):
    """Network whose adapter returns scores."""

    @property
    def adapter(self) -> ScoringAdapter:
        """Adapter of this network."""

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return the outputs for each film of a batch, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Films that a bundle reads; without any limit, every film.

    Parameters
    ----------
    views
        Views as the header states them; empty for all.
    from_age_years, below_age_years
        Limits of the patient's age; a film without an age does not meet a limit.
    finding
        Key of a finding of an earlier bundle, which must be present, or score at least `least_score`.
    """

    views: frozenset[View] = frozenset()
    from_age_years: float | None = None
    below_age_years: float | None = None
    finding: str = ""
    least_score: float | None = None

    def unmet_by_film(self, view: View, age_years: float | None) -> str:
        """Return which limit of view or age is not met; empty if all are."""
        if self.views and view not in self.views:
            return f"the view is {view}"
        if self.from_age_years is None and self.below_age_years is None:
            return ""
        if age_years is None:
            return "the patient's age is not stated"
        if self.from_age_years is not None and age_years < self.from_age_years:
            return f"the patient is younger than {self.from_age_years:g} years"
        if self.below_age_years is not None and age_years >= self.below_age_years:
            return f"the patient is not younger than {self.below_age_years:g} years"
        return ""

    def unmet_by_findings(self, scores: Scores) -> str:
        """Return why the findings of the bundles before do not meet the condition; empty if they do."""
        if not self.finding:
            return ""
        if self.finding not in scores:
            return f"no earlier bundle read {self.finding}"
        score, presence = scores[self.finding]
        if self.least_score is None:
            return "" if presence is Presence.PRESENT else f"{self.finding} is {presence}"
        return "" if score >= self.least_score else f"{self.finding} scores below {self.least_score:g}"


EVERY_FILM = Condition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A network of a cascade; `name` is the bundle's in the settings."""

    name: str
    network: ScoringNetwork
    condition: Condition = EVERY_FILM


@dataclass(frozen=True, slots=True)
class MemberInput:
    """A film prepared for one network, or why the network does not read it."""

    array: Float32 | None
    unmet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOutputs:
    """Outputs of one network for a film, or why there are none."""

    outputs: Outputs | None = None
    state: StepState = StepState.ANSWERED
    reason: Reason | None = None
    detail: str = ""


CascadeInput = tuple[MemberInput, ...]
CascadeOutputs = tuple[MemberOutputs, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAdapter:
    """Adapter of one network of a cascade, with its name and condition."""

    name: str
    adapter: ScoringAdapter
    condition: Condition


@dataclass(frozen=True, slots=True)
class CascadeAdapter:
    """Adapter of a cascade; can be sent to another process."""

    members: tuple[MemberAdapter, ...]

    @property
    def outlines_anatomy(self) -> bool:
        """Whether any network outlines structures."""
        return any(member.adapter.outlines_anatomy for member in self.members)

    def preprocess(self, film: Radiograph) -> CascadeInput:
        """Prepare a film for each network that may read it; raise GiveUp with NO_MODEL if none may."""
        unmet = [member.condition.unmet_by_film(film.geometry.view, film.age_years) for member in self.members]
        if all(unmet):
            raise GiveUp(Reason.NO_MODEL, _listed(self.members, unmet))
        return tuple(
            MemberInput(None if why else member.adapter.preprocess(film), why)
            for member, why in zip(self.members, unmet, strict=True)
        )

    def judging(self, outputs: CascadeOutputs) -> int | None:
        """Return the number of the first network that says what kind of picture a film is; None if none does."""
        numbered = enumerate(zip(self.members, outputs, strict=True))
        return next((number for number, pair in numbered if _appearance(*pair) is not None), None)

    def decode_appearance(self, outputs: CascadeOutputs) -> Appearance | None:
        """Return the appearance of a film by the first network that says what kind of picture it is."""
        number = self.judging(outputs)
        return None if number is None else _appearance(self.members[number], outputs[number])

    def decode_outputs(self, geometry: Geometry, outputs: CascadeOutputs) -> Prediction:
        """Return one prediction from the outputs of the networks for a film.

        Raises
        ------
        GiveUp
            If no network answered: with the reason of the first that failed, else with NO_MODEL.
        """
        parts = [_part(member, geometry, one) for member, one in zip(self.members, outputs, strict=True)]
        if any(part.prediction is not None for part in parts):
            return merge(parts)
        failed = next((part.step for part in parts if part.step.state is StepState.FAILED), None)
        if failed is not None:
            raise GiveUp(failed.reason or Reason.MODEL_ERROR, f"{failed.name}: {failed.detail}")
        raise GiveUp(Reason.NO_MODEL, _listed(self.members, [part.step.detail for part in parts]))

    def findings_by_measurement(self, measurements: Sequence[Measurement], view: View) -> tuple[Finding, ...]:
        """Return the findings that each model derives from measurements, each with its model."""
        return tuple(
            replace(finding, model=member.adapter.identity)
            for member in self.members
            for finding in member.adapter.findings_by_measurement(measurements, view)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """Networks that read a film in order.

    Parameters
    ----------
    waits
        Whether a film is read again later if a network cannot answer for a passing reason. Otherwise that network
        counts as failed, unless no other answers.
    """

    members: tuple[Member, ...]
    waits: bool = field(default=True)

    @property
    def adapter(self) -> CascadeAdapter:
        """Adapter of all networks."""
        return CascadeAdapter(
            tuple(
                MemberAdapter(name=member.name, adapter=member.network.adapter, condition=member.condition)
                for member in self.members
            )
        )

    def without_waiting(self) -> "Cascade":
        """Return the cascade for the last attempt at a film."""
        return replace(self, waits=False)

    def forward(self, batch: Sequence[CascadeInput]) -> Sequence[CascadeOutputs]:
        """Run the networks in order, each on the films that it reads; return the outputs for each film.

        Raises
        ------
        GiveUp
            If a network fails on several films; each may still be read alone.
        RetryLater
            If a network cannot answer now, and the cascade waits or no other network answered.
        """
        outputs: list[list[MemberOutputs]] = [[] for _ in batch]
        scores: list[dict[str, tuple[float, Presence]]] = [{} for _ in batch]
        for number, member in enumerate(self.members):
            unmet = [
                inputs[number].unmet or member.condition.unmet_by_findings(known)
                for inputs, known in zip(batch, scores, strict=True)
            ]
            arrays = [
                array for inputs, why in zip(batch, unmet, strict=True)
                if not why and (array := inputs[number].array) is not None
            ]  # fmt: skip
            answers = iter(self._run(member, arrays))
            for of_film, known, why in zip(outputs, scores, unmet, strict=True):
                answer = MemberOutputs(state=StepState.NOT_READ, detail=why) if why else next(answers)
                of_film.append(answer)
                if answer.outputs is not None:
                    known.update(_first_offered(member.network.adapter.scores(answer.outputs), known))
        for of_film in outputs:
            _require_answer(of_film)
        return [tuple(of_film) for of_film in outputs]

    def _run(self, member: Member, arrays: Sequence[Float32]) -> Sequence[MemberOutputs]:
        if not arrays:
            return []
        try:
            return [MemberOutputs(outputs=outputs) for outputs in member.network.forward(arrays)]
        except GiveUp as gave_up:
            if len(arrays) > 1:
                raise
            return [MemberOutputs(state=StepState.FAILED, reason=gave_up.reason, detail=gave_up.detail)]
        except RetryLater as error:
            if self.waits:
                raise
            failed = MemberOutputs(state=StepState.FAILED, detail=str(error))
            return [failed] * len(arrays)


def _first_offered(scores: Scores, known: Scores) -> dict[str, tuple[float, Presence]]:
    return {key: score for key, score in scores.items() if key not in known}


def _require_answer(outputs: Sequence[MemberOutputs]) -> None:
    """Raise RetryLater for a film without an answer of which a network could not answer for a passing reason."""
    if any(one.outputs is not None for one in outputs):
        return
    passing = next((one for one in outputs if one.state is StepState.FAILED and one.reason is None), None)
    if passing is not None:
        raise RetryLater(passing.detail)


def _appearance(member: MemberAdapter, answer: MemberOutputs) -> Appearance | None:
    """Return the appearance of a film by one network; None if it gives none, or failed."""
    try:
        return None if answer.outputs is None else member.adapter.decode_appearance(answer.outputs)
    except GiveUp:
        return None


def only(inputs: CascadeInput, number: int, array: Float32) -> CascadeInput:
    """Return inputs for one network of a cascade alone."""
    others = MemberInput(None, "only the view is judged")
    return tuple(MemberInput(array) if other == number else others for other in range(len(inputs)))


def _part(member: MemberAdapter, geometry: Geometry, answer: MemberOutputs) -> Part:
    step = CascadeStep(
        name=member.name,
        model=member.adapter.identity,
        state=answer.state,
        reason=Reason.MODEL_ERROR if answer.state is StepState.FAILED and answer.reason is None else answer.reason,
        detail=answer.detail,
    )
    if answer.outputs is None:
        return Part(step, None)
    try:
        return Part(step, member.adapter.decode_outputs(geometry, answer.outputs))
    except GiveUp as gave_up:
        return Part(replace(step, state=StepState.FAILED, reason=gave_up.reason, detail=gave_up.detail), None)


def _listed(members: Sequence[MemberAdapter], details: Sequence[str]) -> str:
    return "; ".join(f"{member.name}: {detail}" for member, detail in zip(members, details, strict=True))
