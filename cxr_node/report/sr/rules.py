"""Rules for the content tree of every document: codes, coordinates, the research-use caution."""

from collections.abc import Container, Iterator, Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.report import codes
from cxr_node.report.header.elements import value_of
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.pictures.outlines import bounds
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.check_digit import has_valid_check_digit
from cxr_node.report.sr.tree import children_of, items, meaning_of, name_of

_SH_CHARACTERS = 16
_LO_CHARACTERS = 64
_CODE_SEQUENCES = ("ConceptNameCodeSequence", "ConceptCodeSequence")


def item_faults(document: Dataset, films: Sequence[ReportedFilm]) -> Iterator[str]:
    """Yield a sentence for each fault of a code or coordinate in the content tree of a document on `films`."""
    checked: set[int] = set()
    for _, item in items(document):
        yield from _code_faults(item, checked)
        yield from _coordinate_faults(item, films)


def caution_faults(document: Dataset, _films: Sequence[ReportedFilm]) -> Iterator[str]:
    """Yield a fault if no text of the document has the research-use caution."""
    texts = [str(value_of(item, "TextValue")) for _, item in items(document)]
    if not any(language.phrases.caution in text for language in LANGUAGES.values() for text in texts):
        yield "the research-use caution is absent"


def absent_concepts(promised: Sequence[Code], names: Container[str]) -> Iterator[str]:
    """Yield a sentence for each promised concept whose code value is not among `names`."""
    for concept in promised:
        if concept.value not in names:
            yield f"{concept.meaning} is absent"


def _code_faults(item: Dataset, checked: set[int]) -> Iterator[str]:
    """Yield the faults of an item's codes; `checked` skips entries done before: a composed tree shares equal codes."""
    for keyword in _CODE_SEQUENCES:
        for entry in value_of(item, keyword) or ():
            if id(entry) in checked:
                continue
            checked.add(id(entry))
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
    if scheme_designator == "SCT" and not (value.isdecimal() and has_valid_check_digit(value)):
        yield f"{value} is not a SNOMED CT identifier"


def _coordinate_faults(item: Dataset, films: Sequence[ReportedFilm]) -> Iterator[str]:
    if value_of(item, "ValueType") != "SCOORD":
        return
    referred = str(children_of(item)[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    columns, rows = next(bounds(film) for film in films if film.reading.film.sop_instance_uid == referred)
    data = [float(value) for value in item.GraphicData]
    if min(data) < 0 or max(data[0::2]) > columns or max(data[1::2]) > rows:
        yield f"{meaning_of(item)} lies outside its film"
    is_outline = item.RelationshipType == "CONTAINS" and name_of(item) == codes.IMAGE_REGION.value
    if (is_outline or name_of(item) == codes.OUTLINE.value) and data[:2] != data[-2:]:
        yield f"{meaning_of(item)} is not closed"
