"""A PACS that keeps count: what it was sent, what it has, and whether it does as a PACS should."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from cxr_node.domain.commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    CommitmentResult,
    FailureReason,
    Reference,
    event_information,
    parse_action,
    parse_event,
)
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.simulators.pacs import shut_down

SR = "1.2.840.10008.5.1.4.1.1.88.34"
"""Comprehensive 3D SR, as which reports go."""
_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_SUCCESS = 0x0000
_DUPLICATE = 0x0111
LOOPBACK = "127.0.0.1"

Answer = Callable[[str, int], int]
"""Given a SOP Instance UID and how often it has come, the C-STORE status. What is not Success is not kept."""


@dataclass(slots=True, kw_only=True)
class Pacs:
    """What the PACS has: of each study the reports' SOP Instance UIDs, each with the digest of its bytes.

    `sent` counts how often an instance came. `answer` may lie: with `forgets` it says Success and keeps nothing.
    """

    port: int = 0
    of_study: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    answer: Answer = lambda _uid, _times: _SUCCESS
    forgets: Callable[[str, int], bool] = lambda _uid, _times: False
    asked: dict[Association, tuple[Uid, tuple[Reference, ...]]] = field(default_factory=dict)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def has(self, sop_instance_uid: str) -> bool:
        """Whether it has an instance."""
        return any(sop_instance_uid in instances for instances in list(self.of_study.values()))

    def on_store(self, event: evt.Event) -> int:
        """Take a report, or do not; the handler of C-STORE."""
        request = cast("C_STORE", event.request)
        uid = str(request.AffectedSOPInstanceUID)
        with self.arrived:
            times = self.sent[uid] = self.sent.get(uid, 0) + 1
            status = self.answer(uid, times)
            if status in (_SUCCESS, _DUPLICATE) and not self.forgets(uid, times):
                content = request.DataSet.getvalue() if request.DataSet is not None else b""
                self._keep(str(event.dataset.StudyInstanceUID), uid, digest_of(content))
            self.arrived.notify_all()
        return status

    def _keep(self, study: str, uid: str, digest: str) -> None:
        instances = self.of_study.setdefault(study, {})
        if instances.setdefault(uid, digest) != digest:
            self.changed.append(uid)

    def on_action(self, event: evt.Event) -> tuple[int, None]:
        """Take a request for storage commitment; the handler of N-ACTION."""
        transaction_uid, instances = parse_action(event.action_information)
        self.asked[event.assoc] = (transaction_uid, instances)
        return _SUCCESS, None

    def on_sent(self, event: evt.Event) -> None:
        """Vouch, once the response to N-ACTION is on the wire; the handler of every message sent."""
        request = self.asked.pop(event.assoc, None)
        if request is not None:
            threading.Thread(target=self._vouch, args=(event.assoc, *request), daemon=True).start()

    def _vouch(self, association: Association, transaction_uid: Uid, instances: tuple[Reference, ...]) -> None:
        kept = tuple(each for each in instances if self.has(each.sop_instance_uid))
        failed = tuple((each, FailureReason.NO_SUCH_OBJECT_INSTANCE) for each in instances if each not in kept)
        report = CommitmentResult(transaction_uid=transaction_uid, kept=kept, failed=failed)
        event_type, information = event_information(report)
        try:
            association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        except (RuntimeError, ValueError):  # the node has gone: it asks again
            return

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Say whether it has an instance; the handler of C-FIND."""
        match = Dataset()
        match.QueryRetrieveLevel = "IMAGE"
        match.SOPInstanceUID = event.identifier.SOPInstanceUID
        if self.has(str(match.SOPInstanceUID)):
            yield 0xFF00, match


@contextmanager
def pacs(**behaviour: object) -> Iterator[Pacs]:
    """Run a PACS while the block lasts; `behaviour` are fields of Pacs."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    made = Pacs(**behaviour)  # type: ignore[arg-type]  # fields by name
    entity = AE(ae_title="PACS")
    entity.maximum_associations = 100
    entity.add_supported_context(SR, ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(_FIND)
    entity.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=False)
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_STORE, made.on_store),
        (evt.EVT_N_ACTION, made.on_action),
        (evt.EVT_C_FIND, made.on_find),
        (evt.EVT_DIMSE_SENT, made.on_sent),
    ]
    made.port = _started(entity, made.port, handlers)
    try:
        yield made
    finally:
        shut_down(entity)


def _started(entity: AE, port: int, handlers: list[evt.EventHandlerType]) -> int:
    server = entity.start_server((LOOPBACK, port), block=False, evt_handlers=handlers)
    if server is None:
        raise RuntimeError("a server that does not block is returned")
    return int(server.server_address[1])


@dataclass(slots=True, kw_only=True)
class Told:
    """What the node told a modality that had asked: of each Transaction UID, how often."""

    port: int = 0
    answers: dict[str, int] = field(default_factory=dict)

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        """Hear an answer; the handler of N-EVENT-REPORT."""
        report = parse_event(event.event_information)
        self.answers[report.transaction_uid] = self.answers.get(report.transaction_uid, 0) + 1
        return _SUCCESS, None


@contextmanager
def listening_modality(ae_title: str) -> Iterator[Told]:
    """Listen, as a modality that has asked what is kept, for answers."""
    told = Told()
    entity = AE(ae_title=ae_title)
    entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
    handlers: list[evt.EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, told.on_report)]
    told.port = _started(entity, 0, handlers)
    try:
        yield told
    finally:
        shut_down(entity)
