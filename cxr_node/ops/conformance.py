"""Tables of the DICOM Conformance Statement, generated from the code.

`python -m cxr_node.ops.conformance docs/conformance.md` replaces the tables in the page and keeps its prose.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pydicom.charset import STAND_ALONE_ENCODINGS, python_encoding
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES

from cxr_node.deliver import destinations, outcome
from cxr_node.domain.codes import Code
from cxr_node.domain.commitment import PUSH_MODEL, FailureReason
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cxr_node.domain.reasons import Note, Reason
from cxr_node.domain.sop_classes import STORAGE_SOP_CLASSES, VERIFICATION
from cxr_node.pixels.decoding import CODECS, NATIVE
from cxr_node.receive.admission import Rejection
from cxr_node.receive.status import StoreStatus
from cxr_node.report import check, codes
from cxr_node.report.header import patient_study
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import Observer

_STATUS_MEANS: Mapping[StoreStatus, str] = {
    StoreStatus.SUCCESS: "The data set is flushed to disk and its row committed",
    StoreStatus.PROCESSING_FAILURE: "An internal error; the instance is not stored",
    StoreStatus.SOP_CLASS_NOT_SUPPORTED: "The SOP Class is not that of the presentation context",
    StoreStatus.OUT_OF_RESOURCES: "Not enough free space, or a temporary failure; send again later",
    StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS: "The data set's UIDs differ from those of the request",
    StoreStatus.CANNOT_UNDERSTAND: "No data set, or missing or invalid UIDs",
}
_OUTCOME_MEANS: Mapping[outcome.DeliveryOutcome, str] = {
    outcome.DeliveryOutcome.DELIVERED: "Delivered",
    outcome.DeliveryOutcome.RETRY: "Sent again later",
    outcome.DeliveryOutcome.REJECTED: "Not sent again; the delivery fails with this status",
}
_REASON_MEANS: Mapping[FailureReason, str] = {
    FailureReason.PROCESSING_FAILURE: "Its bytes differ from those received",
    FailureReason.NO_SUCH_OBJECT_INSTANCE: "It was not received, or its bytes are missing",
    FailureReason.CLASS_INSTANCE_CONFLICT: "It is of another SOP Class",
}
_LAST_STATUS = 0xFFFF
_TABLE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return `page` with each table between `<!-- table: name -->` and `<!-- end -->` replaced.

    Raises
    ------
    KeyError
        If no table has that name.
    """
    return _TABLE.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", page)


