"""Outcomes of statuses, rejections and context results."""

import pytest

from cxr_node.deliver.outcome import DeliveryOutcome, of_context, of_rejection, of_status, warning_text


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, DeliveryOutcome.DELIVERED),
        (0x0111, DeliveryOutcome.DELIVERED),  # the UID follows from the content: it is the same object
        (0xA700, DeliveryOutcome.RETRY),  # out of resources
        (0xA7FF, DeliveryOutcome.RETRY),
        (0xA900, DeliveryOutcome.REJECTED),  # data set does not match SOP class
        (0xA9FF, DeliveryOutcome.REJECTED),
        (0xC000, DeliveryOutcome.REJECTED),  # cannot understand
        (0xCFFF, DeliveryOutcome.REJECTED),
        (0x0110, DeliveryOutcome.RETRY),  # processing failure
        (0x0122, DeliveryOutcome.REJECTED),  # SOP class not supported
        (0x0124, DeliveryOutcome.REJECTED),  # not authorized
        (0x0210, DeliveryOutcome.RETRY),  # duplicate invocation
        (0x0211, DeliveryOutcome.REJECTED),  # unrecognized operation
        (0x0212, DeliveryOutcome.REJECTED),  # mistyped argument
        (0x0213, DeliveryOutcome.RETRY),  # resource limitation
        (0xFE00, DeliveryOutcome.RETRY),  # cancelled
        (0xFF00, DeliveryOutcome.RETRY),  # pending, invalid for C-STORE
        (0x1234, DeliveryOutcome.RETRY),  # unknown
    ],
)
def test_each_status_has_its_outcome(status: int, outcome: DeliveryOutcome) -> None:
    assert of_status(status) is outcome


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xBFFF, 0x0001, 0x0107, 0x0116])
def test_an_object_is_delivered_with_a_warning(status: int) -> None:
    assert warning_text(status).startswith(f"warning 0x{status:04X}: ")
    assert of_status(status) is DeliveryOutcome.DELIVERED


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0x0110, 0x0122])
def test_a_failure_is_no_warning(status: int) -> None:
    assert warning_text(status) == ""
    assert of_status(status) is not DeliveryOutcome.DELIVERED


@pytest.mark.parametrize(
    ("result", "source", "reason", "outcome"),
    [
        (1, 1, 1, DeliveryOutcome.RETRY),  # permanent, but no reason given
        (1, 1, 2, DeliveryOutcome.REJECTED),  # application context name not supported
        (1, 1, 3, DeliveryOutcome.REJECTED),  # calling AE title not recognized
        (1, 1, 7, DeliveryOutcome.REJECTED),  # called AE title not recognized
        (1, 2, 1, DeliveryOutcome.RETRY),  # ACSE, no reason given
        (1, 2, 2, DeliveryOutcome.REJECTED),  # protocol version not supported
        (2, 1, 3, DeliveryOutcome.RETRY),  # transient, whatever the reason
        (2, 3, 1, DeliveryOutcome.RETRY),  # temporary congestion
        (2, 3, 2, DeliveryOutcome.RETRY),  # local limit exceeded
    ],
)
def test_each_rejection_has_its_outcome(result: int, source: int, reason: int, outcome: DeliveryOutcome) -> None:
    assert of_rejection(result=result, source=source, reason=reason) is outcome


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (1, DeliveryOutcome.RETRY),  # user rejection
        (2, DeliveryOutcome.RETRY),  # provider rejection, no reason
        (3, DeliveryOutcome.REJECTED),  # abstract syntax not supported
        (4, DeliveryOutcome.REJECTED),  # transfer syntaxes not supported
        (None, DeliveryOutcome.RETRY),  # not answered
    ],
)
def test_each_context_result_has_its_outcome(result: int | None, outcome: DeliveryOutcome) -> None:
    assert of_context(result) is outcome
