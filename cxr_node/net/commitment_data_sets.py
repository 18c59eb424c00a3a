"""Data sets of storage commitment requests and results (PS3.4 section J.3)."""

from collections.abc import Iterable

from pydicom.dataset import Dataset

from cxr_node.domain.commitment import (
    FAILURES_EXIST,
    MAXIMUM_INSTANCES,
    REQUEST_SUCCESSFUL,
    CommitmentResult,
    FailureReason,
    Reference,
)
from cxr_node.domain.identifiers import Uid, parse_uid


def action_information(transaction_uid: Uid, instances: Iterable[Reference]) -> Dataset:
    """Return the Action Information of a request (PS3.4 table J.3-1)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(reference) for reference in instances]
    return information


def parse_action(information: Dataset) -> tuple[Uid, tuple[Reference, ...]]:
    """Return the Transaction UID and the instances of a request, each once.

    Raises
    ------
    ValueError
        If it is no request.
    """
    instances = _references(information, "ReferencedSOPSequence")
    if not instances:
        raise ValueError("a request without instances")
    return _uid(information, "TransactionUID"), tuple(dict.fromkeys(instances))


def event_information(result: CommitmentResult) -> tuple[int, Dataset]:
    """Return the Event Type ID and the Event Information of a result (PS3.4 table J.3-2)."""
    information = Dataset()
    information.TransactionUID = result.transaction_uid
    if result.committed:
        information.ReferencedSOPSequence = [_item(reference) for reference in result.committed]
    if result.failed:
        information.FailedSOPSequence = [_item(reference) for reference, _ in result.failed]
        for item, (_, reason) in zip(information.FailedSOPSequence, result.failed, strict=True):
            item.FailureReason = reason
    return (FAILURES_EXIST if result.failed else REQUEST_SUCCESSFUL), information


def parse_event(information: Dataset) -> CommitmentResult:
    """Return the result of an event report; a missing Failure Reason becomes processing failure.

    Raises
    ------
    ValueError
        If it is no result.
    """
    failed = _references(information, "FailedSOPSequence")
    reasons = [
        int(item.get("FailureReason") or FailureReason.PROCESSING_FAILURE)
        for item in information.get("FailedSOPSequence") or ()
    ]
    return CommitmentResult(
        transaction_uid=_uid(information, "TransactionUID"),
        committed=_references(information, "ReferencedSOPSequence"),
        failed=tuple(zip(failed, reasons, strict=True)),
    )


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _references(information: Dataset, keyword: str) -> tuple[Reference, ...]:
    items = information.get(keyword) or ()
    if len(items) > MAXIMUM_INSTANCES:
        raise ValueError(f"more than {MAXIMUM_INSTANCES} instances")
    return tuple(
        Reference(
            sop_class_uid=_uid(item, "ReferencedSOPClassUID"), sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID")
        )
        for item in items
    )


def _uid(dataset: Dataset, keyword: str) -> Uid:
    return parse_uid(str(dataset.get(keyword, "")))