def _table(titles: str, rows: Iterable[tuple[object, ...]]) -> str:
    heads = titles.split(", ")
    lines = [heads, ["---"] * len(heads), *([str(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _implementation() -> str:
    node = Observer()
    rows = [
        ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
        ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
        ("Manufacturer (0008,0070) of results", node.manufacturer),
        ("Manufacturer's Model Name (0008,1090) of results", node.model_name),
    ]
    return _table("what, value", rows)


def _services() -> str:
    scp = (VERIFICATION, PUSH_MODEL, *STORAGE_SOP_CLASSES)
    scu = {uid for kind in destinations.DESTINATIONS for uid in kind.scu_sop_classes}
    scu |= {kind.result_type.sop_class_uid for kind in RESULT_KINDS}
    uids = (*scp, *sorted(scu.difference(scp)))
    rows = ((UID(uid).name, f"`{uid}`", *("yes" if uid in role else "no" for role in (scu, scp))) for uid in uids)
    return _table("SOP Class, UID, SCU, SCP", rows)


def _syntaxes() -> str:
    decoded = {str(uid) for uid in (*NATIVE, *CODECS)}
    rows = ((UID(uid).name, f"`{uid}`", "yes" if uid in decoded else "no: DECODE") for uid in ALL_TRANSFER_SYNTAXES)
    return _table("transfer syntax, UID, read", rows)


def _statuses() -> str:
    rows = ((f"{status:04X}", status.name.replace("_", " ").lower(), _STATUS_MEANS[status]) for status in StoreStatus)
    return _table("status, name, when", rows)


def _failure_reasons() -> str:
    rows = ((f"{reason:04X}", reason.name.replace("_", " ").lower(), _REASON_MEANS[reason]) for reason in FailureReason)
    return _table("reason, name, when", rows)


def _rejections() -> str:
    rows = (
        (rejection.name.replace("_", " ").lower(), *(str(part) for part in rejection.value)) for rejection in Rejection
    )
    return _table("why, result, source, reason", rows)


def _delivery_statuses() -> str:
    return _table("status, action of the node", ((span, _OUTCOME_MEANS[means]) for span, means in _status_ranges()))


def _status_ranges() -> Iterator[tuple[str, outcome.DeliveryOutcome]]:
    """Yield each range of statuses with one outcome; statuses that are retried are summarised in the last line."""
    first, means = 0, outcome.of_status(0)
    for status in range(1, _LAST_STATUS + 2):
        following = outcome.of_status(status) if status <= _LAST_STATUS else None
        if following is not means:
            if means is not outcome.DeliveryOutcome.RETRY:
                yield (f"{first:04X}" if status - first == 1 else f"{first:04X} to {status - 1:04X}"), means
            if following is not None:
                first, means = status, following
    yield "any other, or no response", outcome.DeliveryOutcome.RETRY


def _kinds() -> str:
    first = Observer().first_series_number
    types = [(kind.name, kind.result_type) for kind in RESULT_KINDS]
    rows = (
        (
            name,
            UID(result_type.sop_class_uid).name,
            f"`{result_type.sop_class_uid}`",
            result_type.modality,
            first + result_type.series_offset,
            result_type.series_description,
        )
        for name, result_type in types
    )
    return _table("kind, SOP Class, UID, Modality, Series Number, Series Description", rows)


def _attributes() -> str:
    rows: list[tuple[str, ...]] = [(*_attribute(keyword), "all", "value") for keyword in check.TYPE_1]
    rows += [(*_attribute(keyword), "all", "copied, may be empty") for keyword in check.TYPE_2]
    rows += [(*_attribute(keyword), "all", f"`{value}`") for keyword, value in check.FLAGS.items()]
    # Types of one Modality promise the same, which the contract test of result kinds holds.
    for modality, one in {kind.result_type.modality: kind.result_type for kind in RESULT_KINDS}.items():
        rows += [
            (*_attribute(keyword), modality, f"`{one.flags[keyword]}`" if keyword in one.flags else "value")
            for keyword in one.type_1
        ]
        rows += [(*_attribute(keyword), modality, "may be empty") for keyword in one.type_2]
    return _table("attribute, tag, VR, in results of Modality, presence", _without_duplicates(rows))


def _without_duplicates(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows, without duplicates of attributes that have a fixed value in the same results."""
    fixed = {(row[1], row[3]) for row in rows if row[4].startswith("`")}
    return [row for row in rows if row[4].startswith("`") or (row[1], row[3]) not in fixed]


def _copied() -> str:
    groups = {"Patient": patient_study.PATIENT, "Study": patient_study.STUDY, "Visit": patient_study.PATIENT_STUDY}
    rows = ((*_attribute(keyword), group) for group, keywords in groups.items() for keyword in keywords)
    return _table("attribute, tag, VR, of", rows)


def _attribute(keyword: str) -> tuple[str, str, str]:
    tag = Tag(tag_for_keyword(keyword) or 0)
    return dictionary_description(tag), f"({tag.group:04X},{tag.element:04X})", dictionary_VR(tag)


def _private_codes() -> str:
    names = [codes.NOT_PROCESSED, codes.PROCESSING_NOTE]
    findings = [code for code, _, _ in codes.FINDINGS.values() if code.scheme_designator == codes.PRIVATE_SCHEME]
    rows = [
        *((code, "name of a row") for code in names),
        *((code, "finding") for code in findings),
        *((code, "measurement") for code in codes.MEASUREMENTS.values()),
        *(
            (code, "measurement or observation")
            for code in codes.MEASURE_CODES
            if code.scheme_designator == codes.PRIVATE_SCHEME
        ),
        *((codes.not_processed(reason), "reason not processed") for reason in Reason),
        *((codes.processing_note(note), "processing note") for note in Note),
    ]
    return _table("code value, code meaning, used as", ((code.value, code.meaning, used) for code, used in rows))


def _findings() -> str:
    rows = (
        (label, _triplet(code), _triplet(site), proof.value)
        for label, (code, site, proof) in sorted(codes.FINDINGS.items())
    )
    return _table("label, finding, site, how the code was verified", rows)


def _triplet(code: Code) -> str:
    return f'({code.value}, {code.scheme_designator}, "{code.meaning}")'


def _languages() -> str:
    rows = ((name, language.code.value, language.code.meaning) for name, language in LANGUAGES.items())
    return _table("name, RFC5646, code meaning", rows)


def _character_sets() -> str:
    rows = (
        (f"`{term}`" if term else "absent", "alone" if term in STAND_ALONE_ENCODINGS else "alone or with extensions")
        for term in python_encoding
        if not term.startswith("ISO 2022")
    )
    extensions = ((f"`{term}`", "with code extensions") for term in python_encoding if term.startswith("ISO 2022"))
    return _table("Specific Character Set, used", [*rows, *extensions])


TABLES: Mapping[str, Callable[[], str]] = {
    "implementation": _implementation,
    "services": _services,
    "syntaxes": _syntaxes,
    "statuses": _statuses,
    "failure-reasons": _failure_reasons,
    "rejections": _rejections,
    "delivery-statuses": _delivery_statuses,
    "kinds": _kinds,
    "attributes": _attributes,
    "copied": _copied,
    "private-codes": _private_codes,
    "findings": _findings,
    "languages": _languages,
    "character-sets": _character_sets,
}
"""Generator of each table, by its name in the page."""


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
