"""Storage commitment data sets (PS3.4 annex J), for the node as provider and as requester."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum

from pydicom.dataset import Dataset

from cxr_node.domain.identifiers import Uid, parse_uid

PUSH_MODEL = Uid("1.2.840.10008.1.20.1")
"""Storage Commitment Push Model SOP Class."""

PUSH_MODEL_INSTANCE = Uid("1.2.840.10008.1.20.1.1")
"""Its well-known SOP Instance."""

REQUEST = 1
"""Action Type ID of a request."""

REQUEST_SUCCESSFUL = 1
FAILURES_EXIST = 2
"""Event Type IDs of a result (PS3.4 section J.3.3)."""

MAXIMUM_INSTANCES = 10_000
"""Limit of one request; a study of chest films has a handful."""


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an instance that is not committed (PS3.3 section C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A referenced SOP Instance."""

    sop_class_uid: Uid
    sop_instance_uid: Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentLimits:
    """What may be read for one request, and for whom.

    Attributes
    ----------
    requester
        AE title and network address of the requester, one of which must be that of the sender of a film; None: any
        film and result is committed.
    budget_bytes
        Bytes to read at most; further instances get Failure Reason 0213.
    is_over
        Whether nobody waits for the result any more.
    """

    requester: tuple[str, str] | None = None
    budget_bytes: int = 2**34
    is_over: Callable[[], bool] = lambda: False

    def concern(self, sender: Collection[str]) -> bool:
        """Whether the requester may learn of an instance that `sender` has sent."""
        return self.requester is None or not set(sender).isdisjoint(self.requester)


ANY_REQUESTER = CommitmentLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentResult:
    """Instances committed, and instances not committed with their Failure Reason."""

    transaction_uid: Uid
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = ()


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
