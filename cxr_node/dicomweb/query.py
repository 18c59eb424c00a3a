"""Parameters of a QIDO-RS request (PS3.18 sections 8.3.4 and 10.6.1): matching, paging, and what is refused."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from cxr_node.domain.film_attributes import cleaned
from cxr_node.domain.identifiers import parse_uid
from cxr_node.net.http_exchange import RequestRejected
from cxr_node.queries.held_instances import Matching

MOST = 200
"""Most matches in a response, and their number where the request states none."""
_FARTHEST = 100_000
_TAGS = {
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "SOPInstanceUID": "00080018",
    "SOPClassUID": "00080016",
    "SOPClassesInStudy": "00080062",
    "Modality": "00080060",
    "ModalitiesInStudy": "00080061",
    "PatientID": "00100020",
    "IssuerOfPatientID": "00100021",
    "PatientName": "00100010",
    "AccessionNumber": "00080050",
    "StudyDescription": "00081030",
    "StudyDate": "00080020",
}
MATCHED = {tag: keyword for keyword, tag in _TAGS.items()}
"""Attributes that can be matched: keyword by tag."""
_UIDS = {
    "StudyInstanceUID": "study_instance_uids",
    "SeriesInstanceUID": "series_instance_uids",
    "SOPInstanceUID": "sop_instance_uids",
    "SOPClassUID": "sop_class_uids",
}
LISTS = frozenset({*_UIDS, "SOPClassesInStudy", "Modality", "ModalitiesInStudy"})
"""Attributes of which a list of values is matched."""
_IDENTIFIERS = {
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
    "PatientName": "patient_name",
    "AccessionNumber": "accession_number",
    "StudyDescription": "study_description",
}
_DATE = re.compile(r"(\d{8})?(-)?(\d{8})?")
_LIST = re.compile(r"[,\\]")
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a request asks for. `identifiers` are those that were looked up, by column, for the audit trail.

    `warning` is a sentence on what of the request was not done.
    """

    matching: Matching
    limit: int = MOST
    offset: int = 0
    identifiers: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""


def parse_query(
    parameters: Sequence[tuple[str, str]], path: Mapping[str, str], *, result_modalities: Mapping[str, str]
) -> Query:
    """Return the query of a request; `path` are the UIDs in its path, by keyword.

    Raises
    ------
    RequestRejected
        If a parameter is unknown, cannot be matched, or has no valid value.
    """
    conditions: dict[str, str] = {}
    warning = ""
    for name, value in parameters:
        if name == "fuzzymatching" and value.lower() == "true":
            warning = "fuzzymatching is not supported: only literal matching was done"
        elif name not in ("includefield", "fuzzymatching"):
            keyword = MATCHED.get(name.upper(), name)
            if keyword not in (*_TAGS, "limit", "offset"):
                raise RequestRejected(400, f"the parameter is not supported; supported are {', '.join(_TAGS)}")
            if value:  # an empty value matches everything
                conditions[keyword] = value
    matching = _matching({**conditions, **path}, result_modalities)
    dates = "-".join(matching.dates) if any(matching.dates) else ""
    return Query(
        matching=matching,
        limit=min(_number(conditions, "limit", MOST), MOST),
        offset=_number(conditions, "offset", 0),
        identifiers={**matching.identifiers, **({"study_date": dates} if dates else {})},
        warning=warning,
    )


def _matching(conditions: Mapping[str, str], result_modalities: Mapping[str, str]) -> Matching:
    uids = {field: _values(conditions[keyword], _uid) for keyword, field in _UIDS.items() if keyword in conditions}
    if "SOPClassesInStudy" in conditions:
        uids["sop_class_uids"] = _values(conditions["SOPClassesInStudy"], _uid)
    identifiers = {
        column: _text(conditions[keyword]) for keyword, column in _IDENTIFIERS.items() if keyword in conditions
    }
    modalities = conditions.get("ModalitiesInStudy") or conditions.get("Modality", "")
    return Matching(
        **uids,
        modalities=_values(modalities, _modality) if modalities else (),
        result_modalities=result_modalities,
        identifiers={column: text for column, text in identifiers.items() if text.strip("*")},
        dates=_dates(conditions.get("StudyDate", "")),
    )


def _values(text: str, parse: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(parse(value.strip()) for value in _LIST.split(text) if value.strip())


def _uid(text: str) -> str:
    try:
        return parse_uid(text)
    except ValueError:
        raise RequestRejected(400, "a UID is not valid") from None


def _modality(text: str) -> str:
    if not _MODALITY.fullmatch(text.upper()):
        raise RequestRejected(400, "a modality is not valid")
    return text.upper()


def _text(text: str) -> str:
    return cleaned(text, characters=200)


def _dates(text: str) -> tuple[str, str]:
    match = _DATE.fullmatch(text)
    if match is None:
        raise RequestRejected(400, "StudyDate is not YYYYMMDD, or a range of two with a hyphen")
    first, hyphen, last = match.groups(default="")
    return _iso(first), _iso(last if hyphen else first)


def _iso(text: str) -> str:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])).isoformat() if text else ""
    except ValueError:
        raise RequestRejected(400, "StudyDate is no date") from None


def _number(conditions: Mapping[str, str], name: str, default: int) -> int:
    text = conditions.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or int(text) > _FARTHEST:
        raise RequestRejected(400, f"{name} is no number, or larger than {_FARTHEST}")
    return int(text)
