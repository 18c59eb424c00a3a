"""Selection of prior films among the answers of an archive."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.prior_search import Candidate, PriorQuery
from cxr_node.domain.sop_classes import PRIOR_SOP_CLASSES
from cxr_node.priors import selection

QUERY = PriorQuery(
    patient_id="P1",
    issuer="HOSPITAL",
    patient_key=digest_of(b"P1"),
    study_instance_uid=Uid("1.2"),
    view=View.PA,
    date="20260301",
    time="101500",
    earliest="20210301",
)


def _answer(**values: str) -> Dataset:
    answer = Dataset()
    for keyword, value in values.items():
        setattr(answer, keyword, value)
    return answer


def _study(**changes: str) -> Dataset:
    values = {"StudyInstanceUID": "1.3", "StudyDate": "20250301", "PatientID": "P1", "IssuerOfPatientID": "HOSPITAL"}
    return _answer(**{**values, **changes})


def _offered(image: dict[str, str], query: PriorQuery = QUERY) -> list[Candidate]:
    series = _answer(SeriesInstanceUID="1.3.1", Modality="DX")
    values = {"SOPInstanceUID": "1.3.1.1", "SOPClassUID": PRIOR_SOP_CLASSES[1], "ViewPosition": "PA", **image}
    return list(selection.candidates(query, _study(), series, [_answer(**values)]))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"PatientID": "P2"}, id="another patient, of an archive that does not match Patient ID"),
        pytest.param({"IssuerOfPatientID": "ELSEWHERE"}, id="another issuer"),
        pytest.param({"StudyInstanceUID": "1.2"}, id="the study of the film"),
        pytest.param({"StudyDate": "20260302"}, id="a later day"),
        pytest.param({"StudyDate": "20210228"}, id="too long before"),
    ],
)
def test_a_study_that_contradicts_the_query_is_left_out(changes: dict[str, str]) -> None:
    assert selection.earlier_studies([_study()], QUERY)
    assert selection.earlier_studies([_study(**changes)], QUERY) == []


def test_studies_are_asked_about_from_the_newest_on_and_each_once() -> None:
    older, newer = _study(StudyDate="20240301"), _study(StudyDate="20250301", StudyInstanceUID="1.4")

    studies = selection.earlier_studies([older, newer, older], QUERY)

    assert [str(study.StudyInstanceUID) for study in studies] == ["1.4", "1.3"]


@pytest.mark.parametrize(
    ("series", "may"),
    [
        ({"Modality": "DX", "BodyPartExamined": "CHEST"}, True),
        ({"Modality": "CR"}, True),
        ({}, True),
        ({"Modality": "OT", "SeriesDescription": "AI results"}, False),
        ({"Modality": "DX", "BodyPartExamined": "KNEE"}, False),
    ],
)
def test_a_series_of_no_chest_film_is_not_asked_about(series: dict[str, str], may: bool) -> None:
    assert selection.may_have_chest(_study(), _answer(**series)) is may


@pytest.mark.parametrize(
    "image",
    [
        pytest.param({"ViewPosition": "AP"}, id="another view"),
        pytest.param({"ViewPosition": "LL"}, id="lateral"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, id="a picture"),
        pytest.param({"AcquisitionDate": "20260301", "AcquisitionTime": "110000"}, id="later on the same day"),
        pytest.param({"SOPInstanceUID": "no UID"}, id="no UID"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_instance_that_cannot_be_the_prior_is_not_offered(image: dict[str, str]) -> None:
    assert len(_offered({})) == 1
    assert _offered(image) == []


def test_what_an_archive_does_not_state_excludes_nothing() -> None:
    assert len(_offered({"ViewPosition": "", "SOPClassUID": ""})) == 1


def test_the_newest_candidates_are_tried_and_no_more_than_five() -> None:
    (candidate,) = _offered({})
    offered = [replace(candidate, date=f"2025010{day}") for day in range(1, 8)]

    assert [one.date for one in selection.newest_first(offered)] == [f"2025010{day}" for day in (7, 6, 5, 4, 3)]


@pytest.mark.parametrize(
    ("date", "time", "is_earlier"),
    [
        ("20260228", "", True),
        ("20260301", "101400", True),
        ("20260301", "", False),
        ("20260301", "101500", False),
        ("20210228", "", False),
    ],
)
def test_films_of_one_day_are_in_order_by_their_times_alone(date: str, time: str, is_earlier: bool) -> None:
    assert QUERY.is_earlier(date, time) is is_earlier
