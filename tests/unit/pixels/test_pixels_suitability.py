"""The gate: each reason has a film that triggers it, and the film beside it that passes."""

from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import WHITE, Radiograph, UInt16
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import Verdict, judge_header, judge_picture
from tests.support.pixel_films import chest, data_set, written

Changes = dict[str, Any]
PASSED = Verdict()


def judged(changes: Changes, rules: Rules | None = None) -> Verdict:
    """Return what the gate says of an adult PA chest film with these elements changed."""
    return judge_header(parse(written(data_set(chest(), changes=changes))), rules or Rules())


def coded(value: str) -> Dataset:
    """Return a code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "a part"
    return item


def picture(p_values: UInt16, *, aspect_ratio: float = 1.0) -> Radiograph:
    """Return a film of these P-values."""
    rows, columns = p_values.shape
    place = Geometry(rows=rows, columns=columns, aspect_ratio=aspect_ratio)
    return Radiograph(p_values=p_values, geometry=place, grayscale="")


def test_an_adult_frontal_chest_film_passes() -> None:
    assert judged({}) == PASSED
    assert judged({"PatientAge": "045Y", "PatientSpeciesDescription": "HUMAN"}) == PASSED


REFUSED: list[tuple[Reason, Changes]] = [
    (Reason.BODY_PART, {"BodyPartExamined": "HIP"}),
    (Reason.BODY_PART, {"BodyPartExamined": "ABDOMENCHEST"}),
    (Reason.BODY_PART, {"BodyPartExamined": None, "AnatomicRegionSequence": [coded("24136001")]}),
    (Reason.BODY_PART, {"BodyPartExamined": None, "SeriesDescription": "Panoramic teeth"}),
    (Reason.BODY_PART, {"SOPClassUID": uid.CTImageStorage}),
    (Reason.BODY_PART, {"SOPClassUID": uid.DigitalMammographyXRayImageStorageForPresentation}),
    (Reason.BODY_PART, {"Modality": "MG"}),
    (Reason.NOT_HUMAN, {"PatientSpeciesDescription": "Canis lupus familiaris"}),
    (Reason.NOT_HUMAN, {"PatientSpeciesCodeSequence": [coded("448771007")]}),
    (Reason.NOT_HUMAN, {"PatientBreedDescription": "Beagle"}),
    (Reason.NOT_HUMAN, {"ResponsiblePersonRole": "OWNER"}),
    (Reason.NOT_HUMAN, {"SeriesDescription": "FELINE THORAX"}),
    (Reason.VIEW, {"ViewPosition": "LL"}),
    (Reason.VIEW, {"ViewPosition": "RAO"}),
    (Reason.VIEW, {"ViewPosition": None, "ViewCodeSequence": [coded("399198007")]}),
    (Reason.VIEW, {"ViewPosition": None, "SeriesDescription": "CHEST LATERAL"}),
    (Reason.VIEW, {"ViewPosition": None, "PatientOrientation": ["P", "F"]}),
    (Reason.AGE, {"PatientAge": "017Y"}),
    (Reason.AGE, {"PatientAge": "006M"}),
    (Reason.AGE, {"PatientBirthDate": "20200102", "StudyDate": "20240102"}),
    (Reason.FOR_PROCESSING, {"SOPClassUID": uid.DigitalXRayImageStorageForProcessing}),
    (Reason.FOR_PROCESSING, {"PresentationIntentType": "FOR PROCESSING"}),
    (Reason.MULTI_FRAME, {"NumberOfFrames": 2}),
]


@pytest.mark.parametrize(("reason", "changes"), REFUSED)
def test_each_reason_has_a_film_that_is_refused_for_it(reason: Reason, changes: Changes) -> None:
    verdict = judged(changes)
    assert verdict.refused is reason
    assert verdict.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"BodyPartExamined": "THORAX"},
        {"BodyPartExamined": None, "AnatomicRegionSequence": [coded("816094009")]},
        {"BodyPartExamined": None, "StudyDescription": "CHEST AND ABDOMEN"},
        {"BodyPartExamined": None},
        {"SOPClassUID": uid.ComputedRadiographyImageStorage, "Modality": "CR"},
        {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"},
        {"Modality": None},
        {"PatientSpeciesCodeSequence": [coded("337915000")]},
        {"SeriesDescription": "CAT SCAN SCOUT"},
        {"ViewPosition": None},
        {"PatientAge": "018Y"},
        {"PatientAge": "414Y"},
        {"PatientAge": "62"},
        {"PatientBirthDate": "19600102", "StudyDate": "20240102"},
        {"NumberOfFrames": 1},
    ],
)
def test_a_film_is_not_refused_for_what_it_leaves_unsaid(changes: Changes) -> None:
    assert judged(changes).refused is None


@pytest.mark.parametrize(
    ("changes", "rules", "reason"),
    [
        ({"BodyPartExamined": None}, Rules(accept_unknown_body_part=False), Reason.BODY_PART),
        ({"ViewPosition": None}, Rules(accept_unknown_view=False), Reason.VIEW),
        ({}, Rules(accept_unknown_age=False), Reason.AGE),
        ({"PatientAge": "003Y"}, Rules(minimum_age_years=0, accept_unknown_age=False), None),
        ({}, Rules(minimum_age_years=0, accept_unknown_age=False), None),
        ({"PresentationIntentType": "FOR PROCESSING"}, Rules(accept_for_processing=True), None),
        ({"NumberOfFrames": 2}, Rules(accept_multi_frame=True), None),
        ({"BodyPartExamined": "RIBCAGE"}, Rules(body_parts=("RIBCAGE",)), None),
        ({"Modality": "MG"}, Rules(modalities=("MG",)), None),
    ],
)
def test_rules_can_be_changed(changes: Changes, rules: Rules, reason: Reason | None) -> None:
    assert judged(changes, rules).refused == reason


def test_an_object_without_pixels_is_refused_after_everything_else() -> None:
    assert judged({"PixelData": None, "BodyPartExamined": "HIP"}).refused is Reason.BODY_PART
    film = data_set(chest())
    del film.PixelData
    assert judge_header(parse(written(film)), Rules()).refused is Reason.NO_PIXELS


def test_a_view_read_from_words_and_stated_text_are_noted() -> None:
    changes: Changes = {"ViewPosition": None, "SeriesDescription": "CHEST PA", "BurnedInAnnotation": "YES"}
    assert judged(changes).notes == (Note.VIEW_GUESSED, Note.BURNED_IN_TEXT)


def test_no_detail_quotes_what_a_person_typed() -> None:
    name = "FILMER TESTA"
    for reason, changes in REFUSED:
        texts = {key: f"{value} for {name}" for key, value in changes.items() if key.endswith("Description")}
        verdict = judged(changes | texts)
        assert verdict.refused is reason
        assert "FILMER" not in verdict.detail


def test_a_film_larger_than_configured_is_refused_before_it_is_decoded() -> None:
    """Rows and Columns alone decide: the pixel data here would not even fill a thousandth of them."""
    film = data_set(chest(), changes={"Rows": 60000, "Columns": 60000})
    with pytest.raises(GiveUp) as gave_up:
        radiograph(parse(written(film)), limits=Limits(maximum_samples=1_000_000))
    assert gave_up.value.reason is Reason.TOO_LARGE


CHEST = np.kron(chest(bits=16), np.ones((8, 8), int)).astype(np.uint16)


def test_a_well_exposed_picture_passes() -> None:
    assert judge_picture(picture(CHEST), Rules()) == PASSED


@pytest.mark.parametrize(
    "p_values",
    [
        np.full((512, 512), 30000, np.uint16),
        (CHEST // 40 + 9000).astype(np.uint16),
        np.where(np.arange(512 * 384).reshape(512, 384) < 160000, 0, 40000).astype(np.uint16),
        np.where(CHEST > 9000, WHITE, CHEST).astype(np.uint16),
        CHEST[:120, :120],
        CHEST[200:300].repeat(3, axis=1).repeat(3, axis=0),
        np.where(np.indices(CHEST.shape)[1] < 80, CHEST, 20000).astype(np.uint16),
        np.pad(CHEST[150:300, 100:250], ((200, 160), (140, 90)), constant_values=65000),
    ],
    ids=["blank", "unexposed", "mostly black", "saturated", "too small", "a strip", "a strip in a frame", "a cut-out"],
)
def test_a_picture_that_shows_no_chest_is_refused(p_values: UInt16) -> None:
    verdict = judge_picture(picture(p_values), Rules())
    assert verdict.refused is Reason.QUALITY
    assert verdict.detail


def test_pixels_that_are_not_square_count_in_the_shape() -> None:
    tall = CHEST[:, ::2]
    assert judge_picture(picture(tall[:, :], aspect_ratio=0.5), Rules(minimum_side_pixels=100)).refused is None
    assert judge_picture(picture(tall, aspect_ratio=1.5), Rules(minimum_side_pixels=100)).refused is Reason.QUALITY
