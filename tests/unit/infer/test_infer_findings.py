"""From outputs to findings."""

import numpy as np
import pytest

from cxr_node.domain import concepts
from cxr_node.domain.codes import Code
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.reading import Laterality, Measurement, Presence, Region
from cxr_node.infer import bundle, bundle_registry, card
from cxr_node.infer.findings import cardiomegaly, findings, laterality, sigmoid
from cxr_node.infer.heat import heat_map
from cxr_node.infer.model_adapter import ModelAdapter
from tests.support import tiny_bundles
from tests.unit.report.studies import MODEL

CARD = card.parse(tiny_bundles.card(b"weights").encode())
STANDING = Geometry(rows=800, columns=600, patient_orientation=("L", "F"))

WHOLE = Region(outline=((0.0, 0.0), (600.0, 0.0), (600.0, 800.0), (0.0, 800.0)))
LEFT_OF_PICTURE = Region(outline=((100.0, 100.0), (200.0, 100.0), (200.0, 200.0)))
RIGHT_OF_PICTURE = Region(outline=((400.0, 100.0), (500.0, 100.0), (500.0, 200.0)))
MIDDLE = Region(outline=((250.0, 100.0), (350.0, 100.0), (350.0, 200.0)))


def _map() -> "np.typing.NDArray[np.float32]":
    activation = np.zeros((1, 8, 8), np.float32)
    activation[0, 2:4, 1:3] = 5.0
    return activation


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.1, Presence.ABSENT),
        (0.39, Presence.ABSENT),
        (0.41, Presence.UNDETERMINED),
        (0.59, Presence.UNDETERMINED),
        (0.61, Presence.PRESENT),
        (0.99, Presence.PRESENT),
    ],
)
def test_presence_follows_the_operating_point_and_its_band(score: float, expected: Presence) -> None:
    logit = np.array([np.log(score / (1 - score))], np.float32)

    (finding,) = findings(CARD, logit, _map(), STANDING, WHOLE)

    assert finding.presence is expected
    assert finding.score == pytest.approx(score, abs=1e-6)
    assert finding.operating_point == 0.5
    assert not finding.calibrated


def test_only_what_is_present_is_outlined_and_has_a_side() -> None:
    (present,) = findings(CARD, np.array([4.0], np.float32), _map(), STANDING, WHOLE)
    (absent,) = findings(CARD, np.array([-4.0], np.float32), _map(), STANDING, WHOLE)

    assert len(present.regions) == 1
    assert present.laterality is Laterality.RIGHT
    assert absent.regions == ()
    assert absent.laterality is None


def test_a_label_that_is_not_outlined_has_a_heat_map_alone() -> None:
    (label,) = CARD.labels
    card = CARD.model_copy(update={"labels": [label.model_copy(update={"outlined": False})]})

    (finding,) = findings(card, np.array([4.0], np.float32), _map(), STANDING, WHOLE)

    assert finding.presence is Presence.PRESENT
    assert (finding.regions, finding.laterality) == ((), None)
    assert finding.heat is not None


def test_what_is_not_absent_has_a_heat_map_on_its_own_scale() -> None:
    logits = (np.array([4.0], np.float32), np.array([0.0], np.float32), np.array([-4.0], np.float32))
    present, undetermined, absent = (findings(CARD, logit, _map(), STANDING, WHOLE)[0].heat for logit in logits)

    assert present is not None
    assert (present.rows, present.columns, present.area) == (8, 8, WHOLE)
    levels = np.frombuffer(present.levels, np.uint8).reshape(8, 8)
    assert set(levels[2:4, 1:3].flat) == {255}
    assert levels.sum() == 4 * 255
    assert undetermined == present
    assert absent is None


def test_a_large_map_is_kept_small_and_a_flat_one_not_at_all() -> None:
    large = np.zeros((100, 130), np.float32)
    large[:50] = np.linspace(0, 1, 50)[:, None]

    heat = heat_map(large, WHOLE)

    assert heat is not None
    assert (heat.rows, heat.columns) == (64, 64)
    levels = np.frombuffer(heat.levels, np.uint8).reshape(64, 64)
    assert levels.max() == 255
    assert (np.diff(levels[:32, 0].astype(int)) >= 0).all()
    assert heat_map(np.ones((8, 8), np.float32), WHOLE) is None


