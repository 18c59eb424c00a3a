"""Encapsulated PDF (PS3.3 section A.45.1): the study on one printed page, for systems that show documents."""

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from cxr_node.domain.hanging import hang_reading
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.instance import Instance
from cxr_node.report import codes
from cxr_node.report.check import require_sound
from cxr_node.report.header.elements import keywords
from cxr_node.report.header.encoding import encoded
from cxr_node.report.header.equipment import coded
from cxr_node.report.header.header import header, identity_of
from cxr_node.report.header.part10 import instance_of
from cxr_node.report.header.references import hierarchy, instance_reference
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds.kind import study_kind
from cxr_node.report.pages.blocks import Picture
from cxr_node.report.pages.study_page import page_of
from cxr_node.report.pictures.picture import films as pictures_of
from cxr_node.report.result_type import ResultType
from cxr_node.report.source import ComposeRequest, ReportedFilm

_TYPE = ResultType(
    name="PDF",
    sop_class_uid=Uid(EncapsulatedPDFStorage),
    modality="DOC",
    series_offset=49,
    series_description="AI CXR page - RESEARCH",
    type_1=keywords("""
        ConversionType BurnedInAnnotation SourceInstanceSequence MIMETypeOfEncapsulatedDocument EncapsulatedDocument
    """),  # PS3.3 C.8.6.1, C.24.2
    type_2=keywords("ContentDate ContentTime AcquisitionDateTime DocumentTitle ConceptNameCodeSequence"),
    flags={"BurnedInAnnotation": "YES", "MIMETypeOfEncapsulatedDocument": "application/pdf"},
    referred_as=codes.DOCUMENT,
)


def compose_study(films: Sequence[ReportedFilm], request: ComposeRequest, instance_number: int) -> Instance:
    """Return the page of films with safe headers, which names the newest earlier page as its predecessor."""
    page = page_of(films, request.observer, _pictures(films, request))
    identity = identity_of(films, _TYPE, request.observer, content=digest_of(page))
    dataset = header(films, identity, _TYPE, request, instance_number)
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES"
    dataset.AcquisitionDateTime = ""
    dataset.SourceInstanceSequence = [
        instance_reference(film.reading.film.sop_class_uid, film.reading.film.sop_instance_uid) for film in films
    ]
    predecessors = request.earlier or request.replaced
    if predecessors:
        previous = predecessors[-1]
        series = previous.study_instance_uid, previous.series_instance_uid
        dataset.PredecessorDocumentsSequence = hierarchy([(*series, previous.sop_class_uid, previous.sop_instance_uid)])
    _add_document(dataset, page, request.observer.language.phrases.page_title)
    require_sound(dataset, films, _TYPE)
    return instance_of(encoded(dataset), identity)


def _add_document(dataset: Dataset, page: bytes, title: str) -> None:
    dataset.DocumentTitle = title
    dataset.ConceptNameCodeSequence = [coded(codes.X_RAY_REPORT)]
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
    dataset["EncapsulatedDocument"].VR = "OB"
    dataset.EncapsulatedDocumentLength = len(page)


def _pictures(films: Sequence[ReportedFilm], request: ComposeRequest) -> list[Picture]:
    """Return each analysed film with its findings as it hangs; the only one also as it was sent."""
    received = {
        film.reading.film.sop_instance_uid: film for film in request.films if film.reading.prediction is not None
    }
    language = request.observer.language
    analysed = [film for film in films if film.reading.prediction is not None]
    labels = {id(film): words.heading for film, words in zip(films, impression_of(films, language).films, strict=True)}
    pictures: list[Picture] = []
    for film in analysed:
        reduced = request.load_film(received[film.reading.film.sop_instance_uid])
        if reduced is None:
            continue
        hanging = replace(film, reading=hang_reading(film.reading))
        original, painted = pictures_of(reduced, hanging, language)
        if len(analysed) == 1:
            pictures.append(Picture(caption=language.phrases.picture_original, image=original.convert("L")))
        pictures.append(Picture(caption=labels[id(film)] or language.phrases.picture_findings, image=painted))
    return pictures


ENCAPSULATED_PDF = study_kind("pdf", _TYPE, compose_study)
