"""A running receiver for tests, and a peer that sends any bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from cxr_node.domain.clock import utc_now
from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.instance import Instance, Received, Sender, StagedObject
from cxr_node.receive.application_entity import ReceiverOptions
from cxr_node.receive.events import ReceiveEvent
from cxr_node.receive.scp import Receiver
from tests.support.peers import LOOPBACK

OPTIONS = ReceiverOptions(ae_title=AeTitle("CXRNODE"), host=LOOPBACK, port=0)
DX = "1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
PATHS = ("streaming", "pynetdicom")


class StagedInMemory:
    """A staged object in memory."""

    def __init__(self) -> None:
        self._content = bytearray()
        self.is_closed = False

    def write(self, content: bytes | memoryview, /) -> None:
        """Append to the content."""
        self._content += content

    def read(self) -> bytes:
        """Return the content."""
        return bytes(self._content)

    def commit(self, key: str) -> None:
        """Not supported: no archive."""
        raise NotImplementedError(key)

    def close(self) -> None:
        """Note that it is closed."""
        self.is_closed = True


class ReceivePath:
    """Path of reception in tests: `--receive-path`, or the choice of a fixture."""

    chosen = "streaming"


class ReceiveProcesses:
    """Receiving processes of programs under test: `--receive-processes`."""

    chosen = 1


def in_memory(received: Received) -> Instance:
    """Return a received object with its bytes."""
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
    """A receiver that listens on `port`, and what it has accepted."""

    receiver: Receiver
    instances: list[Instance] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.receiver.port

    @property
    def sop_instance_uids(self) -> list[str]:
        """SOP Instance UIDs accepted, in order."""
        return [instance.identity.sop_instance_uid for instance in self.instances]


@contextmanager
def receiving(
    *,
    accept: Callable[[Instance, Sender], None] = lambda _instance, _sender: None,
    has_space: Callable[[int], bool] = lambda _size_bytes: True,
    stage: Callable[[], StagedObject] = StagedInMemory,
    on_event: Callable[[ReceiveEvent], None] = lambda _event: None,
    clock: Callable[[], datetime] = utc_now,
    **changes: object,
) -> Iterator[Running]:
    """Run a receiver; `accept` is called before an instance is listed, `changes` are fields of ReceiverOptions."""
    instances: list[Instance] = []
    senders: list[Sender] = []

    def record(received: Received, sender: Sender) -> None:
        instance = in_memory(received)
        accept(instance, sender)
        instances.append(instance)
        senders.append(sender)

    options = replace(OPTIONS, **changes)  # type: ignore[arg-type]  # fields by name
    staging = stage if ReceivePath.chosen == "streaming" else None
    served = Receiver(options, accept=record, stage=staging, has_space=has_space, on_event=on_event, clock=clock)
    with served as receiver:
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
    """Request an association with one presentation context; the test checks whether it is established."""
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


def deliver_responses_to_requestor(opened: Association) -> None:
    """Prevent the association's thread from consuming responses, as `cxr_node.net.scu.RequestorDimse` does."""
    get_message = opened.dimse.get_msg

    def get_msg(block: bool = False) -> Any:
        return get_message(block) if block else (None, None)

    opened.dimse.get_msg = get_msg  # type: ignore[method-assign]


def store(opened: Association, data_set: bytes, *, sop_class_uid: str = DX, sop_instance_uid: str) -> tuple[int, str]:
    """Send a C-STORE request of these parts, consistent or not; return status and Error Comment."""
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = UID(sop_class_uid)
    request.AffectedSOPInstanceUID = UID(sop_instance_uid)
    request.DataSet = BytesIO(data_set)
    # Not by Association.send_c_store, which checks its arguments.
    opened.dimse.send_msg(request, 1)
    _, response = opened.dimse.get_msg(block=True)
    assert isinstance(response, C_STORE), "no response to C-STORE"
    assert response.Status is not None
    return response.Status, str(response.ErrorComment)