def test_a_network_without_maps_gives_findings_without_regions() -> None:
    (finding,) = findings(CARD, np.array([4.0], np.float32), None, STANDING, WHOLE)

    assert finding.presence is Presence.PRESENT
    assert finding.regions == ()


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ((LEFT_OF_PICTURE,), Laterality.RIGHT),
        ((RIGHT_OF_PICTURE,), Laterality.LEFT),
        ((LEFT_OF_PICTURE, RIGHT_OF_PICTURE), Laterality.BILATERAL),
        ((LEFT_OF_PICTURE, MIDDLE), None),
        ((), None),
    ],
)
def test_the_side_is_the_patients(regions: tuple[Region, ...], expected: Laterality | None) -> None:
    assert laterality(regions, STANDING) is expected


@pytest.mark.parametrize("orientation", [None, ("R", "F"), ("L", "H")])
def test_a_film_without_a_known_orientation_gets_no_side(orientation: tuple[str, str] | None) -> None:
    geometry = Geometry(rows=800, columns=600, patient_orientation=orientation)

    assert laterality((LEFT_OF_PICTURE,), geometry) is None


def test_values_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="finite"):
        findings(CARD, np.array([np.nan], np.float32), _map(), STANDING, WHOLE)


@pytest.mark.parametrize("logit", [-1000.0, 0.0, 1000.0])
def test_scores_stay_between_0_and_1(logit: float) -> None:
    assert 0.0 <= sigmoid(logit) <= 1.0


RATIO_TABLE = card.RatioTable(
    pa=card.ScoreLimits(score=0.52, undetermined_from=0.5, undetermined_to=0.52),
    ap=card.ScoreLimits(score=0.6, undetermined_from=0.5, undetermined_to=0.6),
    network_sha256="0" * 64,
)


def measured(value: float, code: Code = concepts.CARDIOTHORACIC_RATIO) -> Measurement:
    return Measurement(key="CTR", code=code, value=value, unit=concepts.RATIO, line=((0, 0), (1, 0)), provenance="")


@pytest.mark.parametrize(
    ("ratio", "view", "expected"),
    [
        (0.49, View.PA, Presence.ABSENT),
        (0.51, View.PA, Presence.UNDETERMINED),
        (0.52, View.PA, Presence.PRESENT),
        (0.49, View.AP, Presence.ABSENT),
        (0.55, View.AP, Presence.UNDETERMINED),
        (0.6, View.AP, Presence.PRESENT),
        (0.55, View.UNKNOWN, Presence.UNDETERMINED),
        (1.2, View.PA, Presence.PRESENT),
    ],
)
def test_cardiomegaly_follows_the_ratio_and_the_limits_of_the_view(
    ratio: float, view: View, expected: Presence
) -> None:
    (finding,) = cardiomegaly(RATIO_TABLE, [measured(ratio)], view)

    assert finding.presence is expected
    assert (finding.code.value, finding.score) == ("8186001", min(ratio, 1.0))
    assert finding.operating_point == (0.52 if view is View.PA else 0.6)
    assert not finding.calibrated


def test_without_a_ratio_there_is_no_finding_cardiomegaly() -> None:
    assert cardiomegaly(RATIO_TABLE, [measured(0.7, concepts.CARDIAC_DIAMETER)], View.PA) == ()


def test_the_built_in_bundle_offers_cardiomegaly_by_the_ratio() -> None:
    built_in = bundle.read_card(bundle_registry.find("chest"))
    adapter = ModelAdapter(card=built_in, identity=MODEL)

    (finding,) = adapter.findings_by_measurement([measured(0.58)], View.PA)

    assert finding.presence is Presence.PRESENT
    assert ModelAdapter(card=CARD, identity=MODEL).findings_by_measurement([measured(0.58)], View.PA) == ()
