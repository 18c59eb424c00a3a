"""Test report, marked as such, without patient and film: checks delivery to a destination."""

from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation

from cxr_node.domain.identifiers import Uid, derive_uid, digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.source import ComposeRequest, Observer, ReportedFilm

PATIENT_NAME = "TEST^CXR-NODE"
PATIENT_ID = "CXRNODE-TEST"
STUDY_DESCRIPTION = "TEST OF CXR-NODE - NO PATIENT"
DETAIL = "a test of delivery: there is no such patient and no such film"


def compose_test_report(kind: ResultKind, *, observer: Observer, now: datetime) -> Instance:
    """Return the test report of a kind: always the same instance, so that repeated tests leave one."""
    (report,) = kind.compose(ComposeRequest(films=[_film(observer)], load_film=_no_pixels, observer=observer, now=now))
    return report


def _film(observer: Observer) -> ReportedFilm:
    film = Identity(
        sop_class_uid=Uid(DigitalXRayImageStorageForPresentation),
        sop_instance_uid=derive_uid("test film", observer.uid),
        series_instance_uid=derive_uid("test series", observer.uid),
        study_instance_uid=derive_uid("test study", observer.uid),
        patient_key=digest_of(PATIENT_ID.encode()),
    )
    header = Dataset()
    header.SOPClassUID = film.sop_class_uid
    header.SOPInstanceUID = film.sop_instance_uid
    header.SeriesInstanceUID = film.series_instance_uid
    header.StudyInstanceUID = film.study_instance_uid
    header.Modality = "DX"
    header.PatientName = PATIENT_NAME
    header.PatientID = PATIENT_ID
    header.StudyDescription = STUDY_DESCRIPTION
    reading = Reading(
        film=film, geometry=None, grayscale="", prediction=None, not_analysed=Reason.NO_PIXELS, detail=DETAIL
    )
    return ReportedFilm(header=header, reading=reading)


def _no_pixels(film: ReportedFilm) -> ReducedFilm:
    raise ValueError(f"a report needs no pixels: {film.reading.film.sop_instance_uid}")
