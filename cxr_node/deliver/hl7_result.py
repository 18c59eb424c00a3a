"""ORU^R01 of a report: an unsolicited result, always preliminary (HL7 2.5.1 chapter 7; IHE RAD-128 in form).

The message is a function of the report's bytes and the settings, so every retry has the same bytes and Message Control
ID. A later report of the study has the same order numbers and a later OBX-14. So has the message of a rejection note,
which withdraws reports.
"""

import hashlib
from base64 import b32encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cxr_node.deliver.report_content import ReportContent, StatedFinding
from cxr_node.domain.codes import Code, dcm, sct
from cxr_node.domain.concepts import private
from cxr_node.domain.hl7_text import ENCODINGS, AccessionField, CharacterSet, Field, Repetition, segment, timestamp

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

VERSION = "2.5.1"
PRELIMINARY = "P"
"""OBR-25 (table 0123) and OBX-11 (table 0085) of a report."""
NO_RESULTS, DELETED = "X", "D"
"""OBR-25 and OBX-11 of a withdrawn report."""
_CONTROL_ID_CHARACTERS = 20
"""Maximum of MSH-10 in HL7 2.5.1; 100 bits of the digest."""
_SUMMARY = Code(value="55112-7", scheme_designator="LN", meaning="Summary")
_COMMENT = dcm("121106", "Comment")
_FINDING_SITE, _LATERALITY = sct("363698007", "Finding Site"), sct("272741003", "Laterality")
_STUDY_UID = dcm("110180", "Study Instance UID")
REPORT_UID = private("REPORTUID", "SOP Instance UID of the report")
OBSERVATIONS: Mapping[str, tuple[Code | str, str]] = {
    "notice": (_COMMENT, "the research-use caution"),
    "summary": (_SUMMARY, "the impression, a line in each repetition"),
    "presence": ("code of the finding", "Present, Absent or Undetermined; OBX-8 is A where present"),
    "score": ("score, or ratio", "OBX-7 has the threshold; OBX-8 is H where the finding is present"),
    "site": (_FINDING_SITE, "of the finding with the same OBX-4"),
    "side": (_LATERALITY, "of the finding with the same OBX-4"),
    "measurement": ("code of the measurement", "of `measurements` in the destination's table"),
    "study": (_STUDY_UID, "Study Instance UID"),
    "report": (REPORT_UID, "SOP Instance UID of the report; of a withdrawal, of each report that it withdraws"),
}
"""Rows of a message, in their order, for the conformance statement."""

