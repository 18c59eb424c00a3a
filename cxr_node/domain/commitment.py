"""Storage commitment: who vouches for which instances, and why not for others (PS3.4 annex J).

Modalities ask the node, and the node asks archives: the same data sets in both directions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import Uid, parse_uid

PUSH_MODEL = Uid("1.2.840.10008.1.20.1")
"""Storage Commitment Push Model SOP Class."""

PUSH_MODEL_INSTANCE = Uid("1.2.840.10008.1.20.1.1")
"""Its well-known SOP Instance."""

REQUEST = 1
"""The Action Type ID of a request."""

ALL_KEPT = 1
NOT_ALL_KEPT = 2
"""Event Type IDs of a report: no failures, or some."""

MOST_INSTANCES = 10_000
"""In one request; a study of chest films has a handful."""


class FailureReason(IntEnum):
    """Failure Reason (0008,1197): why an instance is not vouched for (PS3.3 section C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An instance that is spoken of."""

    sop_class_uid: Uid
    sop_instance_uid: Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentResult:
    """What is vouched for, and what is not, with the Failure Reason."""

    transaction_uid: Uid
    kept: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = ()


def action_information(transaction_uid: Uid, instances: Iterable[Reference]) -> Dataset:
    """Return the Action Information of a request (PS3.4 table J.3-1)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(each) for each in instances]
    return information


def parse_action(information: Dataset) -> tuple[Uid, tuple[Reference, ...]]:
    """Return the Transaction UID and the instances of a request.

    Raises
    ------
    ValueError
        If it is none.
    """
    instances = _references(information, "ReferencedSOPSequence")
    if not instances:
        raise ValueError("a request for no instance")
    return _uid(information, "TransactionUID"), instances


def event_information(report: CommitmentResult) -> tuple[int, Dataset]:
    """Return the Event Type ID and the Event Information of a report (PS3.4 table J.3-2)."""
    information = Dataset()
    information.TransactionUID = report.transaction_uid
    if report.kept:
        information.ReferencedSOPSequence = [_item(each) for each in report.kept]
    if report.failed:
        information.FailedSOPSequence = [_item(each) for each, _ in report.failed]
        for item, (_, reason) in zip(information.FailedSOPSequence, report.failed, strict=True):
            item.FailureReason = reason
    return (NOT_ALL_KEPT if report.failed else ALL_KEPT), information


def parse_event(information: Dataset) -> CommitmentResult:
    """Return what a report says; a failed instance without a reason has that of a processing failure.

    Raises
    ------
    ValueError
        If it is none.
    """
    failed = _references(information, "FailedSOPSequence")
    reasons = [
        int(item.get("FailureReason") or FailureReason.PROCESSING_FAILURE)
        for item in information.get("FailedSOPSequence") or ()
    ]
    return CommitmentResult(
        transaction_uid=_uid(information, "TransactionUID"),
        kept=_references(information, "ReferencedSOPSequence"),
        failed=tuple(zip(failed, reasons, strict=True)),
    )


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _references(information: Dataset, keyword: str) -> tuple[Reference, ...]:
    items = information.get(keyword) or ()
    if len(items) > MOST_INSTANCES:
        raise ValueError(f"more than {MOST_INSTANCES} instances")
    return tuple(
        Reference(
            sop_class_uid=_uid(item, "ReferencedSOPClassUID"),
            sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID"),
        )
        for item in items
    )


def _uid(dataset: Dataset, keyword: str) -> Uid:
    return parse_uid(str(dataset.get(keyword, "")))
