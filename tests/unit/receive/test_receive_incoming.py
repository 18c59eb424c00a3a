"""Incoming data sets, compared with data sets in memory."""

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
from cxr_node.receive.upper_layer.incoming import IncomingDataSet, pdv_items
from tests.support import films
from tests.support.receiver import EXPLICIT_VR_LITTLE_ENDIAN, StagedInMemory

SENDER = Sender(calling_ae_title=AeTitle("DX1"), called_ae_title=AeTitle("CXRNODE"), address="127.0.0.1")
FILM = films.dx(rows=300, columns=400)
SYNTAX = Uid(EXPLICIT_VR_LITTLE_ENDIAN)
REQUEST = StoreRequest(message_id=1, sop_class_uid=Uid(FILM.SOPClassUID), sop_instance_uid=Uid(FILM.SOPInstanceUID))


def data_set() -> bytes:
    encoded = encode(FILM, False, True)
    assert encoded is not None
    return encoded


DATA_SET = data_set()


class Full(StagedInMemory):
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
    staged: StagedInMemory,
    fragment_bytes: int = 16_384,
    request: StoreRequest = REQUEST,
    maximum_object_bytes: int = 1 << 28,
    has_space: Callable[[], bool] = lambda: True,
) -> IncomingDataSet:
    film = IncomingDataSet(
        request,
        context_id=1,
        transfer_syntax_uid=SYNTAX,
        sender=SENDER,
        stage=lambda: staged,
        maximum_object_bytes=maximum_object_bytes,
        has_space=has_space,
    )
    for start in range(0, len(content) or 1, fragment_bytes):
        film.write(memoryview(content)[start : start + fragment_bytes])
    return film


@pytest.mark.parametrize("fragment_bytes", [7, 16_384, 1 << 17, 1 << 30])
def test_a_film_is_staged_unchanged_for_every_fragment_size(fragment_bytes: int) -> None:
    staged = StagedInMemory()
    instance = streamed(DATA_SET, staged=staged, fragment_bytes=fragment_bytes).finish()

    head = file_head(
        sop_class_uid=REQUEST.sop_class_uid,
        sop_instance_uid=REQUEST.sop_instance_uid,
        transfer_syntax_uid=SYNTAX,
        sender=SENDER,
    )
    assert staged.read() == head + DATA_SET
    assert instance.size_bytes == len(head) + len(DATA_SET)
    assert instance.digest == digest_of(DATA_SET)
    assert instance.identity == identify(memoryview(DATA_SET), transfer_syntax_uid=SYNTAX)
    assert staged.read().startswith(instance.beginning)
    assert not staged.is_closed


def test_uids_after_the_beginning_in_memory_are_found() -> None:
    long = films.dx(rows=300, columns=400)
    long.add_new(0x00091010, "OB", bytes(1 << 18))
    content = encode(long, False, True)
    assert content is not None
    instance = streamed(content, staged=StagedInMemory()).finish()
    assert instance.identity == identify(memoryview(content), transfer_syntax_uid=SYNTAX)
    assert len(instance.beginning) == instance.size_bytes


def test_a_data_set_above_the_limit_is_discarded_and_counted() -> None:
    staged = StagedInMemory()
    film = streamed(DATA_SET, staged=staged, maximum_object_bytes=100_000)
    assert staged.is_closed
    with pytest.raises(RejectObject, match=f"object of {len(DATA_SET)} bytes"):
        film.finish()


def test_without_disk_space_nothing_is_staged() -> None:
    staged = StagedInMemory()
    with pytest.raises(RetryLater, match="no space"):
        streamed(DATA_SET, staged=staged, has_space=lambda: False).finish()
    assert staged.read() == b""


def test_a_film_is_discarded_when_disk_space_runs_out() -> None:
    staged, answers = StagedInMemory(), iter([True, True, False])
    film = streamed(DATA_SET + bytes(12 << 20), staged=staged, has_space=lambda: next(answers))
    assert staged.is_closed
    with pytest.raises(RetryLater, match="no space"):
        film.finish()


def test_a_write_error_is_raised_by_finish() -> None:
    staged = Full(0)
    film = streamed(DATA_SET, staged=staged)
    with pytest.raises(OSError, match="No space left"):
        film.finish()
    assert staged.is_closed


def test_a_film_is_discarded_after_a_write_error() -> None:
    staged = Full(1)
    film = streamed(DATA_SET + bytes(2 << 20), staged=staged)
    assert staged.is_closed
    with pytest.raises(OSError, match="No space left"):
        film.finish()


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\0", b"no data set at all", b"\xff" * 300_000, DATA_SET[:400]])
def test_bytes_that_are_no_data_set_are_rejected(content: bytes) -> None:
    with pytest.raises(RejectObject):
        streamed(content, staged=StagedInMemory()).finish()


def test_another_object_than_requested_does_not_match() -> None:
    with pytest.raises(DataSetMismatch):
        streamed(DATA_SET, staged=StagedInMemory(), request=replace(REQUEST, sop_instance_uid=Uid("1.2.3"))).finish()


def pdu(items: list[tuple[int, bytes]]) -> bytes:
    content = b"".join((len(value) + 1).to_bytes(4, "big") + bytes([context]) + value for context, value in items)
    return b"\x04\x00" + len(content).to_bytes(4, "big") + content


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=5), st.data())
@settings(max_examples=200, deadline=None)
def test_pdv_items_are_those_that_pynetdicom_decodes(items: list[tuple[int, bytes]], data: st.DataObject) -> None:
    whole = pdu(items)
    if len(whole) > 6 and data.draw(st.booleans()):
        position = data.draw(st.integers(6, len(whole) - 1))
        whole = whole[:position] + bytes([data.draw(st.integers(0, 255))]) + whole[position + 1 :]
    whole = whole[: data.draw(st.integers(6, len(whole)))]
    read = P_DATA_TF()
    try:
        read.decode(whole)
    except Exception:  # noqa: BLE001  # it may raise anything
        with pytest.raises(ValueError, match="item"):
            pdv_items(memoryview(whole))
        return
    expected = [(item.context_id, item.data) for item in read.presentation_data_value_items]
    assert [(context_id, bytes(value)) for context_id, value in pdv_items(memoryview(whole))] == expected
