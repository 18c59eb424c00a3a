"""A running receiver for tests, and a peer that sends it whatever it likes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO

from pydicom.uid import UID
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.instance import Instance, Received, Sender, StagedObject
from cxr_node.net.scu import deliver_responses_to_requestor
from cxr_node.receive.application_entity import Listening
from cxr_node.receive.scp import Receiver
from tests.support.peers import LOOPBACK

LISTENING = Listening(ae_title=AeTitle("CXRNODE"), host=LOOPBACK, port=0)
DX = "1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
PATHS = ("fast", "stock")


class Held:
    """What is written aside, in memory."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.is_closed = False

    def write(self, content: bytes | memoryview, /) -> None:
        """Add to it."""
        self._held += content

    def read(self) -> bytes:
        """Return all of it."""
        return bytes(self._held)

    def keep(self, key: str) -> None:
        """Nothing is kept here."""
        raise NotImplementedError(key)

    def close(self) -> None:
        """Note that it was let go of."""
        self.is_closed = True


class ReceivePath:
    """Which of `PATHS` receivers of tests take films by: `--receive-path`, or what a fixture says."""

    chosen = "fast"


class ReceiveProcesses:
    """In how many processes programs under test receive: `--receive-processes`."""

    chosen = 1


def in_memory(received: Received) -> Instance:
    """Return what arrived with its bytes."""
    if isinstance(received, Instance):
        return received
    return Instance(
        identity=received.identity,
        transfer_syntax_uid=received.transfer_syntax_uid,
        digest=received.digest,
        content=received.staged.read(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A receiver that answers on `port` and whatever it accepted so far."""

    receiver: Receiver
    instances: list[Instance] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.receiver.port

    @property
    def sop_instance_uids(self) -> list[str]:
        """The SOP Instance UIDs of what was accepted, in order."""
        return [instance.identity.sop_instance_uid for instance in self.instances]


@contextmanager
def receiving(
    *,
    accept: Callable[[Instance, Sender], None] = lambda _instance, _sender: None,
    has_room: Callable[[int], bool] = lambda _size_bytes: True,
    aside: Callable[[], StagedObject] = Held,
    **changes: object,
) -> Iterator[Running]:
    """Run a receiver; `accept` is called before an instance is listed, `changes` are fields of Listening."""
    instances: list[Instance] = []
    senders: list[Sender] = []

    def keep(received: Received, sender: Sender) -> None:
        instance = in_memory(received)
        accept(instance, sender)
        instances.append(instance)
        senders.append(sender)

    listening = replace(LISTENING, **changes)  # type: ignore[arg-type]  # fields by name
    streams_to = aside if ReceivePath.chosen == "fast" else None
    with Receiver(listening, accept=keep, aside=streams_to, has_room=has_room) as receiver:
        yield Running(receiver=receiver, instances=instances, senders=senders)


@contextmanager
def association(
    port: int,
    *,
    sop_class_uid: str = DX,
    transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN,
    called: str = "CXRNODE",
    calling: str = "MODALITY",
) -> Iterator[Association]:
    """Open an association with one presentation context; whether it was established is for the test to see."""
    entity = AE(ae_title=calling)
    context = build_context(sop_class_uid, transfer_syntax_uid)
    opened = entity.associate(LOOPBACK, port, contexts=[context], ae_title=called)
    deliver_responses_to_requestor(opened)
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()
        connection = opened.dul.socket
        if connection is not None and connection.socket is not None:
            connection.close()


def store(opened: Association, data_set: bytes, *, sop_class_uid: str = DX, sop_instance_uid: str) -> tuple[int, str]:
    """Send a C-STORE request made of these parts, true to each other or not; return status and Error Comment."""
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = UID(sop_class_uid)
    request.AffectedSOPInstanceUID = UID(sop_instance_uid)
    request.DataSet = BytesIO(data_set)
    # Past Association.send_c_store, which would refuse to send most of what is sent here.
    opened.dimse.send_msg(request, 1)
    _, answer = opened.dimse.get_msg(block=True)
    assert isinstance(answer, C_STORE), "no answer to C-STORE"
    assert answer.Status is not None
    return answer.Status, str(answer.ErrorComment)
