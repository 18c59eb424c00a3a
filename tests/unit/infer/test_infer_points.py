"""Named points and embeddings: from a network's outputs to places on the film, and what a card may say of them."""

import numpy as np
import pytest

from cxr_node.domain.reading import Laterality, NamedPoint, Region
from cxr_node.infer import card, points
from cxr_node.infer.card import PointEntry
from tests.support import tiny_bundles

AREA = Region(outline=((10.0, 20.0), (110.0, 20.0), (110.0, 220.0), (10.0, 220.0)))
CODE = card.CodeEntry(value="28700002", scheme_designator="SCT", meaning="Carina")
CARINA = PointEntry(key="carina", code=CODE, laterality="left", least_confidence=0.5)


def decoded(column: float, row: float, confidence: float) -> NamedPoint:
    output = np.array([[column, row, confidence]], np.float32)
    (point,) = points.named_points([CARINA], output, rows=50, columns=20, area=AREA)
    return point


def test_a_point_of_the_input_has_its_place_on_the_film() -> None:
    point = decoded(5.0, 25.0, 0.75)

    assert point.at == (35.0, 120.0)
    assert (point.confidence, point.is_visible, point.laterality) == (0.75, True, Laterality.LEFT)


@pytest.mark.parametrize(
    ("column", "row", "confidence", "is_visible"),
    [(0.0, 50.0, 0.5, True), (5.0, 5.0, 0.4375, False), (-0.5, 5.0, 1.0, False), (5.0, 50.5, 1.0, False)],
)
def test_a_point_is_visible_with_confidence_and_within_the_input(
    column: float, row: float, confidence: float, is_visible: bool
) -> None:
    assert decoded(column, row, confidence).is_visible is is_visible


@pytest.mark.parametrize("numbers", [(np.nan, 1.0, 0.5), (1.0, np.inf, 0.5), (1.0, 1.0, np.nan)])
def test_points_that_are_not_finite_are_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not finite"):
        decoded(*numbers)


@pytest.mark.parametrize("confidence", [-0.25, 1.25])
def test_a_confidence_that_is_none_is_refused_by_name(confidence: float) -> None:
    with pytest.raises(ValueError, match="carina"):
        decoded(1.0, 1.0, confidence)


def test_an_embedding_keeps_every_bit_and_only_finite_numbers() -> None:
    values = np.array([0.1, -3e38, 1e-40], np.float32)

    assert points.embedding(values).vector == values.tobytes()
    with pytest.raises(ValueError, match="not finite"):
        points.embedding(np.array([np.inf], np.float32))


def pointing_card(*changes: tuple[str, str]) -> card.Card:
    without = ((r"outputs = .*", 'outputs = ["finding_logits", "finding_maps", "points", "embedding"]'), *changes)
    return card.parse(tiny_bundles.changed(tiny_bundles.card(b"") + tiny_bundles.POINTS, without).encode())


def test_a_card_names_points_and_the_size_of_the_embedding() -> None:
    parsed = pointing_card()

    assert [point.key for point in parsed.points] == ["carina", "tube_tip"]
    assert parsed.embedding is not None
    assert parsed.embedding.numbers == 6


@pytest.mark.parametrize(
    ("pattern", "replacement", "named"),
    [
        (r'"points", "embedding"', '"embedding"', "points: expected one for each row"),
        (r'"points", "embedding"', '"points"', "embedding: expected with the output"),
        (r'key = "tube_tip"', 'key = "carina"', "points: a key is there twice"),
        (r"numbers = 6", "numbers = 4097", "embedding.numbers"),
        (r"numbers = 6", "numbers = 0", "embedding.numbers"),
        (r"least_confidence = 1.0", "least_confidence = 1.5", "points.1.least_confidence"),
        (r'laterality = "right"', 'laterality = "bilateral"', "points.1.laterality"),
        (r'preparation = "squash-area"', 'preparation = "steps"\nsteps = { fit = "letterbox" }', "letterbox"),
    ],
)
def test_a_card_that_contradicts_its_points_is_refused(pattern: str, replacement: str, named: str) -> None:
    outputs = (r', "finding_maps"', "")
    with pytest.raises(card.CardError, match=named):
        pointing_card(outputs, (pattern, replacement))


@pytest.mark.parametrize(("count", "is_allowed"), [(card.MAX_POINTS, True), (card.MAX_POINTS + 1, False)])
def test_a_card_has_at_most_thirty_two_points(count: int, is_allowed: bool) -> None:
    more = "".join(
        f'[[points]]\nkey = "p{number}"\ncode = {{ value = "1", scheme_designator = "99TEST", meaning = "Point" }}\n'
        for number in range(count - 2)
    )
    changes = ((r"\[embedding\]", f"{more}\n[embedding]"),)
    if is_allowed:
        assert len(pointing_card(*changes).points) == count
    else:
        with pytest.raises(card.CardError, match="points"):
            pointing_card(*changes)
