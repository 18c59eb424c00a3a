"""A film that streams aside, held against what is made of one that is held in memory."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF

from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid, digest_of
from cxr_node.domain.instance import Sender
from cxr_node.receive.identify import DataSetMismatch, identify
from cxr_node.receive.part10 import file_head
from cxr_node.receive.upper_layer.command_set import StoreRequest
from cxr_node.receive.upper_layer.incoming import IncomingDataSet, values_of_pdu
from tests.support import films
from tests.support.receiver import EXPLICIT_VR_LITTLE_ENDIAN, Held

SENDER = Sender(calling_ae_title=AeTitle("DX1"), called_ae_title=AeTitle("CXRNODE"), address="127.0.0.1")
FILM = films.dx(rows=300, columns=400)
SYNTAX = Uid(EXPLICIT_VR_LITTLE_ENDIAN)
REQUEST = StoreRequest(message_id=1, sop_class_uid=Uid(FILM.SOPClassUID), sop_instance_uid=Uid(FILM.SOPInstanceUID))


def data_set() -> bytes:
    encoded = encode(FILM, False, True)
    assert encoded is not None
    return encoded


DATA_SET = data_set()


class Full(Held):
    """A disk that is full after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self._left = writes

    def write(self, content: bytes | memoryview, /) -> None:
        """Take one, or refuse it."""
        self._left -= 1
        if self._left < 0:
            raise OSError(28, "No space left on device")
        super().write(content)


def streamed(
    content: bytes,
    *,
    aside: Held,
    fragment_bytes: int = 16_384,
    request: StoreRequest = REQUEST,
    maximum_object_bytes: int = 1 << 28,
    has_room: Callable[[], bool] = lambda: True,
) -> IncomingDataSet:
    film = IncomingDataSet(
        request,
        context_id=1,
        transfer_syntax_uid=SYNTAX,
        sender=SENDER,
        aside=lambda: aside,
        maximum_object_bytes=maximum_object_bytes,
        has_room=has_room,
    )
    for start in range(0, len(content) or 1, fragment_bytes):
        film.write(memoryview(content)[start : start + fragment_bytes])
    return film


@pytest.mark.parametrize("fragment_bytes", [7, 16_384, 1 << 17, 1 << 30])
def test_a_film_arrives_as_it_was_sent_however_it_is_cut(fragment_bytes: int) -> None:
    aside = Held()
    arrival = streamed(DATA_SET, aside=aside, fragment_bytes=fragment_bytes).arrival()

    head = file_head(
        sop_class_uid=REQUEST.sop_class_uid,
        sop_instance_uid=REQUEST.sop_instance_uid,
        transfer_syntax_uid=SYNTAX,
        sender=SENDER,
    )
    assert aside.read() == head + DATA_SET
    assert arrival.size_bytes == len(head) + len(DATA_SET)
    assert arrival.digest == digest_of(DATA_SET)
    assert arrival.identity == identify(memoryview(DATA_SET), transfer_syntax_uid=SYNTAX)
    assert aside.read().startswith(arrival.beginning)
    assert not aside.is_closed


def test_who_it_is_may_stand_behind_what_is_held_of_it() -> None:
    long = films.dx(rows=300, columns=400)
    long.add_new(0x00091010, "OB", bytes(1 << 18))
    content = encode(long, False, True)
    assert content is not None
    arrival = streamed(content, aside=Held()).arrival()
    assert arrival.identity == identify(memoryview(content), transfer_syntax_uid=SYNTAX)
    assert len(arrival.beginning) == arrival.size_bytes


def test_what_is_too_large_is_let_go_of_and_counted() -> None:
    aside = Held()
    film = streamed(DATA_SET, aside=aside, maximum_object_bytes=100_000)
    assert aside.is_closed
    with pytest.raises(RejectObject, match=f"object of {len(DATA_SET)} bytes"):
        film.arrival()


def test_what_has_no_room_is_not_begun() -> None:
    aside = Held()
    with pytest.raises(RetryLater, match="no room"):
        streamed(DATA_SET, aside=aside, has_room=lambda: False).arrival()
    assert aside.read() == b""


def test_what_runs_out_of_room_on_its_way_is_let_go_of() -> None:
    aside, answers = Held(), iter([True, True, False])
    film = streamed(DATA_SET + bytes(12 << 20), aside=aside, has_room=lambda: next(answers))
    assert aside.is_closed
    with pytest.raises(RetryLater, match="no room"):
        film.arrival()


def test_what_the_disk_does_not_take_is_an_error_when_the_film_is_asked_for() -> None:
    aside = Full(0)
    film = streamed(DATA_SET, aside=aside)
    with pytest.raises(OSError, match="No space left"):
        film.arrival()
    assert aside.is_closed


def test_of_a_film_that_the_disk_does_not_take_to_its_end_the_rest_is_let_go_of() -> None:
    aside = Full(1)
    film = streamed(DATA_SET + bytes(2 << 20), aside=aside)
    assert aside.is_closed
    with pytest.raises(OSError, match="No space left"):
        film.arrival()


@pytest.mark.parametrize("content", [b"", b"\0", b"no data set at all", b"\xff" * 300_000, DATA_SET[:400]])
def test_what_is_no_data_set_is_refused(content: bytes) -> None:
    with pytest.raises(RejectObject):
        streamed(content, aside=Held()).arrival()


def test_another_object_than_the_request_says_does_not_match() -> None:
    with pytest.raises(DataSetMismatch):
        streamed(DATA_SET, aside=Held(), request=replace(REQUEST, sop_instance_uid=Uid("1.2.3"))).arrival()


def pdu(items: list[tuple[int, bytes]]) -> bytes:
    content = b"".join((len(value) + 1).to_bytes(4, "big") + bytes([context]) + value for context, value in items)
    return b"\x04\x00" + len(content).to_bytes(4, "big") + content


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=5), st.data())
@settings(max_examples=200, deadline=None)
def test_the_items_of_a_pdu_are_those_the_library_finds(items: list[tuple[int, bytes]], data: st.DataObject) -> None:
    whole = pdu(items)
    if len(whole) > 6 and data.draw(st.booleans()):
        position = data.draw(st.integers(6, len(whole) - 1))
        whole = whole[:position] + bytes([data.draw(st.integers(0, 255))]) + whole[position + 1 :]
    whole = whole[: data.draw(st.integers(6, len(whole)))]
    read = P_DATA_TF()
    try:
        read.decode(whole)
    except Exception:  # noqa: BLE001  # whatever it raises for what it cannot read
        with pytest.raises(ValueError, match="item"):
            values_of_pdu(memoryview(whole))
        return
    expected = [(item.context_id, item.data) for item in read.presentation_data_value_items]
    assert [(context_id, bytes(value)) for context_id, value in values_of_pdu(memoryview(whole))] == expected
