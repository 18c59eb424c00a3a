"""What an answer, or its absence, means for an object on its way: arrived, try again, or a person must look.

Pure tables. What is not in them is tried again: attempts are counted elsewhere, and a lost result is
worse than one sent twice, because an object sent again is the same object to the last byte.
"""

from enum import Enum


class Outcome(Enum):
    """What to do next."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"


_SUCCESS = 0x0000
_DUPLICATE_SOP_INSTANCE = 0x0111

_LASTING = frozenset(
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

_REJECTED_PERMANENT = 1
_CURABLE_BY_CONFIGURATION_ONLY = frozenset(
    {
        (1, 2),  # service user: application context name not supported
        (1, 3),  # service user: calling AE title not recognized
        (1, 7),  # service user: called AE title not recognized
        (2, 2),  # service provider, ACSE: protocol version not supported
    }
)

_ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
_TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


def is_warning(status: int) -> bool:
    """Whether a C-STORE status says "stored, but" (PS3.7 section C.4, PS3.4 table B.2-1)."""
    return 0xB000 <= status <= 0xBFFF or status in _GENERAL_WARNINGS


def of_status(status: int, *, warning_is_success: bool = False) -> Outcome:
    """Return what a C-STORE status means (PS3.4 table B.2-1, PS3.7 annex C).

    A warning is no success: 0xB006 says that elements were thrown away, and a report without its
    findings is not the report. It counts as delivered only if so configured. Duplicate SOP Instance
    (0x0111) does: the UID follows from the content, so what is there is this object.
    """
    if is_warning(status):
        return Outcome.DELIVERED if warning_is_success else Outcome.REFUSED
    if status in {_SUCCESS, _DUPLICATE_SOP_INSTANCE}:
        return Outcome.DELIVERED
    # A9xx: data set does not match SOP class; Cxxx: cannot understand. What passes: A7xx out of resources,
    # 0110 processing failure, 0210 duplicate invocation, 0213 resource limitation, FE00 cancel.
    is_lasting = status in _LASTING or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF
    return Outcome.REFUSED if is_lasting else Outcome.RETRY


def of_rejection(*, result: int, source: int, reason: int) -> Outcome:
    """Return what an A-ASSOCIATE-RJ means (PS3.8 table 9-21).

    Rejected-permanent without a reason that names our fault is tried again: systems under load or in
    maintenance answer so.
    """
    is_lasting = result == _REJECTED_PERMANENT and (source, reason) in _CURABLE_BY_CONFIGURATION_ONLY
    return Outcome.REFUSED if is_lasting else Outcome.RETRY


def of_context(result: int | None) -> Outcome:
    """Return what the rejection of a presentation context means (PS3.8 table 9-18); None if it was not answered."""
    is_lasting = result in {_ABSTRACT_SYNTAX_NOT_SUPPORTED, _TRANSFER_SYNTAXES_NOT_SUPPORTED}
    return Outcome.REFUSED if is_lasting else Outcome.RETRY
