"""Storage commitment (PS3.4 annex J): requests, limits and results, for the node as provider and as requester."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum

from cxr_node.domain.identifiers import Uid

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
