"""Worklist manager as SCP of UPS Pull: queries, claims, updates and final states (PS3.4 annex CC)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.dsutils import encode

from cxr_node.deliver.destination import DeliveryRejected, Probe
from cxr_node.deliver.peer import Peer, status_text
from cxr_node.domain.codes import Code
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.procedure_step import FinalState, StepAnswer, StepDetails, StepProgress, WorklistFailed
from cxr_node.domain.sop_classes import UPS_PULL, UPS_PUSH
from cxr_node.ups import attributes
from cxr_node.ups.statuses import answer_of
from cxr_node.ups.worklist import OnChange, OnQuery

if TYPE_CHECKING:
    from pynetdicom.association import Association

_PENDING = frozenset({0xFF00, 0xFF01})
_SUCCESS, _CANCELED = 0x0000, 0xFE00
_CHANGE_STATE = 1
"""Action Type ID of Change UPS State (PS3.4 table CC.2.1-1)."""
_MESSAGE_ID = 1

Send = Callable[..., tuple[Dataset, Dataset | None]]
"""A request of pynetdicom's association, which returns the status and the data set of the response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistManager:
    """A manager whose steps of a workitem, a station or a worklist this node claims."""

    name: str
    peer: Peer
    workitem: Code | None = None
    station: Code | None = None
    label: str = ""
    on_query: OnQuery = field(default=lambda _identifier, _steps, _failure: None)
    on_change: OnChange = field(default=lambda _step, _state, _failure: None)

    @contextmanager
    def session(self) -> "Iterator[ManagerSession]":
        """Open an association for the block; see `Worklist.session`."""
        try:
            with self.peer.association([build_context(UPS_PULL)]) as association:
                yield ManagerSession(manager=self, association=association)
        except WorklistFailed:
            raise
        except (RetryLater, DeliveryRejected) as error:
            raise WorklistFailed(f"worklist {self.name}: {error}") from error

    def probe(self) -> Probe:
        """Negotiate UPS Pull, without a query."""
        try:
            with self.peer.association([build_context(UPS_PULL)]):
                return Probe(message=f"{self.peer} accepts UPS Pull")
        except RetryLater as error:
            next_step = "check that it runs and that host, port and ae_title are right; no step is claimed until then"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        except DeliveryRejected as error:
            next_step = "have its administrator permit the node's AE title and UPS Pull, and check ae_title"
            return Probe(message=str(error), is_usable=False, next_step=next_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerSession:
    """Requests on one association; see `WorklistSession`.

    The presentation context is of UPS Pull, but N-services name UPS Push as the SOP Class (section CC.3.1).
    """

    manager: WorklistManager
    association: "Association"

    def find(self, limit: int) -> list[Uid]:
        """Ask for scheduled steps; a manager that offers many more is stopped by C-CANCEL."""
        manager = self.manager
        identifier = attributes.query(workitem=manager.workitem, station=manager.station, label=manager.label)
        encoded = encode(identifier, is_implicit_vr=False, is_little_endian=True) or b""
        try:
            responses = self._responses(identifier, limit)
        except WorklistFailed as error:
            manager.on_query(encoded, 0, str(error))
            raise
        manager.on_query(encoded, len(responses), "")
        return attributes.claimable(responses, workitem=manager.workitem, station=manager.station, label=manager.label)

    def _responses(self, identifier: Dataset, limit: int) -> list[Dataset]:
        offered: list[Dataset] = []
        status, is_canceled = None, False
        try:
            for response, answer in self.association.send_c_find(identifier, UID(UPS_PULL), msg_id=_MESSAGE_ID):
                status = response.get("Status")
                if status in _PENDING and answer is not None and not is_canceled:
                    offered.append(answer)
                if len(offered) >= limit and not is_canceled:
                    self.association.send_c_cancel(_MESSAGE_ID, query_model=UID(UPS_PULL))
                    is_canceled = True
        except (RuntimeError, ValueError):  # the association has ended
            status = None
        if status != _SUCCESS and not (is_canceled and status == _CANCELED):
            raise WorklistFailed(f"{self.manager.peer} answered C-FIND of UPS Pull with {status_text(status)}")
        return offered

    def claim(self, step: Uid, transaction_uid: Uid) -> StepAnswer:
        """Request IN PROGRESS; see `WorklistSession.claim`."""
        return self._change(step, attributes.IN_PROGRESS, transaction_uid)

    def end(self, step: Uid, transaction_uid: Uid, *, is_completed: bool) -> StepAnswer:
        """Request the final state; see `WorklistSession.end`."""
        return self._change(step, attributes.COMPLETED if is_completed else attributes.CANCELED, transaction_uid)

    def details(self, step: Uid) -> tuple[StepAnswer, StepDetails | None]:
        """Ask by N-GET; see `WorklistSession.details`."""
        tags = [Tag(keyword) for keyword in attributes.DETAIL_KEYWORDS]
        status, attribute_list = self._request(self.association.send_n_get, tags, UID(UPS_PUSH), UID(step))
        answer = answer_of(status)
        if answer is not StepAnswer.DONE:
            return answer, None
        return answer, attributes.details(attribute_list if attribute_list is not None else Dataset())

    def update(self, step: Uid, transaction_uid: Uid, progress: StepProgress) -> StepAnswer:
        """Send the progress by N-SET; see `WorklistSession.update`."""
        return self._set(step, attributes.progress_list(transaction_uid, progress))

    def finish(self, step: Uid, transaction_uid: Uid, final: FinalState) -> StepAnswer:
        """Send attributes of the final state by N-SET; see `WorklistSession.finish`."""
        return self._set(step, attributes.final_list(transaction_uid, final))

    def _set(self, step: Uid, modifications: Dataset) -> StepAnswer:
        status, _ = self._request(self.association.send_n_set, modifications, UID(UPS_PUSH), UID(step))
        return answer_of(status)

    def _change(self, step: Uid, state: str, transaction_uid: Uid) -> StepAnswer:
        information = attributes.state_change(state, transaction_uid)
        send = self.association.send_n_action
        try:
            status, _ = self._request(send, information, _CHANGE_STATE, UID(UPS_PUSH), UID(step))
        except WorklistFailed as error:
            self.manager.on_change(step, state, str(error))
            raise
        answer = answer_of(status)
        self.manager.on_change(step, state, "" if answer is StepAnswer.DONE else status_text(status))
        return answer

    def _request(self, send: Send, *arguments: object) -> tuple[int, Dataset | None]:
        """Send a request of an N-service; return the status and the data set of its response."""
        try:
            response, data_set = send(*arguments, meta_uid=UID(UPS_PULL))
        except (RuntimeError, ValueError):  # the association has ended, or pynetdicom cannot decode the response
            response, data_set = Dataset(), None
        status = response.get("Status")
        if status is None:
            name = send.__name__.removeprefix("send_").replace("_", "-").upper()
            raise WorklistFailed(f"{self.manager.peer} did not answer {name}")
        return int(status), data_set
