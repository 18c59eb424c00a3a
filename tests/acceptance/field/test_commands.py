"""C-STORE command sets and fragments as the field encodes them: each film is stored, or gets a status."""

import logging
import struct
from collections.abc import Iterator, Sequence

import pytest
from pynetdicom.dsutils import encode

from tests.support import films, peers
from tests.support.raw_upper_layer import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    associate_rq,
    command_set,
    context,
    element,
    p_data,
    received_pdu,
    requesting,
    store_rq,
    uid_value,
)
from tests.support.receiver import DX, EXPLICIT_VR_LITTLE_ENDIAN, PATHS, ReceivePath, Running, receiving

FILM = films.dx(rows=16, columns=16)
UID = str(FILM.SOPInstanceUID)
DATA_SET = encode(FILM, False, True) or b""
STORE = store_rq(UID)
COMMAND, LAST_COMMAND, DATA, LAST_DATA = 1, 3, 0, 2

# pynetdicom decodes UIDs of other than plain form by pydicom, which warns.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")


def us(number: int) -> bytes:
    """Return an encoded number."""
    return struct.pack("<H", number)


COMMANDS = {
    "plain": STORE,
    "no Priority": store_rq(UID, priority=None),
    "Priority 3": store_rq(UID, priority=3),
    "Priority 65535": store_rq(UID, priority=0xFFFF),
    "Priority 3, elements out of order": b"".join(
        (
            element(0x1000, uid_value(UID)),
            element(0x0100, us(1)),
            element(0x0800, us(0)),
            element(0x0700, us(3)),
            element(0x0110, us(1)),
            element(0x0002, uid_value(DX)),
        )
    ),
    "no Command Group Length": STORE[12:],
    "wrong Command Group Length": STORE[:8] + b"\x0f\x27\0\0" + STORE[12:],
    "Message ID 65535": store_rq(UID, changes={0x0110: us(0xFFFF)}),
    "Command Data Set Type 0xFEFE": store_rq(UID, changes={0x0800: us(0xFEFE)}),
    "Move Originator in Latin-1": store_rq(UID, changes={0x1030: b"R\xd6NTGEN1", 0x1031: us(7)}),
    "Move Originator of 20 characters": store_rq(UID, changes={0x1030: b"A" * 20, 0x1031: us(7)}),
    "empty Move Originator": store_rq(UID, changes={0x1030: b"", 0x1031: b""}),
    "Recognition Code": store_rq(UID, changes={0x0010: b"ACR-NEMA 2.0"}),
    "private element": STORE + struct.pack("<HHL", 9, 0x10, 4) + b"ACME",
    "UIDs of odd length": store_rq(UID, changes={0x0002: DX.encode(), 0x1000: UID.encode()}),
    "UID padded with two NULs": store_rq(UID, changes={0x0002: DX.encode().ljust(len(DX) + len(DX) % 2 + 2, b"\0")}),
}
"""Command sets of a film that is stored."""

NOT_A_UID = {
    "70 characters": "1.2.826.0.1.3680043.10.363.5421649119139350670558684743636101576.101",
    "letters": "1.2.840.ABC.5",
    "a dot at the end": "1.2.840.77.5.",
    "a path": "../../../etc/passwd",
    "nothing": "",
}

CANCEL = command_set({0x0100: us(0x0FFF), 0x0120: us(1), 0x0800: us(0x0101)})
"""C-CANCEL request of a message that is none."""

FRAGMENTS: dict[str, list[bytes]] = {
    "command and data set in one PDU": [
        p_data((1, LAST_COMMAND, STORE), (1, DATA, DATA_SET[:99]), (1, LAST_DATA, DATA_SET[99:]))
    ],
    "command in three fragments": [
        p_data((1, COMMAND, STORE[:7])),
        p_data((1, COMMAND, STORE[7:50])),
        p_data((1, LAST_COMMAND, STORE[50:])),
        p_data((1, LAST_DATA, DATA_SET)),
    ],
    "Priority 3 in a command of two fragments": [
        p_data((1, COMMAND, store_rq(UID, priority=3)[:60])),
        p_data((1, LAST_COMMAND, store_rq(UID, priority=3)[60:])),
        p_data((1, LAST_DATA, DATA_SET)),
    ],
    "empty last fragments": [
        p_data((1, COMMAND, STORE), (1, LAST_COMMAND, b"")),
        p_data((1, DATA, DATA_SET), (1, LAST_DATA, b"")),
    ],
    "fragments of odd length": [
        p_data((1, LAST_COMMAND, STORE)),
        p_data((1, DATA, DATA_SET[:777])),
        p_data((1, LAST_DATA, DATA_SET[777:])),
    ],
    "a PDU without a fragment": [p_data(), p_data((1, LAST_COMMAND, STORE)), p_data((1, LAST_DATA, DATA_SET))],
    "C-CANCEL before the film": [
        p_data((1, LAST_COMMAND, CANCEL)),
        p_data((1, LAST_COMMAND, STORE)),
        p_data((1, LAST_DATA, DATA_SET)),
    ],
    "data set on another context": [p_data((1, LAST_COMMAND, STORE)), p_data((3, LAST_DATA, DATA_SET))],
    "bits 2 to 7 of the control header": [p_data((1, 0xF3, STORE)), p_data((1, 0xF2, DATA_SET))],
}
"""PDUs of a film that is stored."""

