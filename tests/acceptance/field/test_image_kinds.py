"""Images that are no plain film by their header: each kind has its reason or note, and a setting."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from cxr_node.domain.film_geometry import View, ViewSource
from cxr_node.domain.image_kind import DEFAULT_ACTIONS, Action, ImageKind
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels.image_kind import RULES
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import Verdict, judge_header
from cxr_node.pixels.view import find_view
from tests.support import films

Changes = dict[str, Any]


def _code(value: str, meaning: str, **parts: object) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    for keyword, part in parts.items():
        setattr(item, keyword, part)
    return item


PA, AP = _code("272479007", "postero-anterior"), _code("399348003", "antero-posterior")
LATERAL, EMPTY = _code("399067008", "lateral"), _code("", "")


def _modified(value: str, meaning: str) -> Changes:
    view = _code("399348003", "antero-posterior", ViewModifierCodeSequence=[_code(value, meaning)])
    return {"ViewPosition": "AP", "ViewCodeSequence": [view]}


CAPTURE = {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT", "ConversionType": "WSD"}
KINDS: list[tuple[ImageKind, Changes]] = [
    (ImageKind.DUAL_ENERGY, {"ImageType": ["DERIVED", "PRIMARY", "", "BONE"]}),
    (ImageKind.DUAL_ENERGY, {"ImageType": ["DERIVED", "PRIMARY", "", "SOFT_TISSUE"]}),
    (ImageKind.DUAL_ENERGY, {"DerivationDescription": "Dual-energy subtraction, soft tissue"}),
    (ImageKind.DUAL_ENERGY, {"DerivationCodeSequence": [_code("1", "Dual energy subtraction")]}),
    (ImageKind.BONE_SUPPRESSED, {"DerivationDescription": "bone suppression"}),
    (ImageKind.BONE_SUPPRESSED, {"SeriesDescription": "CHEST PA, BONE SUPPRESSED"}),
    (ImageKind.TOMOSYNTHESIS, {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS"]}),
    (ImageKind.TOMOSYNTHESIS, {"DerivationDescription": "tomosynthesis reconstruction"}),
    (ImageKind.TOMOSYNTHESIS, {"SeriesDescription": "VolumeRAD Chest"}),
    (ImageKind.STITCHED, {"ImageType": ["DERIVED", "PRIMARY", "STITCHED"]}),
    (ImageKind.STITCHED, {"DerivationDescription": "Stitched from 2 images"}),
    (ImageKind.CAPTURE, {**CAPTURE, "ImageType": ["DERIVED", "SECONDARY"]}),
    (ImageKind.CAPTURE, {**CAPTURE, "ImageType": None, "SeriesDescription": "AI heat map"}),
    (ImageKind.CAPTURE, {"ImageType": ["DERIVED", "SECONDARY"], "SeriesDescription": "CAD result"}),
    (ImageKind.QUALITY_CONTROL, {"QualityControlImage": "YES"}),
    (ImageKind.QUALITY_CONTROL, {"QualityControlSubject": "YES"}),
    (ImageKind.DECUBITUS, _modified("102535000", "right")),
    (ImageKind.DECUBITUS, _modified("1", "left lateral decubitus")),
    (ImageKind.LORDOTIC, _modified("R-10244", "apical")),
    (ImageKind.LORDOTIC, _modified("1", "Lordotic")),
    (ImageKind.VIEW_CONFLICT, {"ViewPosition": "PA", "ViewCodeSequence": [LATERAL]}),
    (ImageKind.VIEW_CONFLICT, {"ViewPosition": "", "ViewCodeSequence": [PA, LATERAL]}),
    (ImageKind.PROJECTION_CONFLICT, {"ViewPosition": "PA", "ViewCodeSequence": [AP]}),
]


def _judged(changes: Changes, actions: dict[ImageKind, Action]) -> Verdict:
    return judge_header(films.dx(changes=changes), Rules(kinds={**DEFAULT_ACTIONS, **actions}))


def test_every_kind_is_tried_and_has_one_rule() -> None:
    assert {kind for kind, _ in KINDS} == set(ImageKind)
    assert [rule.kind for rule in RULES] == list(dict.fromkeys(rule.kind for rule in RULES))


@pytest.mark.parametrize(("kind", "changes"), KINDS)
def test_an_image_of_a_kind_is_refused_with_its_reason_and_its_setting(kind: ImageKind, changes: Changes) -> None:
    rule = next(rule for rule in RULES if rule.kind is kind)

    verdict = _judged(changes, {kind: Action.REFUSE})

    assert verdict.refused is rule.reason
    assert f"`gate.{kind}`" in verdict.detail


@pytest.mark.parametrize(("kind", "changes"), [pair for pair in KINDS if pair[0] is not ImageKind.VIEW_CONFLICT])
def test_an_image_of_a_kind_that_the_settings_accept_is_read_with_its_note(kind: ImageKind, changes: Changes) -> None:
    rule = next(rule for rule in RULES if rule.kind is kind)

    verdict = _judged(changes, {kind: Action.NOTE})

    assert verdict.refused is None
    assert rule.note in verdict.notes


def test_a_lordotic_view_is_read_with_a_note_by_default() -> None:
    assert _judged(_modified("R-10244", "lordotic"), {}).notes == (Note.LORDOTIC,)


def test_a_film_that_is_both_pa_and_ap_has_no_view_by_its_header() -> None:
    film = films.dx(changes={"ViewPosition": "PA", "ViewCodeSequence": [AP]})

    assert judge_header(film, Rules()).notes == (Note.VIEW_CONFLICT,)
    assert find_view(film) == (View.UNKNOWN, ViewSource.NONE)


@pytest.mark.parametrize("codes", [[EMPTY, LATERAL], [LATERAL], [PA, LATERAL]])
def test_a_lateral_among_the_view_codes_counts(codes: Sequence[Dataset]) -> None:
    film = films.dx(changes={"ViewPosition": None, "ViewCodeSequence": list(codes)})

    assert judge_header(film, Rules()).refused is Reason.VIEW
    assert find_view(film)[0] is View.LATERAL


PLAIN: list[Changes] = [
    {"ImageType": ["ORIGINAL", "PRIMARY", ""]},
    {
        "ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED", "RT"],
        "DerivationDescription": "G1.0e#1.60+0.20,MDR0.2AM0.6",
    },
    {"DerivationDescription": "JPEG-LS near-lossless 2:1"},
    {"SeriesDescription": "Chest PA, bone and soft tissue"},
    {"SOPClassUID": SecondaryCaptureImageStorage, "ConversionType": "WSD", "ImageType": None},
    {"SOPClassUID": SecondaryCaptureImageStorage, "ConversionType": "DF", "ImageType": ["DERIVED", "SECONDARY"]},
    {"QualityControlImage": "NO", "QualityControlSubject": "NO"},
    {"ViewPosition": "PA", "ViewCodeSequence": [PA]},
]


@pytest.mark.parametrize("changes", PLAIN)
def test_a_plain_film_is_of_no_kind(changes: Changes) -> None:
    assert _judged(changes, {}) == Verdict()
