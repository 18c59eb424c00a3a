"""Selection among the films that an archive offers, by what its answers state of them. Pure.

What an archive does not state excludes nothing: the header of the fetched film decides, and then its reading.
"""

from collections.abc import Iterable, Iterator, Mapping

from pydicom.dataset import Dataset

from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import Uid, parse_uid
from cxr_node.domain.prior_search import Candidate, PriorQuery
from cxr_node.domain.sop_classes import PRIOR_SOP_CLASSES
from cxr_node.pixels import elements
from cxr_node.pixels.body_part import BodyPart, find_body_part
from cxr_node.pixels.view import find_view

MODALITIES = ("CR", "DX")

STUDY_KEYS = (
    "PatientID",
    "IssuerOfPatientID",
    "StudyDate",
    "StudyTime",
    "StudyInstanceUID",
    "StudyDescription",
    "ModalitiesInStudy",
)
SERIES_KEYS = ("Modality", "SeriesInstanceUID", "SeriesDescription", "BodyPartExamined", "ProtocolName")
IMAGE_KEYS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ViewPosition",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
)
"""Attributes that are asked for at the levels STUDY, SERIES and IMAGE (PS3.4 tables C.6-1 to C.6-5)."""

MAXIMUM_STUDIES = 10
MAXIMUM_CANDIDATES = 5
"""Newest studies that are asked about, and films that are offered to be fetched."""


def earlier_studies(answers: Iterable[Dataset], query: PriorQuery) -> list[Dataset]:
    """Return the answers on other studies of the patient of earlier days or the same, the newest first."""
    studies: dict[str, Dataset] = {}
    for answer in answers:
        uid, day = elements.text(answer, "StudyInstanceUID"), elements.text(answer, "StudyDate")
        is_patient = elements.text(answer, "PatientID") in ("", query.patient_id)
        is_issuer = elements.text(answer, "IssuerOfPatientID") in ("", query.issuer)
        if uid and uid != query.study_instance_uid and is_patient and is_issuer and query.earliest <= day <= query.date:
            studies.setdefault(uid, answer)
    newest = sorted(studies.values(), key=_study_moment, reverse=True)
    return newest[:MAXIMUM_STUDIES]


def _study_moment(study: Dataset) -> tuple[str, str, str]:
    keywords = ("StudyDate", "StudyTime", "StudyInstanceUID")
    first, second, third = (elements.text(study, keyword) for keyword in keywords)
    return first, second, third


def may_have_chest(study: Dataset, series: Dataset) -> bool:
    """Whether a series may have films of a chest: its modality is that of films, and no other body part is stated."""
    modality = elements.text(series, "Modality").upper()
    part = find_body_part(_merged(study, series)).part
    return modality in ("", *MODALITIES) and part is not BodyPart.OTHER


def candidates(query: PriorQuery, study: Dataset, series: Dataset, images: Iterable[Dataset]) -> Iterator[Candidate]:
    """Yield the films of a series that may be the prior."""
    for image in images:
        stated = _merged(study, series, image)
        view, _ = find_view(stated)
        uids = _uids(stated)
        is_film = elements.text(stated, "SOPClassUID") in ("", *PRIOR_SOP_CLASSES)
        if uids is None or not is_film or view not in (query.view, View.UNKNOWN):
            continue
        moment = _moment(stated)
        if moment[1] and not query.is_earlier(*moment):
            continue
        yield Candidate(
            sop_instance_uid=uids["SOPInstanceUID"],
            series_instance_uid=uids["SeriesInstanceUID"],
            study_instance_uid=uids["StudyInstanceUID"],
            date=moment[0],
            time=moment[1],
        )


def newest_first(offered: Iterable[Candidate]) -> list[Candidate]:
    """Return the newest of candidates, as many as are tried."""
    ordered = sorted(offered, key=lambda one: (one.date, one.time, one.sop_instance_uid), reverse=True)
    return ordered[:MAXIMUM_CANDIDATES]


def _uids(stated: Dataset) -> Mapping[str, Uid] | None:
    keywords = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    try:
        return {keyword: parse_uid(elements.text(stated, keyword)) for keyword in keywords}
    except ValueError:
        return None


def _moment(stated: Dataset) -> tuple[str, str]:
    """Return date and time of acquisition, else of content; of the study where neither is stated."""
    for name in ("Acquisition", "Content", "Study"):
        if day := elements.text(stated, f"{name}Date"):
            return day[:8], elements.text(stated, f"{name}Time")
    return "", ""


def _merged(*parts: Dataset) -> Dataset:
    """Return one data set of the answers of several levels; a lower level counts."""
    merged = Dataset()
    for part in parts:
        for tag in part.keys():  # noqa: SIM118 -- iterating a Dataset converts its elements, warning of each bad one
            merged[tag] = part.get_item(tag, keep_deferred=True)
    return merged
