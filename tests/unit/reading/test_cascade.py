"""Cascade without a node: conditions, the order of networks, failures, and the merged prediction."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.codes import Code
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import (
    Appearance,
    Finding,
    Measurement,
    ModelIdentity,
    Prediction,
    Presence,
    Region,
    StepState,
    Structure,
)
from cxr_node.domain.reasons import Reason
from cxr_node.reading.cascade import EVERY_FILM, Cascade, Condition, Member, Scores
from cxr_node.reading.merge import with_measured
from cxr_node.reading.network import Outputs
from cxr_node.reading.turned import find_turned

AREA = Region(outline=((0.0, 0.0), (8.0, 0.0), (8.0, 8.0), (0.0, 8.0)))
OPACITY = Code(value="112001", scheme_designator="DCM", meaning="Opacity")


def film(view: View = View.PA, age_years: float | None = 50.0) -> Radiograph:
    geometry = Geometry(rows=8, columns=8, view=view)
    return Radiograph(p_values=np.zeros((8, 8), np.uint16), geometry=geometry, grayscale="", age_years=age_years)


def finding(key: str, score: float) -> Finding:
    return Finding(
        key=key,
        code=Code(value=key.upper()[:16], scheme_designator="99TEST", meaning=key),
        site=None,
        score=score,
        operating_point=0.5,
        presence=Presence.PRESENT if score >= 0.5 else Presence.ABSENT,
    )


@dataclass
class Model:
    """A network and its adapter; it finds `scores`, or raises `error`."""

    name: str
    scores_of: dict[str, float]
    error: Exception | None = None
    structures: tuple[Structure, ...] = ()
    appearance: Appearance | None = None
    outlines_anatomy: bool = False
    derived: dict[str, float] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    @property
    def adapter(self) -> "Model":
        return self

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(
            name=self.name,
            version="1.0.0",
            manufacturer="tests",
            weights_digest=digest_of(self.name.encode()),
            preparation="none",
            operating_points="0.5",
        )

    def preprocess(self, _film: Radiograph) -> Float32:
        return np.zeros((1, 1), np.float32)

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        self.batches.append(len(batch))
        if self.error is not None:
            raise self.error
        return [{"film": array} for array in batch]

    def scores(self, _outputs: Outputs) -> Scores:
        return {key: (score, finding(key, score).presence) for key, score in self.scores_of.items()}

    def findings_by_measurement(self, measurements: Sequence[Measurement], view: View) -> tuple[Finding, ...]:  # noqa: ARG002
        return tuple(finding(key, score) for key, score in self.derived.items())

    def decode_appearance(self, _outputs: Outputs) -> Appearance | None:
        return self.appearance

    def decode_outputs(self, _geometry: Geometry, _outputs: Outputs) -> Prediction:
        return Prediction(
            model=self.identity,
            findings=tuple(finding(key, score) for key, score in self.scores_of.items()),
            analysed_area=AREA,
            structures=self.structures,
            appearance=self.appearance,
        )


def cascade(*members: tuple[Model, Condition]) -> Cascade:
    return Cascade(members=tuple(Member(name=model.name, network=model, condition=when) for model, when in members))


def read(network: Cascade, *films: Radiograph) -> list[Prediction]:
    adapter = network.adapter
    outputs = network.forward([adapter.preprocess(one) for one in films])
    return [adapter.decode_outputs(one.geometry, of_film) for one, of_film in zip(films, outputs, strict=True)]


def states(prediction: Prediction) -> list[tuple[str, str, str]]:
    return [(step.name, step.state.value, step.detail) for step in prediction.steps]


def test_each_finding_names_its_model_and_the_first_in_order_answers() -> None:
    first, second = Model("first", {"opacity": 0.9}), Model("second", {"opacity": 0.2, "effusion": 0.7})

    (prediction,) = read(cascade((first, EVERY_FILM), (second, EVERY_FILM)), film())

    assert [(one.key, one.score, prediction.model_of(one).name) for one in prediction.findings] == [
        ("opacity", 0.9, "first"),
        ("effusion", 0.7, "second"),
    ]
    assert [opinion.score for opinion in prediction.steps[1].second_opinions] == [0.2]
    assert prediction.models == (first.identity, second.identity)


def test_findings_of_the_same_code_and_site_are_the_same() -> None:
    @dataclass
    class Coded(Model):
        def decode_outputs(self, geometry: Geometry, outputs: Outputs) -> Prediction:
            prediction = super().decode_outputs(geometry, outputs)
            return replace(prediction, findings=tuple(replace(one, code=OPACITY) for one in prediction.findings))

    first, second = Coded("first", {"opacity": 0.9}), Coded("second", {"lung_opacity": 0.2})

    (prediction,) = read(cascade((first, EVERY_FILM), (second, EVERY_FILM)), film())

    assert [one.key for one in prediction.findings] == ["opacity"]
    assert [one.key for one in prediction.steps[1].second_opinions] == ["lung_opacity"]


@pytest.mark.parametrize(
    ("condition", "film", "unmet"),
    [
        (Condition(views=frozenset({View.PA})), film(View.PA), ""),
        (Condition(views=frozenset({View.PA})), film(View.AP), "the view is AP"),
        (Condition(views=frozenset({View.PA})), film(View.UNKNOWN), "the view is UNKNOWN"),
        (Condition(from_age_years=16), film(age_years=16.0), ""),
        (Condition(from_age_years=16), film(age_years=15.9), "the patient is younger than 16 years"),
        (Condition(below_age_years=16), film(age_years=16.0), "the patient is not younger than 16 years"),
        (Condition(below_age_years=16), film(age_years=0.0), ""),
        (Condition(from_age_years=16), film(age_years=None), "the patient's age is not stated"),
        (EVERY_FILM, film(View.UNKNOWN, None), ""),
        (Condition(finding="opacity"), film(), ""),
        (Condition(finding="effusion"), film(), "effusion is absent"),
        (Condition(finding="effusion", least_score=0.3), film(), ""),
        (Condition(finding="effusion", least_score=0.4), film(), "effusion scores below 0.4"),
        (Condition(finding="mass"), film(), "no earlier bundle read mass"),
    ],
)
def test_a_bundle_reads_the_films_of_its_condition(condition: Condition, film: Radiograph, unmet: str) -> None:
    first, second = Model("first", {"opacity": 0.9, "effusion": 0.35}), Model("second", {"edema": 0.5})

    (prediction,) = read(cascade((first, EVERY_FILM), (second, condition)), film)

    assert states(prediction)[1] == ("second", "not_read" if unmet else "answered", unmet)
    assert bool(second.batches) is not bool(unmet)


def test_each_film_of_a_batch_is_read_by_its_own_bundles() -> None:
    adults, children = Model("adults", {"opacity": 0.9}), Model("children", {"opacity": 0.1})
    network = cascade((adults, Condition(from_age_years=16)), (children, Condition(below_age_years=16)))

    predictions = read(network, film(age_years=50.0), film(age_years=3.0), film(age_years=60.0))

    assert [prediction.model.name for prediction in predictions] == ["adults", "children", "adults"]
    assert (adults.batches, children.batches) == ([2], [1])


def test_a_film_that_meets_no_condition_is_given_up_with_the_reasons() -> None:
    network = cascade((Model("adults", {"opacity": 0.9}), Condition(from_age_years=16)))

    with pytest.raises(GiveUp) as gave_up:
        network.adapter.preprocess(film(age_years=3.0))

    assert gave_up.value.reason is Reason.NO_MODEL
    assert gave_up.value.detail == "adults: the patient is younger than 16 years"


def test_the_others_answer_when_a_bundle_fails_on_a_film() -> None:
    failing = Model("failing", {"opacity": 0.9}, error=GiveUp(Reason.MODEL_ERROR, "not finite"))
    other = Model("other", {"opacity": 0.2})

    (prediction,) = read(cascade((failing, EVERY_FILM), (other, EVERY_FILM)), film())

    assert [(one.key, one.score) for one in prediction.findings] == [("opacity", 0.2)]
    assert states(prediction) == [("failing", "failed", "not finite"), ("other", "answered", "")]
    assert prediction.model == other.identity


def test_a_film_on_which_every_bundle_fails_is_given_up() -> None:
    failing = Model("failing", {"opacity": 0.9}, error=GiveUp(Reason.MODEL_ERROR, "not finite"))

    with pytest.raises(GiveUp, match="failing: not finite"):
        read(cascade((failing, EVERY_FILM)), film())


def test_a_failure_in_a_batch_is_left_to_the_films_one_by_one() -> None:
    failing = Model("failing", {"opacity": 0.9}, error=GiveUp(Reason.MODEL_ERROR, "not finite"))

    with pytest.raises(GiveUp, match="not finite"):
        read(cascade((Model("first", {"effusion": 0.1}), EVERY_FILM), (failing, EVERY_FILM)), film(), film())


def test_a_bundle_that_is_away_is_awaited_until_the_last_attempt() -> None:
    away = Model("away", {"edema": 0.9}, error=RetryLater("no connection"))
    network = cascade((Model("first", {"opacity": 0.9}), EVERY_FILM), (away, EVERY_FILM))

    with pytest.raises(RetryLater, match="no connection"):
        read(network, film())
    (prediction,) = read(network.without_waiting(), film())

    assert [one.key for one in prediction.findings] == ["opacity"]
    assert prediction.failed_steps[0].detail == "no connection"
    assert prediction.failed_steps[0].reason is Reason.MODEL_ERROR


def test_a_film_without_any_answer_is_read_again_later() -> None:
    away = Model("away", {"edema": 0.9}, error=RetryLater("no connection"))

    with pytest.raises(RetryLater, match="no connection"):
        read(cascade((away, EVERY_FILM)).without_waiting(), film())


def test_structures_are_those_of_the_first_bundle_that_outlines_anatomy() -> None:
    heart = Structure(key=Anatomy.HEART, confidence=0.9, regions=(AREA,))
    lung = Structure(key=Anatomy.LEFT_LUNG, confidence=0.8, regions=(AREA,))
    network = cascade(
        (Model("findings", {"opacity": 0.9}), EVERY_FILM),
        (Model("anatomy", {"effusion": 0.9}, structures=(heart,), outlines_anatomy=True), EVERY_FILM),
        (Model("other", {"edema": 0.9}, structures=(lung,), outlines_anatomy=True), EVERY_FILM),
    )

    (prediction,) = read(network, film())

    assert prediction.structures == (heart,)
    assert prediction.anatomy_model.name == "anatomy"
    assert network.adapter.outlines_anatomy


def test_a_later_bundle_that_does_not_know_such_films_is_left_out() -> None:
    def appearance_at(distance: float) -> Appearance:
        return Appearance(view=View.PA, score=0.99, distance=distance, limit=4.0)

    network = cascade(
        (Model("first", {"opacity": 0.9}, appearance=appearance_at(1.0)), EVERY_FILM),
        (Model("second", {"edema": 0.9}, appearance=appearance_at(9.0)), EVERY_FILM),
    )

    (prediction,) = read(network, film())

    assert [one.key for one in prediction.findings] == ["opacity"]
    assert prediction.steps[1].state is StepState.FAILED
    assert prediction.steps[1].reason is Reason.UNUSUAL
    assert prediction.appearance == appearance_at(1.0)


@pytest.mark.parametrize(
    ("before", "after", "answers"),
    [
        (None, None, [("opacity", "anatomy"), ("cardiomegaly", "anatomy")]),
        ({"cardiomegaly": 0.2}, None, [("cardiomegaly", "before"), ("opacity", "anatomy")]),
        (None, {"cardiomegaly": 0.2}, [("opacity", "anatomy"), ("cardiomegaly", "anatomy")]),
    ],
)
def test_a_finding_by_measurement_has_the_place_of_its_bundle(
    before: dict[str, float] | None, after: dict[str, float] | None, answers: list[tuple[str, str]]
) -> None:
    heart = Structure(key=Anatomy.HEART, confidence=0.9, regions=(AREA,))
    anatomy = Model("anatomy", {"opacity": 0.9}, structures=(heart,), derived={"cardiomegaly": 0.6})
    other = Model("other", {"effusion": 0.1}, derived={"cardiomegaly": 0.1})
    models = [Model("before", before)] if before else []
    models += [anatomy, *([Model("after", after)] if after else []), other]
    network = cascade(*((model, EVERY_FILM) for model in models))

    (prediction,) = read(network, film())
    whole = with_measured(prediction, network.adapter.findings_by_measurement([], View.PA))

    named = [(one.key, whole.model_of(one).name) for one in whole.findings if one.key != "effusion"]
    assert named == answers
    assert [one.score for step in whole.steps for one in step.second_opinions] == (
        [] if before is None and after is None else [0.6 if before else 0.2]
    )


def test_only_the_network_that_judges_a_film_sees_it_turned() -> None:
    no_chest = Appearance(view=None, score=0.99, distance=1.0, limit=4.0)
    first, judging = Model("first", {"opacity": 0.9}), Model("judging", {"edema": 0.9}, appearance=no_chest)
    network = cascade((first, EVERY_FILM), (judging, EVERY_FILM), (Model("last", {"mass": 0.1}), EVERY_FILM))
    prepared = [network.adapter.preprocess(film())]

    turns = find_turned(network, prepared, network.forward(prepared))

    assert turns == [0]
    assert (first.batches, judging.batches) == ([1], [1, 3])