_NAME_CODES = ("A", "I", "P")
"""Alphabetic, ideographic and phonetic: representation codes of the groups of a person name."""
_SEXES = frozenset({"M", "F", "O"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OruRules:
    """Settings of a message: applications and facilities of MSH, character set, and where a site reads the accession.

    `measurements` are code values of measurements that are sent. `is_enhanced` asks for an accept acknowledgment
    (MSH-15) in place of one of the original mode.
    """

    sending: tuple[str, str]
    receiving: tuple[str, str]
    character_set: CharacterSet
    processing_id: Literal["P", "T"]
    section: str
    accession: AccessionField
    measurements: frozenset[str]
    is_enhanced: bool


class NoMessage(Exception):
    """The report lacks what a receiver needs to file the result, or cannot be written in the character set."""


def control_id(sop_instance_uid: str, rules: OruRules) -> str:
    """Return the Message Control ID of a report: the same at each retry, another for another receiver."""
    parts = "\x1f".join((sop_instance_uid, *rules.sending, *rules.receiving)).encode()
    return b32encode(hashlib.sha256(parts).digest()).decode("ascii")[:_CONTROL_ID_CHARACTERS]


def oru(report: ReportContent, rules: OruRules) -> bytes:
    """Return the message of a report, or of the withdrawal of one.

    Raises
    ------
    NoMessage
        If the report has no Patient ID, or a character that the character set lacks.
    """
    if not report.header.get("PatientID"):
        raise NoMessage("the report has no Patient ID, so no receiver could file it")
    segments = [
        _msh(report, rules),
        _pid(report.header),
        segment("PV1", "1", "U"),
        *_order(report, rules),
        segment("NTE", "1", "L", report.notice),
        *(_obx(number, row, report) for number, row in enumerate(_rows(report, rules), start=1)),
    ]
    try:
        return "".join(segments).encode(ENCODINGS[rules.character_set])
    except UnicodeEncodeError:
        message = f'the report has a character that {rules.character_set} lacks: set "UNICODE UTF-8"'
        raise NoMessage(message) from None


def _msh(report: ReportContent, rules: OruRules) -> str:
    return segment(
        "MSH",
        *rules.sending,
        *rules.receiving,
        timestamp(report.composed_at),
        "",
        ("ORU", "R01", "ORU_R01"),
        control_id(str(report.header.SOPInstanceUID), rules),
        rules.processing_id,
        VERSION,
        "",
        "",
        *(("AL", "NE") if rules.is_enhanced else ("", "")),
        "",
        rules.character_set,
    )


def _pid(header: "Dataset") -> str:
    sex = str(header.get("PatientSex") or "")
    birth_date = str(header.get("PatientBirthDate") or "")
    return segment(
        "PID", "1", "", _patient_id(header), "", _names(header), "", birth_date, sex if sex in _SEXES else "U"
    )


def _patient_id(header: "Dataset") -> Repetition:
    """Return the type CX: ID, assigning authority, type."""
    authority = [str(header.get("IssuerOfPatientID") or ""), "", ""]
    for qualifiers in header.get("IssuerOfPatientIDQualifiersSequence") or ():
        authority[1:] = [str(qualifiers.get(f"UniversalEntityID{part}") or "") for part in ("", "Type")]
    return str(header.PatientID).strip(), "", "", tuple(authority), "PI"


def _names(header: "Dataset") -> list[Repetition]:
    """Return the type XPN of each group of Patient Name; its prefix and suffix change their places."""
    names: list[Repetition] = []
    for group, representation in zip(str(header.get("PatientName") or "").split("="), _NAME_CODES, strict=False):
        family, given_name, middle, prefix, suffix = [*map(str.strip, group.split("^")), "", "", "", ""][:5]
        if group.strip("^ "):
            names.append((family, given_name, middle, suffix, prefix, "", "L", representation))
    return names or [("", "", "", "", "", "", "U")]


def _order(report: ReportContent, rules: OruRules) -> Iterator[str]:
    header = report.header
    requests = list(header.get("ReferencedRequestSequence") or ())
    # Of several orders none is that of the study.
    request = requests[0] if len(requests) == 1 else {}
    placer = str(request.get("PlacerOrderNumberImagingServiceRequest") or "")
    accession = str(header.get("AccessionNumber") or "")
    filler = str(request.get("FillerOrderNumberImagingServiceRequest") or "") or accession
    filler = filler or str(header.StudyInstanceUID)
    yield segment("ORC", "RE", placer, filler)
    fields: list[Field] = [""] * 25
    fields[:4] = ["1", placer, filler, "" if report.procedure is None else _coded(report.procedure)]
    if study_date := str(header.get("StudyDate") or ""):  # a time alone would be read as a year
        fields[6] = study_date + str(header.get("StudyTime") or "")[:6]
    if rules.accession != "none":
        fields[int(rules.accession.removeprefix("OBR-")) - 1] = accession
    status = NO_RESULTS if report.withdrawn else PRELIMINARY
    fields[21:] = [timestamp(report.composed_at), "", rules.section, status]
    yield segment("OBR", *fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """An OBX: type, name, sub-ID of rows that belong together, value, unit, reference range, abnormal flag."""

    kind: Literal["CWE", "NM", "ST", "TX"]
    name: Code
    value: Field
    group: str = ""
    unit: Code | None = None
    normal: str = ""
    flag: str = ""


def _rows(report: ReportContent, rules: OruRules) -> Iterator[_Row]:
    header = report.header
    yield _Row(kind="TX", name=_COMMENT, value=report.notice)
    yield _Row(kind="TX", name=_SUMMARY, value=list(report.lines))
    for index, finding in enumerate(report.findings, start=1):
        yield from _finding_rows(finding, str(index))
    for measured in report.measurements:
        if measured.name.value in rules.measurements:
            yield _Row(kind="NM", name=measured.name, value=measured.value, unit=measured.unit)
    yield _Row(kind="ST", name=_STUDY_UID, value=str(header.StudyInstanceUID))
    for uid in report.withdrawn or (str(header.SOPInstanceUID),):
        yield _Row(kind="ST", name=REPORT_UID, value=uid)


def _finding_rows(finding: StatedFinding, group: str) -> Iterator[_Row]:
    """Yield presence, score, site and side of a finding; only a present one has a flag, as absent is not normal."""
    score = finding.score
    flag, high = ("A", "H") if finding.is_present else ("", "")
    yield _Row(kind="CWE", name=finding.code, value=_coded(finding.presence), group=group, flag=flag)
    normal = f"<{finding.threshold}"
    yield _Row(kind="NM", name=score.name, value=score.value, group=group, unit=score.unit, normal=normal, flag=high)
    for name, value in ((_FINDING_SITE, finding.site), (_LATERALITY, finding.side)):
        if value is not None:
            yield _Row(kind="CWE", name=name, value=_coded(value), group=group)


def _obx(number: int, row: _Row, report: ReportContent) -> str:
    return segment(
        "OBX",
        str(number),
        row.kind,
        _coded(row.name),
        row.group,
        row.value,
        "" if row.unit is None else _coded(row.unit),
        row.normal,
        row.flag,
        "",
        "",
        DELETED if report.withdrawn else PRELIMINARY,
        "",
        "",
        timestamp(report.composed_at),
        "",
        "",
        "",
        _device(report.header),
    )


def _device(header: "Dataset") -> Repetition:
    """Return the type EI of the equipment: its name and Device UID."""
    return str(header.get("StationName") or header.get("ManufacturerModelName") or ""), "", ""


def _coded(code: Code) -> Repetition:
    """Return the type CE or CWE."""
    return code.value, code.meaning, code.scheme_designator
