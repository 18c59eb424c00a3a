"""Who may open an association."""

import pytest

from cxr_node.domain.identifiers import AeTitle
from cxr_node.receive.who import Admission, Rejection

ANYONE = Admission(ae_title=AeTitle("CXRNODE"))
KNOWN = Admission(ae_title=AeTitle("CXRNODE"), calling_ae_titles=frozenset({AeTitle("DX1"), AeTitle("DX2")}))


def test_any_sender_that_calls_our_title_is_let_in() -> None:
    assert ANYONE.rejection(calling_ae_title="SOMEONE", called_ae_title="CXRNODE") is None


def test_padding_around_titles_does_not_count() -> None:
    assert KNOWN.rejection(calling_ae_title="DX1             ", called_ae_title="  CXRNODE") is None


def test_a_sender_that_calls_someone_else_is_turned_away() -> None:
    rejection = ANYONE.rejection(calling_ae_title="DX1", called_ae_title="PACS")
    assert rejection is Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED


def test_any_called_title_will_do_where_none_is_required() -> None:
    lenient = Admission(ae_title=AeTitle("CXRNODE"), require_called_ae_title=False)
    assert lenient.rejection(calling_ae_title="DX1", called_ae_title="ANY-SCP") is None


def test_a_stranger_is_turned_away_where_senders_are_listed() -> None:
    rejection = KNOWN.rejection(calling_ae_title="DX3", called_ae_title="CXRNODE")
    assert rejection is Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED


def test_titles_differ_by_case() -> None:
    assert KNOWN.rejection(calling_ae_title="dx1", called_ae_title="CXRNODE") is not None


@pytest.mark.parametrize("title", ["", "                ", "A\\B", "TAB\tTITLE"])
def test_what_is_no_title_is_turned_away_even_if_anyone_may_send(title: str) -> None:
    assert ANYONE.rejection(calling_ae_title=title, called_ae_title="CXRNODE") is not None
