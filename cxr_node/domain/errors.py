"""Errors, sorted by what to do next."""

from cxr_node.domain.reasons import Reason


class Refuse(Exception):
    """The peer is told and nothing is kept."""


class RetryLater(Exception):
    """A passing trouble: the same step may succeed later without anyone's help."""


class GiveUp(Exception):
    """Trying again cannot help: a person must look. What was received stays, with this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.meaning}: {detail}")
        self.reason = reason
        self.detail = detail
