"""Content tree of a Structured Report: its items, and the tree as lines of text without the header and the patient."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from cxr_node.report import codes
from cxr_node.report.header.elements import value_of

_OMITTED_IN_BRIEF = frozenset(
    concept.value
    for concept in (
        codes.LANGUAGE,
        codes.OBSERVER_TYPE,
        codes.DEVICE_OBSERVER_UID,
        codes.PROCEDURE_REPORTED,
        codes.TRACKING_IDENTIFIER,
        codes.TRACKING_UNIQUE_IDENTIFIER,
        codes.ALGORITHM_PARAMETERS,
        codes.SOURCE,
        codes.SOURCE_OF_MEASUREMENT,
        codes.IMAGE_LIBRARY,
    )
)


def items(dataset: Dataset) -> Iterator[tuple[int, Dataset]]:
    """Yield every content item with its depth, the root at 0, parents before children."""
    yield from _below(dataset, 0, frozenset())


def lines(dataset: Dataset, *, brief: bool = False) -> list[tuple[int, str]]:
    """Return (depth, text) for each content item of a document, in order.

    Parameters
    ----------
    dataset
        A Structured Report of any kind, as read or as composed.
    brief
        Omit observer, identifiers, algorithm parameters, references, and all below them.
    """
    omitted = _OMITTED_IN_BRIEF if brief else frozenset()
    return [(depth, _line(item)) for depth, item in _below(dataset, 0, omitted)]


def name_of(item: Dataset) -> str:
    """Return the code value of an item's concept name, or "" where it has none."""
    return _value(value_of(item, "ConceptNameCodeSequence"))


def meaning_of(item: Dataset) -> str:
    """Return the code meaning of an item's concept name, or its value type where it has none."""
    names = value_of(item, "ConceptNameCodeSequence")
    return str(names[0].CodeMeaning) if names else str(item.ValueType)


def children_of(item: Dataset) -> list[Dataset]:
    """Return the items one level below."""
    return list(value_of(item, "ContentSequence") or ())


def _below(item: Dataset, depth: int, omitted: frozenset[str]) -> Iterator[tuple[int, Dataset]]:
    stack = [(depth, item)]
    while stack:
        depth, item = stack.pop()
        if omitted and name_of(item) in omitted:
            continue
        yield depth, item
        stack.extend((depth + 1, child) for child in reversed(children_of(item)))


def _value(code_sequence: list[Dataset] | None) -> str:
    if not code_sequence:
        return ""
    entry = code_sequence[0]
    return str(value_of(entry, "CodeValue") or entry.get("LongCodeValue", ""))


def _line(item: Dataset) -> str:
    value = _text_of(item)
    return f"{meaning_of(item)}: {value}" if value else meaning_of(item)


_TEXT_KEYWORDS = {"TEXT": "TextValue", "UIDREF": "UID", "DATE": "Date", "TIME": "Time"}


def _text_of(item: Dataset) -> str:
    match item.ValueType:
        case "CODE":
            return str(item.ConceptCodeSequence[0].CodeMeaning)
        case "NUM":
            return _number(item)
        case "SCOORD":
            return _coordinates(item)
        case "IMAGE" | "COMPOSITE":
            return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        case value_type if value_type in _TEXT_KEYWORDS:
            return str(item[_TEXT_KEYWORDS[value_type]].value)
        case _:
            return ""


def _number(item: Dataset) -> str:
    if not item.get("MeasuredValueSequence"):
        return "no value"
    measured = item.MeasuredValueSequence[0]
    unit = measured.MeasurementUnitsCodeSequence[0]
    return f"{float(measured.NumericValue):g} {unit.CodeMeaning if unit.CodeValue != '%' else '%'}"


def _coordinates(item: Dataset) -> str:
    data = [float(value) for value in item.GraphicData]
    columns, rows = data[0::2], data[1::2]
    box = f"columns {min(columns):g} to {max(columns):g}, rows {min(rows):g} to {max(rows):g}"
    return f"{item.GraphicType} of {len(columns)} points, {box}"
