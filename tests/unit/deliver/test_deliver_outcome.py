"""Outcomes of statuses, rejections and context results."""

import pytest

from cxr_node.deliver.outcome import Outcome, is_warning, of_context, of_rejection, of_status


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, Outcome.DELIVERED),
        (0x0111, Outcome.DELIVERED),  # the UID follows from the content: it is the same object
        (0xA700, Outcome.RETRY),  # out of resources
        (0xA7FF, Outcome.RETRY),
        (0xA900, Outcome.REJECTED),  # data set does not match SOP class
        (0xA9FF, Outcome.REJECTED),
        (0xC000, Outcome.REJECTED),  # cannot understand
        (0xCFFF, Outcome.REJECTED),
        (0x0110, Outcome.RETRY),  # processing failure
        (0x0122, Outcome.REJECTED),  # SOP class not supported
        (0x0124, Outcome.REJECTED),  # not authorized
        (0x0210, Outcome.RETRY),  # duplicate invocation
        (0x0211, Outcome.REJECTED),  # unrecognized operation
        (0x0212, Outcome.REJECTED),  # mistyped argument
        (0x0213, Outcome.RETRY),  # resource limitation
        (0xFE00, Outcome.RETRY),  # cancelled
        (0xFF00, Outcome.RETRY),  # pending, invalid for C-STORE
        (0x1234, Outcome.RETRY),  # unknown
    ],
)
def test_each_status_has_its_outcome(status: int, outcome: Outcome) -> None:
    assert of_status(status) is outcome


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xBFFF, 0x0001, 0x0107, 0x0116])
def test_a_warning_is_success_only_if_configured(status: int) -> None:
    assert is_warning(status)
    assert of_status(status) is Outcome.REJECTED
    assert of_status(status, warning_is_success=True) is Outcome.DELIVERED


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0x0110, 0x0122])
def test_a_failure_is_never_success(status: int) -> None:
    assert of_status(status, warning_is_success=True) is not Outcome.DELIVERED


@pytest.mark.parametrize(
    ("result", "source", "reason", "outcome"),
    [
        (1, 1, 1, Outcome.RETRY),  # permanent, but no reason given
        (1, 1, 2, Outcome.REJECTED),  # application context name not supported
        (1, 1, 3, Outcome.REJECTED),  # calling AE title not recognized
        (1, 1, 7, Outcome.REJECTED),  # called AE title not recognized
        (1, 2, 1, Outcome.RETRY),  # ACSE, no reason given
        (1, 2, 2, Outcome.REJECTED),  # protocol version not supported
        (2, 1, 3, Outcome.RETRY),  # transient, whatever the reason
        (2, 3, 1, Outcome.RETRY),  # temporary congestion
        (2, 3, 2, Outcome.RETRY),  # local limit exceeded
    ],
)
def test_each_rejection_has_its_outcome(result: int, source: int, reason: int, outcome: Outcome) -> None:
    assert of_rejection(result=result, source=source, reason=reason) is outcome


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (1, Outcome.RETRY),  # user rejection
        (2, Outcome.RETRY),  # provider rejection, no reason
        (3, Outcome.REJECTED),  # abstract syntax not supported
        (4, Outcome.REJECTED),  # transfer syntaxes not supported
        (None, Outcome.RETRY),  # not answered
    ],
)
def test_each_context_result_has_its_outcome(result: int | None, outcome: Outcome) -> None:
    assert of_context(result) is outcome
