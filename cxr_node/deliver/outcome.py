"""Outcome of a delivery by status, rejection or context result: delivered, retry, or rejected.

Pure tables; everything else is retried. A lost result is worse than one sent twice: both have the same bytes.
"""

from enum import Enum


class DeliveryOutcome(Enum):
    """Next step of a delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECTED = "rejected"


_SUCCESS = 0x0000
_DUPLICATE_SOP_INSTANCE = 0x0111

_PERMANENT = frozenset(
    {
        0x0105,  # No such attribute
        0x0106,  # Invalid attribute value
        0x0112,  # No such SOP Instance
        0x0115,  # Invalid argument value
        0x0117,  # Invalid object instance
        0x0118,  # No such SOP class
        0x0119,  # Class-instance conflict
        0x0120,  # Missing attribute
        0x0121,  # Missing attribute value
        0x0122,  # SOP class not supported
        0x0124,  # Refused: not authorized
        0x0211,  # Unrecognized operation
        0x0212,  # Mistyped argument
    }
)
_GENERAL_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})
_WARNINGS = {
    0x0107: "attribute list error",
    0x0116: "attribute value out of range",
    0xB000: "elements were coerced",
    0xB006: "elements were discarded",
    0xB007: "the data set does not match the SOP Class",
}
"""PS3.4 table B.2-1, PS3.7 section C.4."""

_REJECTED_PERMANENT = 1
_CONFIGURATION_ERRORS = frozenset(
    {
        (1, 2),  # service user: application context name not supported
        (1, 3),  # service user: calling AE title not recognized
        (1, 7),  # service user: called AE title not recognized
        (2, 2),  # service provider, ACSE: protocol version not supported
    }
)

_ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
_TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


def warning_text(status: int) -> str:
    """Return what a warning status says, or an empty string for a status that is none.

    PS3.7 section C.4, PS3.4 table B.2-1.
    """
    if not (0xB000 <= status <= 0xBFFF or status in _GENERAL_WARNINGS):
        return ""
    return f"warning 0x{status:04X}: {_WARNINGS.get(status, 'no meaning in the standard')}"


def of_status(status: int) -> DeliveryOutcome:
    """Return the outcome of a C-STORE status (PS3.4 table B.2-1, PS3.7 annex C).

    With a warning the object is stored (PS3.4 section B.2.3), so it is delivered. Duplicate SOP Instance (0x0111) is
    delivered too: the UID follows from the content.
    """
    if warning_text(status):
        return DeliveryOutcome.DELIVERED
    if status in {_SUCCESS, _DUPLICATE_SOP_INSTANCE}:
        return DeliveryOutcome.DELIVERED
    # A9xx: data set does not match SOP class; Cxxx: cannot understand. Transient: A7xx out of resources,
    # 0110 processing failure, 0210 duplicate invocation, 0213 resource limitation, FE00 cancel.
    is_permanent = status in _PERMANENT or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF
    return DeliveryOutcome.REJECTED if is_permanent else DeliveryOutcome.RETRY


def of_rejection(*, result: int, source: int, reason: int) -> DeliveryOutcome:
    """Return the outcome of an A-ASSOCIATE-RJ (PS3.8 table 9-21).

    Rejected-permanent for a reason other than configuration is retried: peers under load or in maintenance send it.
    """
    is_permanent = result == _REJECTED_PERMANENT and (source, reason) in _CONFIGURATION_ERRORS
    return DeliveryOutcome.REJECTED if is_permanent else DeliveryOutcome.RETRY


def of_context(result: int | None) -> DeliveryOutcome:
    """Return the outcome of a rejected presentation context (PS3.8 table 9-18); None if it has no result."""
    is_permanent = result in {_ABSTRACT_SYNTAX_NOT_SUPPORTED, _TRANSFER_SYNTAXES_NOT_SUPPORTED}
    return DeliveryOutcome.REJECTED if is_permanent else DeliveryOutcome.RETRY
