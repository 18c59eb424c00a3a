"""Statuses of the Unified Procedure Step service, and what each means for a step (PS3.4 sections CC.2.1 to CC.2.7)."""

from collections.abc import Mapping

from cxr_node.domain.procedure_step import StepAnswer

STATUSES: Mapping[int, tuple[StepAnswer, str]] = {
    0x0000: (StepAnswer.DONE, "success"),
    0x0001: (StepAnswer.DONE, "requested optional attributes are not supported"),
    0x0107: (StepAnswer.DONE, "attribute list error"),
    0x0112: (StepAnswer.UNKNOWN, "no such SOP Instance"),
    0xB304: (StepAnswer.DONE, "the step is already CANCELED, as requested"),
    0xB305: (StepAnswer.DONE, "invalid values were coerced"),
    0xB306: (StepAnswer.DONE, "the step is already COMPLETED, as requested"),
    0xC300: (StepAnswer.ENDED, "the step may no longer be updated"),
    0xC301: (StepAnswer.TAKEN, "the Transaction UID is not that of the step"),
    0xC302: (StepAnswer.IN_PROGRESS, "the step is already IN PROGRESS"),
    0xC304: (StepAnswer.NOT_MET, "attributes of the final state are missing"),
    0xC307: (StepAnswer.UNKNOWN, "the step does not exist, or is not managed here"),
    0xC310: (StepAnswer.NOT_CLAIMED, "the step is not yet IN PROGRESS"),
    0xC311: (StepAnswer.ENDED, "the step is already COMPLETED"),
}
"""Statuses by code. Any other, C303 among them, is tried again, as the node never asks for SCHEDULED."""


def answer_of(status: int) -> StepAnswer:
    """Return what a status means for the step."""
    return STATUSES[status][0] if status in STATUSES else StepAnswer.RETRY
