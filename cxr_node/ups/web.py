"""Worklist manager by UPS-RS: searches, claims, updates and final states of workitems (PS3.18 section 11)."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from cxr_node.deliver.destination import Probe
from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.procedure_step import FinalState, StepAnswer, StepDetails, StepProgress, WorklistFailed
from cxr_node.net.http_authorization import AuthorizedServer
from cxr_node.net.http_client import HttpError, Response
from cxr_node.ups import attributes
from cxr_node.ups.worklist import OnChange, OnQuery

JSON = "application/dicom+json"
_NO_CONTENT, _CONFLICT = 204, 409
_UNKNOWN = frozenset({404, 410})
_UNREACHABLE = frozenset({401, 403, 405, 407, 408, 429, 502, 503, 504, 511})
"""Statuses that every request would get: an operator or the server must act. So must they for a redirect."""
_WRONG_TRANSACTION = ("the transaction uid is incorrect", "the transaction uid is missing")
"""What the Warning header of a conflict says of a Transaction UID (tables 11.6.3-2 and 11.7.3-2), in lower case."""
_FINAL = frozenset({attributes.COMPLETED, attributes.CANCELED})
_NO_STEP = "2.25.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForm:
    """What servers read differently: the query of an update, the path of a state, and the body.

    `has_array` if the body is an array of one data set; `states_uid` if an update has the Transaction UID there too.
    """

    update_query: str
    state_path: str = "/state"
    has_array: bool = True
    states_uid: bool = True

    def body(self, data_set: Dataset) -> list[bytes]:
        """Return a data set in the DICOM JSON Model (annex F)."""
        document = data_set.to_json_dict()
        return [json.dumps([document] if self.has_array else document).encode()]


FORMS: Mapping[str, Callable[[AeTitle], RequestForm]] = {
    "standard": lambda _title: RequestForm(update_query="Transaction-uid={uid}"),
    "standard-2019": lambda _title: RequestForm(update_query="transaction-uid={uid}"),
    "dcm4chee": lambda title: RequestForm(
        update_query="Transaction-uid={uid}", state_path=f"/state/{quote(title)}", has_array=False
    ),
    "microsoft": lambda _title: RequestForm(update_query="{uid}", states_uid=False),
}
"""Forms by their name in the settings, made of the AE title of this node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebWorklist:
    """A DICOMweb server whose steps of a workitem, a station or a worklist this node claims."""

    name: str
    server: AuthorizedServer
    form: RequestForm
    workitem: Code | None = None
    station: Code | None = None
    label: str = ""
    on_query: OnQuery = field(default=lambda _identifier, _steps, _failure: None)
    on_change: OnChange = field(default=lambda _step, _state, _failure: None)

    @contextmanager
    def session(self) -> "Iterator[WebSession]":
        """Return a session for the block; each request is a connection of its own."""
        try:
            yield WebSession(worklist=self)
        except HttpError as error:
            raise WorklistFailed(f"worklist {self.name}: {error}") from error

    def probe(self) -> Probe:
        """Search for a step that does not exist."""
        next_step = "check that it runs and that url, auth and the TLS files are right; no step is claimed until then"
        try:
            response = self.server.send("GET", f"/workitems?SOPInstanceUID={_NO_STEP}&limit=1", {"Accept": JSON})
        except HttpError as error:
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        message = f"{self.server} answers a search of workitems with HTTP status {response.status}"
        return Probe(message=message, is_usable=response.is_success, next_step="" if response.is_success else next_step)


