"""Observation context at the head of every document: language, observer and procedure."""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.report import codes
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, code, text, uid_reference
from cxr_node.report.sr.rules import code_faults

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_MODIFIER = Relationship.HAS_CONCEPT_MOD


def language_of(observer: Observer) -> ContentItem:
    """Return the language of a document (TID 1204)."""
    return code(codes.LANGUAGE, observer.language.code, _MODIFIER)


def observer_context(observer: Observer) -> list[ContentItem]:
    """Return a device as observer (TID 1002, 1004); maker, model and serial number are in the header."""
    return [
        code(codes.OBSERVER_TYPE, codes.DEVICE, _CONTEXT),
        uid_reference(codes.DEVICE_OBSERVER_UID, observer.uid, _CONTEXT),
        text(codes.DEVICE_OBSERVER_NAME, observer.name, _CONTEXT),
    ]


def procedures_reported(films: Sequence[ReportedFilm]) -> list[ContentItem]:
    """Return the procedures that the films name, or else a plain chest radiograph (TID 1500 row 4)."""
    named = dict.fromkeys(procedure for film in films for procedure in _procedures(film.header))
    return [code(codes.PROCEDURE_REPORTED, one, _MODIFIER) for one in named or (codes.PLAIN_CHEST_RADIOGRAPH,)]


def _procedures(header: Dataset) -> Iterator[Code]:
    """Yield the valid items of Procedure Code Sequence (0008,1032)."""
    for item in header.get("ProcedureCodeSequence") or ():
        value, scheme, meaning = (
            str(item.get(keyword) or "") for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        )
        if not any(code_faults(value, scheme, meaning)):
            yield Code(value=value, scheme_designator=scheme, meaning=meaning)
