"""C-STORE's command sets as bytes, held against pynetdicom's."""

from collections.abc import Mapping
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF

from cxr_node.domain.identifiers import Uid
from cxr_node.receive.upper_layer.command_set import (
    StoreRequest,
    normalized_command,
    pdu_length,
    store_request,
    store_response,
)

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def command(changes: Mapping[str, object] | None = None) -> bytes:
    """Return an encoded C-STORE request; changes to None leave an element out."""
    elements: dict[str, object] = {
        "AffectedSOPClassUID": DX,
        "CommandField": 1,
        "MessageID": 7,
        "Priority": 2,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": "1.2.3",
        **(changes or {}),
    }
    data_set = Dataset()
    for keyword, value in elements.items():
        if value is not None:
            setattr(data_set, keyword, value)
    encoded = encode(data_set, True, True)
    assert encoded is not None
    return encoded


def by_pynetdicom(request: StoreRequest, *, context_id: int, status: int, error_comment: str) -> bytes:
    answer = C_STORE()
    answer.MessageIDBeingRespondedTo = request.message_id
    answer.AffectedSOPClassUID = UID(request.sop_class_uid)
    answer.AffectedSOPInstanceUID = UID(request.sop_instance_uid)
    answer.Status = status
    if error_comment:
        answer.ErrorComment = error_comment  # type: ignore[assignment]  # its class declares None
    message = C_STORE_RSP()
    message.primitive_to_message(answer)
    (fragment,) = message.encode_msg(context_id, 0)
    return P_DATA_TF(fragment).encode()


def test_a_plain_request_is_decoded() -> None:
    assert store_request(command()) == StoreRequest(message_id=7, sop_class_uid=Uid(DX), sop_instance_uid=Uid("1.2.3"))


def test_move_originator_elements_are_ignored() -> None:
    moved = command({"MoveOriginatorApplicationEntityTitle": "PACS", "MoveOriginatorMessageID": 3})
    assert store_request(moved) == store_request(command())


@pytest.mark.parametrize("priority", [1, 3, 0xFFFF, None])
def test_the_priority_is_ignored(priority: int | None) -> None:
    assert store_request(command({"Priority": priority})) == store_request(command())


@pytest.mark.parametrize("uid", [b"1.2/3", b"1.2.A", b"1..23"])
def test_an_instance_uid_that_is_none_becomes_one_that_no_film_has(uid: bytes) -> None:
    request = store_request(command().replace(b"1.2.3", uid))
    assert request is not None
    assert request.sop_instance_uid == "0.0"


def test_a_command_is_normalized_for_pynetdicom() -> None:
    """A UID of 70 characters and an unknown Priority, for which pynetdicom aborts the association."""
    odd = command({"Priority": 3}).replace(b"1.2.3\0", b"1.2/3\0")
    plain = normalized_command(odd)
    assert plain.endswith(b"\4\0\0\0" + b"0.0\0")
    assert plain[:-12] == command({"Priority": 0})[:-14]
    assert normalized_command(command()) == command()
    assert normalized_command(command()[:-3]) == command()[:-3]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(command({"CommandField": 0x0030}), id="another message"),
        pytest.param(command({"CommandDataSetType": 0x0101}), id="no data set"),
        pytest.param(command({"AffectedSOPInstanceUID": None}), id="no instance"),
        pytest.param(command({"MessageID": None}), id="no number"),
        pytest.param(command({"ErrorComment": "well"}), id="an element of a response"),
        pytest.param(command()[:-3], id="cut"),
        pytest.param(command() + b"\0", id="too long"),
        pytest.param(command() + command(), id="twice"),
        pytest.param(command().replace(b"1.2.3\0", b"1.2.3 "), id="a UID that is padded otherwise"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_request_in_another_form_is_left_to_pynetdicom(other: bytes) -> None:
    assert store_request(other) is None


@pytest.mark.slow
@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_raise_no_error(content: bytes) -> None:
    assert store_request(content) is None


@pytest.mark.parametrize("context_id", [1, 255])
@pytest.mark.parametrize(("status", "comment"), [(0, ""), (0xA700, "not stored, send again later"), (0xC000, "odd")])
@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34", "1." + "2" * 62])
def test_a_response_has_the_bytes_that_pynetdicom_sends(context_id: int, status: int, comment: str, uid: str) -> None:
    request = StoreRequest(message_id=65535, sop_class_uid=Uid(DX), sop_instance_uid=Uid(uid))
    pdu = store_response(request, context_id=context_id, status=status, error_comment=comment)
    assert pdu == by_pynetdicom(request, context_id=context_id, status=status, error_comment=comment)
    assert pdu_length(pdu) == int.from_bytes(BytesIO(pdu[2:6]).read(), "big")
