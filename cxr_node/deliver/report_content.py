"""Content of a report (TID 1500) for other forms of it: patient, order, impression, findings, measurements.

The report is one that this node composed, so its tree is known; `report.kinds.tid1500` makes it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from cxr_node.domain.codes import Code, sct
from cxr_node.domain.concepts import CARDIOTHORACIC_RATIO
from cxr_node.domain.rejection_titles import RejectionTitle

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SUMMARY, _PROCEDURE_REPORTED = "121111", "121058"
_MEASUREMENTS, _EVALUATIONS = "126010", "C0034375"
_COMMENT, _FINDING, _PRESENCE = "121106", "121071", "121052"
_FINDING_SITE, _LATERALITY = "363698007", "272741003"
_DESCRIPTION = "113012"
_THRESHOLD = "THRESHOLD"
_TRACKING_UID, _ALGORITHM_NAME, _ALGORITHM_VERSION = "112040", "111001", "111003"
_PLAIN_CHEST_RADIOGRAPH = sct("399208008", "Plain chest X-ray")
"""Procedure of a report on films that name none."""
_SCORES = frozenset({"SCORE", CARDIOTHORACIC_RATIO.value})
PRESENT = "52101004"
"""Code value of Present (CID 240)."""


class NoReport(ValueError):
    """The data set is no Imaging Measurement Report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """Name and version of what found or measured (TID 4019)."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number with its name and unit, of a film or a structure on it; tracking and algorithm are its group's."""

    name: Code
    value: str
    unit: Code
    tracking_uid: str = ""
    algorithm: Algorithm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedFinding:
    """A finding of one film: its presence, score and threshold; site and side where they are stated.

    `tracking_uid` (112040, DCM) is the same in each version of the report.
    """

    code: Code
    presence: Code
    score: Measured
    threshold: str
    site: Code | None = None
    side: Code | None = None
    tracking_uid: str = ""
    algorithm: Algorithm | None = None

    @property
    def is_present(self) -> bool:
        """Whether the finding is present."""
        return self.presence.value == PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """What a report says. `header` has patient, study and order; `composed_at` is its Content Date and Time, aware.

    Of a rejection note, `withdrawn` are the SOP Instance UIDs of the reports that it withdraws.
    """

    header: "Dataset"
    composed_at: datetime
    procedure: Code | None
    lines: tuple[str, ...]
    notice: str
    findings: tuple[StatedFinding, ...]
    measurements: tuple[Measured, ...]
    withdrawn: tuple[str, ...] = ()


def parse_report(content: bytes) -> ReportContent:
    """Return what the report in the DICOM file `content` says.

    Raises
    ------
    NoReport
        If it is no Imaging Measurement Report.
    """
    from pydicom import dcmread

    try:
        document = dcmread(BytesIO(content))
        roots = {_name(item): item for item in _children(document)}
        evaluations = {_name(item): item for item in _children(roots[_EVALUATIONS])}
        others = _other_evidence(document)
        groups = [group for group in _children(roots[_MEASUREMENTS]) if not _is_of_prior(group, others)]
        procedure = roots.get(_PROCEDURE_REPORTED)
        return ReportContent(
            header=document,
            composed_at=_composed_at(document),
            procedure=_value(procedure) if procedure is not None else None,
            lines=tuple(str(roots[_SUMMARY].TextValue).splitlines()),
            notice=str(evaluations[_COMMENT].TextValue),
            findings=tuple(finding for group in groups if (finding := _finding(group)) is not None),
            measurements=tuple(measured for group in groups for measured in _measurements(group)),
        )
    except Exception:  # noqa: BLE001  # the decoder may raise anything, and quote values
        raise NoReport("not an Imaging Measurement Report of this node") from None