NO_MESSAGE: dict[str, list[bytes]] = {
    "a context that was not accepted": [p_data((9, LAST_COMMAND, STORE)), p_data((9, LAST_DATA, DATA_SET))],
    "C-FIND": [p_data((1, LAST_COMMAND, store_rq(UID, changes={0x0100: us(0x20), 0x0800: us(0x0101)})))],
    "a command within a data set": [
        p_data((1, LAST_COMMAND, STORE), (1, DATA, DATA_SET[:99])),
        p_data((1, LAST_COMMAND, STORE)),
    ],
    "C-CANCEL within a data set": [
        p_data((1, LAST_COMMAND, STORE), (1, DATA, DATA_SET[:99])),
        p_data((1, LAST_COMMAND, CANCEL)),
        p_data((1, LAST_DATA, DATA_SET[99:])),
    ],
    "a value without a message control header": [b"\4\0\0\0\0\5\0\0\0\1\1"],
    "a command that is none": [p_data((1, LAST_COMMAND, b"no command at all"))],
    "C-STORE without an instance": [
        p_data((1, LAST_COMMAND, STORE[: -8 - len(uid_value(UID))]), (1, LAST_DATA, DATA_SET))
    ],
}
"""PDUs after which the node aborts."""


@pytest.fixture(scope="module", params=PATHS)
def node(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A receiver on each path."""
    before, ReceivePath.chosen = ReceivePath.chosen, request.param
    with receiving() as running:
        ReceivePath.chosen = before
        yield running


@pytest.mark.parametrize("name", COMMANDS)
def test_an_odd_command_is_served(node: Running, name: str) -> None:
    with requesting(node.port, associate_rq()) as peer:
        assert peer.store(COMMANDS[name], DATA_SET) == 0
        assert peer.release()
    assert node.sop_instance_uids[-1] == UID


@pytest.mark.parametrize("name", NOT_A_UID)
def test_a_film_whose_sop_instance_uid_is_none_gets_a_status(node: Running, name: str) -> None:
    """An abort would make the modality send the same film for ever."""
    uid = uid_value(NOT_A_UID[name])
    data_set = DATA_SET.replace(
        struct.pack("<H", len(uid_value(UID))) + uid_value(UID), struct.pack("<H", len(uid)) + uid
    )
    stored = len(node.instances)
    with requesting(node.port, associate_rq()) as peer:
        assert peer.store(store_rq(NOT_A_UID[name]), data_set) == 0xC000
        assert peer.store(STORE, DATA_SET) == 0
        assert peer.release()
    assert len(node.instances) == stored + 1


@pytest.mark.parametrize("name", FRAGMENTS)
def test_odd_fragments_are_a_film(node: Running, name: str) -> None:
    assert sent(node.port, FRAGMENTS[name])[:1] == b"\4"
    assert node.sop_instance_uids[-1] == UID


@pytest.mark.parametrize("name", NO_MESSAGE)
def test_an_abort_of_an_association_has_a_log_line(node: Running, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert sent(node.port, NO_MESSAGE[name])[:1] == b"\7"
    peers.until(lambda: "association with 127.0.0.1 aborted: " in caplog.text, what="the line")
    assert "Error" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NO_MESSAGE if name != "a command within a data set"])
def test_dcmtk_and_orthanc_abort_the_same_association(other_nodes: dict[str, int], name: str) -> None:
    """Orthanc waits for the rest of a data set in which a command began."""
    answers = {peer_name: sent(port, NO_MESSAGE[name])[:1] for peer_name, port in other_nodes.items()}
    assert answers == {"DCMTK": b"\7", "Orthanc": b"\7"}


def sent(port: int, pdus: Sequence[bytes]) -> bytes:
    """Send PDUs on an association with two contexts; return the answer."""
    other = context(3, DX.encode(), [IMPLICIT_VR_LITTLE_ENDIAN.encode()])
    with requesting(port, associate_rq(context(), other)) as peer:
        assert peer.answer.contexts[1] == (0, EXPLICIT_VR_LITTLE_ENDIAN)
        peer.connection.sendall(b"".join(pdus))
        return received_pdu(peer.connection)
