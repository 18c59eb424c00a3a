"""Words that people read in a result: texts of documents and states, lines of a page, and what is painted."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from unittest.mock import patch

from pydicom.dataset import Dataset
from pypdf import PdfReader

from cxr_node.report import codes
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.pictures.typeface import Typeface
from cxr_node.report.source import ComposeRequest
from cxr_node.report.sr.tree import children_of, items, name_of
from tests.unit.report.studies import parsed

_TECHNICAL = {
    code.value
    for code in (
        codes.TRACKING_IDENTIFIER,
        codes.ALGORITHM_NAME,
        codes.ALGORITHM_VERSION,
        codes.ALGORITHM_PARAMETERS,
        codes.DEVICE_OBSERVER_NAME,
    )
}
"""Names and identifiers: the same in every language."""


@contextmanager
def painted() -> Iterator[list[str]]:
    """Collect each line that is painted on a picture in the block."""
    lines: list[str] = []
    write = Typeface.write

    def recorded(self: Typeface, draw: object, at: object, text: str, *more: object, **options: object) -> None:
        lines.append(text)
        write(self, draw, at, text, *more, **options)  # type: ignore[arg-type]  # as called

    with patch.object(Typeface, "write", recorded):
        yield lines


def results_with_words(kind: ResultKind, request: ComposeRequest) -> list[tuple[Dataset, list[str]]]:
    """Return each result of a kind with its words; lines are broken anywhere in pictures and pages."""
    if kind.result_type.modality != "OT":
        return [(dataset, words_of(dataset)) for dataset in map(parsed, kind.compose(request))]
    pictures = []
    for film in request.films:
        with painted() as lines:
            pictures += [(parsed(one), lines) for one in kind.compose(replace(request, films=[film]))]
    return pictures


def words_of(dataset: Dataset) -> list[str]:
    """Return the words of a result that is no picture."""
    if "EncapsulatedDocument" in dataset:
        file = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
        return [str(dataset.DocumentTitle), *(page.extract_text() for page in PdfReader(BytesIO(file)).pages)]
    if "GraphicAnnotationSequence" in dataset:
        layers = [str(layer.GraphicLayerDescription) for layer in dataset.GraphicLayerSequence]
        objects = [one for layer in dataset.GraphicAnnotationSequence for one in layer.get("TextObjectSequence", ())]
        return [*layers, *(str(one.UnformattedTextValue) for one in objects)]
    if "SegmentSequence" in dataset:
        return [words for one in dataset.SegmentSequence for words in (one.SegmentLabel, one.SegmentDescription)]
    return list(_of_document(dataset))


def _of_document(document: Dataset) -> Iterator[str]:
    """Yield texts, values, and names of the node's own scheme; other names keep the wording of PS3.16."""
    for _, item in items(document):
        if item.ValueType == "TEXT" and name_of(item) not in _TECHNICAL:
            yield str(item.TextValue)
        if item.ValueType == "CODE":
            yield str(item.ConceptCodeSequence[0].CodeMeaning)
        names = item.get("ConceptNameCodeSequence") or ()
        yield from (str(one.CodeMeaning) for one in names if one.CodingSchemeDesignator == codes.PRIVATE_SCHEME)


def joined(text: str) -> str:
    """Return a text without any space, and so without line breaks."""
    return re.sub(r"\s", "", text)


def group_values(group: Dataset) -> dict[str, object]:
    """Return the values of a measurement group's rows by the code value of their names."""
    values: dict[str, object] = {}
    for row in children_of(group):
        if row.ValueType == "CODE":
            values[name_of(row)] = str(row.ConceptCodeSequence[0].CodeValue)
        if row.ValueType == "NUM":
            values[name_of(row)] = float(row.MeasuredValueSequence[0].NumericValue)
    return values
