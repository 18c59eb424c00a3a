"""What a requester of storage commitment may have read, and learn of, by the settings."""

from collections.abc import Callable

from cxr_node.domain.commitment import CommitmentLimits
from cxr_node.settings.receive import ReceiveSection


def commitment_limits(
    receive: ReceiveSection, calling_ae_title: str, address: str, is_over: Callable[[], bool] = lambda: False
) -> CommitmentLimits:
    """Return the limits of a request by its AE title and network address."""
    requester = (calling_ae_title, address) if receive.commitment_for == "sender" else None
    return CommitmentLimits(requester=requester, budget_bytes=receive.commitment_bytes, is_over=is_over)