@dataclass(slots=True, kw_only=True)
class WebSession:
    """Requests to the server; see `WorklistSession`."""

    worklist: WebWorklist
    _is_served: bool = False
    """Whether the server has answered for workitems: 404 may be the answer of another one."""

    def find(self, limit: int) -> list[Uid]:
        """Search for scheduled steps (section 11.9)."""
        worklist = self.worklist
        identifier = attributes.query(workitem=worklist.workitem, station=worklist.station, label=worklist.label)
        encoded = encode(identifier, is_implicit_vr=False, is_little_endian=True) or b""
        try:
            offered = self._offered(f"/workitems?{_query_text(identifier, limit)}")
        except (WorklistFailed, HttpError) as error:
            worklist.on_query(encoded, 0, str(error))
            raise
        worklist.on_query(encoded, len(offered), "")
        return attributes.claimable(offered, workitem=worklist.workitem, station=worklist.station, label=worklist.label)

    def claim(self, step: Uid, transaction_uid: Uid) -> StepAnswer:
        """Request IN PROGRESS; see `WorklistSession.claim`."""
        return self._change(step, attributes.IN_PROGRESS, transaction_uid)

    def end(self, step: Uid, transaction_uid: Uid, *, is_completed: bool) -> StepAnswer:
        """Request the final state; see `WorklistSession.end`."""
        return self._change(step, attributes.COMPLETED if is_completed else attributes.CANCELED, transaction_uid)

    def details(self, step: Uid) -> tuple[StepAnswer, StepDetails | None]:
        """Retrieve the step (section 11.5); see `WorklistSession.details`."""
        response = self._send("GET", f"/workitems/{step}")
        if not response.is_success:
            return self._answer_of(response), None
        data_sets = self._data_sets(response, attributes.DETAIL_KEYWORDS)
        if len(data_sets) != 1:
            raise WorklistFailed(f"{self.worklist.server} answered for a workitem with {len(data_sets)} data sets")
        return StepAnswer.DONE, attributes.details(data_sets[0])

    def update(self, step: Uid, transaction_uid: Uid, progress: StepProgress) -> StepAnswer:
        """Update the progress (section 11.6); see `WorklistSession.update`."""
        return self._set(step, transaction_uid, attributes.progress_list(transaction_uid, progress))

    def finish(self, step: Uid, transaction_uid: Uid, final: FinalState) -> StepAnswer:
        """Update the attributes of the final state (section 11.6); see `WorklistSession.finish`."""
        return self._set(step, transaction_uid, attributes.final_list(transaction_uid, final))

    def _set(self, step: Uid, transaction_uid: Uid, modifications: Dataset) -> StepAnswer:
        form = self.worklist.form
        if not form.states_uid:
            del modifications.TransactionUID
        query = form.update_query.format(uid=transaction_uid)
        response = self._send("POST", f"/workitems/{step}?{query}", form.body(modifications))
        if response.status != _CONFLICT:
            return self._answer_of(response)
        if _is_of_transaction(response):
            return StepAnswer.TAKEN
        match self._state(step):
            case attributes.SCHEDULED:
                return StepAnswer.NOT_CLAIMED
            case attributes.IN_PROGRESS:
                return StepAnswer.TAKEN
            case attributes.COMPLETED | attributes.CANCELED:
                return StepAnswer.ENDED
            case _:
                return StepAnswer.RETRY

    def _change(self, step: Uid, state: str, transaction_uid: Uid) -> StepAnswer:
        """Request a state (section 11.7)."""
        form, on_change = self.worklist.form, self.worklist.on_change
        body = form.body(attributes.state_change(state, transaction_uid))
        try:
            response = self._send("PUT", f"/workitems/{step}{form.state_path}", body)
            answer = self._answer_of(response)
            answer = self._of_conflict(step, state, response) if response.status == _CONFLICT else answer
        except (WorklistFailed, HttpError) as error:
            on_change(step, state, str(error))
            raise
        on_change(step, state, "" if answer is StepAnswer.DONE else f"HTTP status {response.status}")
        return answer

    def _of_conflict(self, step: Uid, state: str, response: Response) -> StepAnswer:
        """Return what a conflict means for the step: servers say so in words, if at all, so its state decides."""
        if _is_of_transaction(response):
            return StepAnswer.TAKEN
        stated = self._state(step)
        if stated in _FINAL:
            return StepAnswer.DONE if stated == state else StepAnswer.ENDED
        if stated == attributes.IN_PROGRESS:
            return StepAnswer.IN_PROGRESS if state == attributes.IN_PROGRESS else StepAnswer.NOT_MET
        is_claim = state == attributes.IN_PROGRESS
        return StepAnswer.NOT_CLAIMED if stated == attributes.SCHEDULED and not is_claim else StepAnswer.RETRY

    def _state(self, step: Uid) -> str:
        """Return the state of a step; empty if it is not stated."""
        _, details = self.details(step)
        return "" if details is None else details.state

    def _answer_of(self, response: Response) -> StepAnswer:
        if response.is_success:
            return StepAnswer.DONE
        if response.status not in _UNKNOWN:
            return StepAnswer.RETRY
        if not self._is_served:
            self._offered(f"/workitems?SOPInstanceUID={_NO_STEP}&limit=1")
        return StepAnswer.UNKNOWN

    def _offered(self, path: str) -> list[Dataset]:
        """Return the answers to a search."""
        response = self._send("GET", path)
        if not response.is_success:
            raise WorklistFailed(f"{self.worklist.server} answered a search with HTTP status {response.status}")
        offered = [] if response.status == _NO_CONTENT else self._data_sets(response, attributes.SEARCHED_KEYWORDS)
        self._is_served = True
        return offered

    def _send(self, method: str, path: str, body: Sequence[bytes] = ()) -> Response:
        """Send a request; raise WorklistFailed for a status that every other request would get too."""
        headers = {"Accept": JSON} | ({"Content-Type": JSON} if body else {})
        server = self.worklist.server
        response = server.send(method, path, headers, body)
        if response.status in _UNREACHABLE or 300 <= response.status < 400:
            raise WorklistFailed(f"{server} answered {method} of a workitem with HTTP status {response.status}")
        return response

    def _data_sets(self, response: Response, keywords: Sequence[str]) -> list[Dataset]:
        """Return the data sets of a response with the attributes that are asked for."""
        try:
            document = json.loads(response.body)
            return [_data_set(one, keywords) for one in (document if isinstance(document, list) else [document])]
        except Exception:  # noqa: BLE001  # the decoder may raise anything
            raise WorklistFailed(f"{self.worklist.server} answered with no data sets in JSON") from None


def _is_of_transaction(response: Response) -> bool:
    warnings = " ".join(response.headers.get_all("Warning") or ()).lower()
    return any(text in warnings for text in _WRONG_TRANSACTION)


def _data_set(document: Any, keywords: Sequence[str]) -> Dataset:
    if not isinstance(document, dict):
        raise TypeError("no data set")
    tags = [f"{tag_for_keyword(keyword) or 0:08X}" for keyword in keywords]
    return Dataset.from_json({tag: document[tag] for tag in tags if tag in document})


def _query_text(identifier: Dataset, limit: int) -> str:
    """Return the query of a URL: keys with a value, and the others to be included in the answer."""
    parts = []
    for element in identifier:
        items = element.value if element.VR == "SQ" else ()
        nested = [(f"{element.keyword}.{one.keyword}", one.value) for item in items for one in item if one.value]
        keys = nested if element.VR == "SQ" else [(element.keyword, element.value)] * bool(element.value)
        parts += [f"{name}={quote(str(value))}" for name, value in keys]
        if not keys or nested:
            parts.append(f"includefield={element.keyword}")
    return "&".join([*parts, f"limit={limit}"])
