"""Patient and Study attributes of all films of a study: one value each, the same in every result."""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from cxr_node.report.header.elements import tag_of, verbatim
from cxr_node.report.header.patient_study import PATIENT, PATIENT_STUDY, STUDY
from cxr_node.report.patient import normalized, person_name

_SHARED = (*PATIENT, *STUDY, *PATIENT_STUDY, "TimezoneOffsetFromUTC")
_REQUESTS = "RequestAttributesSequence"
_REPLACED = frozenset(map(tag_of, (*_SHARED, _REQUESTS)))
_ACCESSION = ("AccessionNumber", "IssuerOfAccessionNumberSequence")


def study_attributes(headers: Sequence[Dataset]) -> Dataset:
    """Return the Patient and Study attributes of safe headers, and the union of their request attributes.

    Of an attribute's known values the first is taken, in the order of `headers`; of a name's spellings the most
    complete. A study of several orders has no Accession Number of its own: each is that of a request.
    """
    shared = Dataset()
    for keyword in _SHARED:
        tag = tag_of(keyword)
        present = [header[tag] for header in headers if tag in header]
        if present:
            shared.add(_choose([element for element in present if not element.is_empty] or present))
    several_orders = len({normalized(header.get("AccessionNumber")) for header in headers} - {""}) > 1
    if several_orders:
        shared.add(verbatim("AccessionNumber", ""))  # a new element: the present one is also a film's
        if "IssuerOfAccessionNumberSequence" in shared:
            del shared.IssuerOfAccessionNumberSequence
    requests = _distinct(item for header in headers for item in _requests(header, several_orders=several_orders))
    if requests:
        setattr(shared, _REQUESTS, requests)
    return shared


def with_attributes(header: Dataset, shared: Dataset) -> Dataset:
    """Return a copy of a safe header with the attributes of its study in place of its own.

    Its elements are copied, as a header serves several results: a result may give one another value.
    """
    elements = {tag: copy(element) for tag, element in header.items() if tag not in _REPLACED}
    return Dataset({**elements, **dict(shared.items())})


def _choose(known: Sequence[DataElement]) -> DataElement:
    """Return the first value; of spellings of a person's name the one of most components."""
    if known[0].keyword != "PatientName":
        return known[0]
    return max(known, key=lambda element: sum(map(len, person_name(str(element.value)))))


def _distinct(items: Iterable[Dataset]) -> list[Dataset]:
    distinct: list[Dataset] = []
    for item in items:
        if item not in distinct:
            distinct.append(item)
    return distinct


def _requests(header: Dataset, *, several_orders: bool) -> Iterator[Dataset]:
    """Yield the request attributes of a film; in a study of several orders one has the film's Accession Number."""
    items = list(header.get(_REQUESTS, ()))
    number = normalized(header.get("AccessionNumber"))
    if several_orders and number and number not in {normalized(item.get("AccessionNumber")) for item in items}:
        named = Dataset()
        if len(items) == 1 and not items[0].get("AccessionNumber"):
            named.update(items.pop())
        for keyword in _ACCESSION:
            if keyword in header:
                named.add(header[keyword])
        items.append(named)
    yield from items
