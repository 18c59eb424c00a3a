"""What every kind of result promises."""

from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.instance import Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Reading, Region, Structure
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.kind import (
    ChestCad,
    ComposeRequest,
    KeyImages,
    Picture,
    PresentationState,
    Report,
    ResultKind,
    Segmentation,
    Text,
)
from cxr_node.report.source import Film, Observer, PreviousReport
from tests.support import films
from tests.support.node import prediction, received, with_region
from tests.support.queue import NOON

KINDS: dict[str, ResultKind] = {
    kind.name: kind
    for kind in (
        Report(),
        Report(tid1500.COMPREHENSIVE),
        Report(tid1500.ENHANCED),
        Text(),
        ChestCad(),
        Picture(),
        PresentationState(),
        KeyImages(),
        Segmentation(),
    )
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> ResultKind:
    return KINDS[request.param]


def see(film: Film) -> Radiograph:
    return pixels.radiograph(film.header, limits=Limits())


def analysed(film: Dataset) -> Film:
    reported = Film(header=film, reading=_not_analysed(film))
    radiograph = see(reported)
    (said,) = prediction([radiograph])
    place = ((4.0, 4.0), (20.0, 4.0), (20.0, 30.0))
    heart = Structure(key=Anatomy.HEART, confidence=0.9, regions=(Region(outline=place),))
    reading = Reading(
        film=received(film).identity,
        geometry=radiograph.geometry,
        grayscale=radiograph.grayscale,
        prediction=replace(with_region(said, place), structures=(heart,)),
    )
    return Film(header=film, reading=reading)


def _not_analysed(film: Dataset) -> Reading:
    return Reading(
        film=received(film).identity,
        geometry=None,
        grayscale="",
        prediction=None,
        not_analysed=Reason.VIEW,
        detail="lateral",
    )


def order(*reported: Film, minutes: int = 0, earlier: list[Instance] | None = None) -> ComposeRequest:
    previous = [
        PreviousReport(
            sop_class_uid=each.identity.sop_class_uid,
            sop_instance_uid=each.identity.sop_instance_uid,
            series_instance_uid=each.identity.series_instance_uid,
            study_instance_uid=each.identity.study_instance_uid,
        )
        for each in earlier or []
    ]
    return ComposeRequest(
        films=reported, see=see, node=Observer(), now=NOON + timedelta(minutes=minutes), earlier=previous
    )


def test_the_same_is_named_the_same_whenever_it_is_made(kind: ResultKind) -> None:
    (first,) = kind.compose(order(analysed(films.dx())))
    (second,) = kind.compose(order(analysed(films.dx()), minutes=5))

    assert first.identity == second.identity


def test_what_has_been_said_is_not_said_again(kind: ResultKind) -> None:
    made = kind.compose(order(analysed(films.dx())))

    assert kind.compose(order(analysed(films.dx()), minutes=5, earlier=made)) == []


def test_a_film_more_is_said_under_the_next_number_in_the_same_series(kind: ResultKind) -> None:
    first = kind.compose(order(analysed(films.dx())))
    second = kind.compose(order(analysed(films.dx()), analysed(films.cr()), minutes=5, earlier=first))

    numbers = [dcmread(BytesIO(each.content)).InstanceNumber for each in (*first, *second)]
    assert numbers == [1, 2]
    assert first[0].identity.series_instance_uid == second[0].identity.series_instance_uid
    assert first[0].identity.sop_instance_uid != second[0].identity.sop_instance_uid


def test_a_result_is_of_the_film_s_study_and_patient_and_is_what_it_says_it_is(kind: ResultKind) -> None:
    film = films.dx()
    (result,) = kind.compose(order(analysed(film)))

    dataset = dcmread(BytesIO(result.content))
    assert (dataset.StudyInstanceUID, dataset.PatientID, dataset.PatientName) == (
        film.StudyInstanceUID,
        film.PatientID,
        film.PatientName,
    )
    assert str(dataset.SOPInstanceUID) == result.identity.sop_instance_uid
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert dataset.SOPClassUID == result.identity.sop_class_uid
    assert dataset.SeriesInstanceUID == result.identity.series_instance_uid
    assert result.digest == result_digest(result)
    assert "RESEARCH" in dataset.SeriesDescription


def test_a_film_that_was_not_analysed_is_never_painted_or_marked(kind: ResultKind) -> None:
    film = films.dx()

    made = kind.compose(order(Film(header=film, reading=_not_analysed(film))))

    is_report = isinstance(kind, Report | Text | ChestCad)
    assert len(made) == (1 if is_report else 0)


def result_digest(result: Instance) -> str:
    """Return the SHA-256 of the data set in a result's bytes, found by File Meta Information Group Length."""
    return digest_of(result.content[films.data_set_offset(result.content) :])