def parse_rejection_note(content: bytes) -> ReportContent:
    """Return what the rejection note in the DICOM file `content` withdraws, and why.

    Raises
    ------
    NoReport
        If it is no Key Object Selection of this node that rejects results.
    """
    from pydicom import dcmread

    try:
        note = dcmread(BytesIO(content))
        title = RejectionTitle(_name(note))
        procedures = note.get("ProcedureCodeSequence") or ()
        return ReportContent(
            header=note,
            composed_at=_composed_at(note),
            procedure=_code(procedures[0]) if procedures else _PLAIN_CHEST_RADIOGRAPH,
            lines=(f"Withdrawn: {title.meaning}",),
            notice=next(str(item.TextValue) for item in _children(note) if _name(item) == _DESCRIPTION),
            findings=(),
            measurements=(),
            withdrawn=tuple(
                str(instance.ReferencedSOPInstanceUID)
                for study in note.CurrentRequestedProcedureEvidenceSequence
                for series in study.ReferencedSeriesSequence
                for instance in series.ReferencedSOPSequence
            ),
        )
    except Exception:  # noqa: BLE001  # as above
        raise NoReport("not a rejection note of this node") from None


def _other_evidence(document: "Dataset") -> set[str]:
    """Return the UIDs of the objects of other studies: prior films and their reports."""
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in document.get("PertinentOtherEvidenceSequence") or ()
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def _is_of_prior(group: "Dataset", others: set[str]) -> bool:
    """Whether a group was measured on a prior film: its numbers are none of this study."""
    return any(
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) in others
        for item in _children(group)
        if item.ValueType == "IMAGE"
    )


def _finding(group: "Dataset") -> StatedFinding | None:
    """Return the finding of a group; None of a further region of a finding, which has no score."""
    rows = {_name(item): item for item in _children(group)}
    score = next((rows[name] for name in rows if name in _SCORES), None)
    if _FINDING not in rows or score is None or _THRESHOLD not in rows:
        return None
    site = rows.get(_FINDING_SITE)
    sides = [item for item in _children(site) if _name(item) == _LATERALITY] if site is not None else []
    return StatedFinding(
        code=_value(rows[_FINDING]),
        presence=_value(rows[_PRESENCE]),
        score=_measured(score),
        threshold=_measured(rows[_THRESHOLD]).value,
        site=_value(site) if site is not None else None,
        side=_value(sides[0]) if sides else None,
        tracking_uid=_tracking_uid(rows),
        algorithm=_algorithm(rows),
    )


def _tracking_uid(rows: Mapping[str, "Dataset"]) -> str:
    return str(rows[_TRACKING_UID].UID) if _TRACKING_UID in rows else ""


def _algorithm(rows: Mapping[str, "Dataset"]) -> Algorithm | None:
    if _ALGORITHM_NAME not in rows or _ALGORITHM_VERSION not in rows:
        return None
    return Algorithm(name=str(rows[_ALGORITHM_NAME].TextValue), version=str(rows[_ALGORITHM_VERSION].TextValue))


def _measurements(group: "Dataset") -> Iterator[Measured]:
    items = _children(group)
    if any(_name(item) == _FINDING for item in items):
        return
    rows = {_name(item): item for item in items}
    uid, algorithm = _tracking_uid(rows), _algorithm(rows)
    for item in items:
        if item.ValueType == "NUM" and item.get("MeasuredValueSequence"):
            yield replace(_measured(item), tracking_uid=uid, algorithm=algorithm)


def _measured(item: "Dataset") -> Measured:
    measured = item.MeasuredValueSequence[0]
    unit = _code(measured.MeasurementUnitsCodeSequence[0])
    return Measured(name=_code(item.ConceptNameCodeSequence[0]), value=str(measured.NumericValue).strip(), unit=unit)


def _composed_at(document: "Dataset") -> datetime:
    text = f"{document.ContentDate}{str(document.ContentTime)[:6].ljust(6, '0')}"
    offset = str(document.get("TimezoneOffsetFromUTC") or "")
    if offset:
        return datetime.strptime(f"{text}{offset}", "%Y%m%d%H%M%S%z")
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _children(item: "Dataset") -> list["Dataset"]:
    return list(item.get("ContentSequence") or ())


def _name(item: "Dataset") -> str:
    names = item.get("ConceptNameCodeSequence")
    return _code(names[0]).value if names else ""


def _value(item: "Dataset") -> Code:
    return _code(item.ConceptCodeSequence[0])


def _code(item: "Dataset") -> Code:
    value = str(item.get("CodeValue") or item.get("LongCodeValue") or "")
    return Code(value=value, scheme_designator=str(item.CodingSchemeDesignator), meaning=str(item.CodeMeaning))
