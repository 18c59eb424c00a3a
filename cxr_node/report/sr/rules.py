"""Rules for a content tree: codes, coordinates, and the rows of TID 1500 that the node promises."""

from collections.abc import Container, Iterator, Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.report import codes
from cxr_node.report.languages.translate import LANGUAGES
from cxr_node.report.pictures.outlines import bounds
from cxr_node.report.source import Film
from cxr_node.report.sr.check_digit import has_right_check_digit
from cxr_node.report.sr.tree import children_of, items, meaning_of, name_of

_SH_CHARACTERS = 16
_LO_CHARACTERS = 64
_CODE_SEQUENCES = ("ConceptNameCodeSequence", "ConceptCodeSequence")
_GROUP_PROMISES = (codes.TRACKING_IDENTIFIER, codes.TRACKING_UNIQUE_IDENTIFIER)
_ROOT_PROMISES = (
    codes.LANGUAGE,
    codes.OBSERVER_TYPE,
    codes.DEVICE_OBSERVER_UID,
    codes.PROCEDURE_REPORTED,
    codes.IMAGE_LIBRARY,
    codes.IMAGING_MEASUREMENTS,
    codes.QUALITATIVE_EVALUATIONS,
)
_CAD_PROMISES = (
    codes.LANGUAGE,
    codes.FINDINGS_SUMMARY,
    codes.SUMMARY_OF_DETECTIONS,
    codes.SUMMARY_OF_ANALYSES,
)
_MARK_PROMISES = (codes.RENDERING_INTENT, codes.ALGORITHM_NAME, codes.CERTAINTY_OF_FINDING, codes.CENTER)
_SUMMARY_PROMISES = (codes.FINDINGS_SUMMARY, codes.SUMMARY, codes.COMMENT)


def content_faults(document: Dataset, films: Sequence[Film]) -> Iterator[str]:
    """Yield a sentence for each fault of the content tree of a report on `films`."""
    seen: set[int] = set()
    for _, item in items(document):
        yield from _code_faults(item, seen)
        yield from _coordinate_faults(item, films)
    names = {name_of(item) for _, item in items(document)}
    has_words = name_of(document) != codes.CHEST_CAD_REPORT.value or codes.ALGORITHM_NAME.value in names
    if has_words and not any(_is_caution(str(item.get("TextValue"))) for _, item in items(document)):
        yield "the research-use caution is absent"
    if name_of(document) == codes.IMAGING_MEASUREMENT_REPORT.value:
        yield from _report_faults(document, films)
    if name_of(document) == codes.CHEST_CAD_REPORT.value:
        yield from _cad_faults(document)


def _is_caution(said: str) -> bool:
    return any(language.sentences.caution in said for language in LANGUAGES.values())


def _code_faults(item: Dataset, seen: set[int]) -> Iterator[str]:
    """Yield the faults of an item's codes; `seen` are those looked at, for in a composed tree equal ones are one."""
    for keyword in _CODE_SEQUENCES:
        for entry in item.get(keyword, ()):
            if id(entry) in seen:
                continue
            seen.add(id(entry))
            yield from code_faults(
                str(entry.get("CodeValue") or ""), str(entry.CodingSchemeDesignator), str(entry.CodeMeaning)
            )


def code_faults(value: str, scheme_designator: str, meaning: str) -> Iterator[str]:
    """Yield a sentence for each reason why a code may not be written (PS3.3 section 8)."""
    if not 0 < len(value) <= _SH_CHARACTERS or not 0 < len(scheme_designator) <= _SH_CHARACTERS:
        yield f"code value or scheme is empty or longer than {_SH_CHARACTERS}: {value} {scheme_designator}"
    if not 0 < len(meaning) <= _LO_CHARACTERS:
        yield f"meaning of code {value} is empty or longer than {_LO_CHARACTERS}"
    if value in codes.DENIED:
        yield f"code {value} {codes.DENIED[value]}"
    if scheme_designator == "SCT" and not (value.isdecimal() and has_right_check_digit(value)):
        yield f"{value} is not a SNOMED CT identifier"


def _coordinate_faults(item: Dataset, films: Sequence[Film]) -> Iterator[str]:
    if item.get("ValueType") != "SCOORD":
        return
    referred = str(children_of(item)[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    columns, rows = next(bounds(film) for film in films if film.reading.film.sop_instance_uid == referred)
    data = [float(value) for value in item.GraphicData]
    if min(data) < 0 or max(data[0::2]) > columns or max(data[1::2]) > rows:
        yield f"{meaning_of(item)} lies outside its film"
    is_region = name_of(item) in (codes.IMAGE_REGION.value, codes.OUTLINE.value)
    if is_region and data[:2] != data[-2:]:
        yield f"{meaning_of(item)} is not closed"


def _report_faults(document: Dataset, films: Sequence[Film]) -> Iterator[str]:
    parts = {name_of(part): part for part in children_of(document)}
    absent = list(_absent(_ROOT_PROMISES, parts))
    yield from absent
    if absent:
        return
    library = [item for _, item in items(parts[codes.IMAGE_LIBRARY.value]) if item.ValueType == "IMAGE"]
    if len(library) != len(films):
        yield "the image library does not list every film once"
    groups = children_of(parts[codes.IMAGING_MEASUREMENTS.value])
    yield from _group_faults(groups, films)
    yield from _absent(
        _SUMMARY_PROMISES, {name_of(row) for row in children_of(parts[codes.QUALITATIVE_EVALUATIONS.value])}
    )


def _cad_faults(document: Dataset) -> Iterator[str]:
    parts = {name_of(part): part for part in children_of(document)}
    yield from _absent(_CAD_PROMISES, parts)
    for item in children_of(parts[codes.FINDINGS_SUMMARY.value]) if codes.FINDINGS_SUMMARY.value in parts else ():
        yield from _absent(_MARK_PROMISES, {name_of(row) for row in children_of(item)})


def _group_faults(groups: Sequence[Dataset], films: Sequence[Film]) -> Iterator[str]:
    if len(groups) < len(films):
        yield "a film has no measurement group"
    trackers = [str(row.UID) for group in groups for row in children_of(group) if row.ValueType == "UIDREF"]
    if len(set(trackers)) != len(groups):
        yield "tracking unique identifiers are not one per group"
    for group in groups:
        rows = children_of(group)
        names = {name_of(row) for row in rows}
        yield from _absent(_GROUP_PROMISES, names)
        if codes.CERTAINTY_OF_FINDING.value in names:
            yield from _absent((codes.FINDING, codes.ALGORITHM_NAME, codes.PRESENCE_OF_PROPERTY), names)
        if codes.IMAGE_REGION.value not in names:
            yield from _unopenable(rows)


def _unopenable(rows: Sequence[Dataset]) -> Iterator[str]:
    for row in rows:
        if row.ValueType == "NUM" and [child.ValueType for child in children_of(row)] != ["SCOORD"]:
            yield f"{meaning_of(row)} has not exactly one SCOORD, so OHIF cannot open the report"
    if not any(row.ValueType in ("NUM", "SCOORD") for row in rows):
        yield "a group has no coordinates, so OHIF cannot open the report"


def _absent(promised: Sequence[Code], names: Container[str]) -> Iterator[str]:
    for concept in promised:
        if concept.value not in names:
            yield f"{concept.meaning} is absent"
