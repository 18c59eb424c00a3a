"""Values of a film's header that results copy."""

import pytest

from cxr_node.report.header.values import utc_offset


@pytest.mark.parametrize("offset", ["+0000", "+0100", "-0330", "+1400", "-1200", "+0545"])
def test_a_valid_timezone_offset_is_copied(offset: str) -> None:
    assert utc_offset(offset) == offset


@pytest.mark.parametrize("offset", ["-0000", "-1230", "+1430", "+0160", "0100", "+01:00", "UTC"])
def test_an_invalid_timezone_offset_is_not_copied(offset: str) -> None:
    """PS3.3 section C.12.1.1.8: -0000 shall not be used for UTC."""
    assert utc_offset(offset) == ""
