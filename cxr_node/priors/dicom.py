"""Prior films by DICOM: C-FIND of the Study Root model, and C-GET or C-MOVE (PS3.4 annex C)."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import build_context, build_role, evt
from pynetdicom.dsutils import encode

from cxr_node.deliver.destination import DeliveryRejected, Probe
from cxr_node.deliver.peer import Peer, status_text
from cxr_node.domain.encoded_data_set import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid, parse_uid
from cxr_node.domain.instance import Instance, Sender
from cxr_node.domain.prior_search import Candidate, FilmNotSent, PriorQuery, SearchFailed
from cxr_node.domain.sop_classes import PRIOR_SOP_CLASSES, STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from cxr_node.pixels import elements
from cxr_node.priors import selection
from cxr_node.priors.fetched import fetched_instance
from cxr_node.priors.identifiers import image_identifier, instance_identifier, series_identifier, study_identifier
from cxr_node.priors.source import NO_ARRIVALS, Arrivals, OnFetched, OnQuery

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import EventHandlerType
    from pynetdicom.presentation import PresentationContext

TRANSFER_SYNTAXES: tuple[str, ...] = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
)
"""Transfer syntaxes that are proposed for C-GET, one a presentation context: the archive sends what it has."""

_PENDING = frozenset({0xFF00, 0xFF01})
_SUCCESS = 0x0000
_NO_DESTINATION = 0xA801
_CANNOT_UNDERSTAND = 0xC000
_MAXIMUM_ANSWERS = 500
"""Answers to one C-FIND: an archive that does not match a key returns everything it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSource:
    """An archive that is asked by C-FIND, and sends by C-GET, or by C-MOVE to `move_destination`."""

    name: str
    peer: Peer
    retrieve: tuple[Literal["get", "move"], ...] = ("get",)
    move_destination: AeTitle | None = None
    maximum_object_bytes: int = 1 << 28
    sop_classes: tuple[Uid, ...] = PRIOR_SOP_CLASSES
    arrivals: Arrivals = NO_ARRIVALS
    on_query: OnQuery = field(default=lambda _identifier, _failure: None)
    on_fetched: OnFetched = field(default=lambda _instance: None)

    def candidates(self, query: PriorQuery, *, until: float) -> list[Candidate]:
        """Ask at the levels STUDY, SERIES and IMAGE; see `PriorSource.candidates`."""
        offered: list[Candidate] = []
        with self._association([build_context(STUDY_ROOT_FIND)], until) as association:
            find = _Find(association=association, source=self, until=until)
            for study in selection.earlier_studies(find.studies(query), query):
                for series in find.series(study):
                    if selection.may_have_chest(study, series):
                        offered += selection.candidates(query, study, series, find.images(study, series))
                if len(offered) >= selection.MAXIMUM_CANDIDATES:
                    break
        return selection.newest_first(offered)

    def fetch(self, candidate: Candidate, *, until: float) -> Instance:
        """Retrieve by each of `retrieve` until one has sent the film; see `PriorSource.fetch`."""
        failures: list[SearchFailed] = []
        for method in self.retrieve:
            try:
                return (self._get if method == "get" else self._move)(candidate, until)
            except SearchFailed as error:
                failures.append(error)
        has_answered = all(isinstance(error, FilmNotSent) for error in failures)
        raise (FilmNotSent if has_answered else SearchFailed)("; ".join(map(str, failures)))

    def _get(self, candidate: Candidate, until: float) -> Instance:
        received = _Received(source=self)
        handlers: list[EventHandlerType] = [(evt.EVT_C_STORE, received.on_c_store)]
        roles = [build_role(uid, scp_role=True) for uid in self.sop_classes]
        with self._association(get_contexts(self.sop_classes), until, roles=roles, handlers=handlers) as association:
            status = _last_status(association.send_c_get, instance_identifier(candidate), UID(STUDY_ROOT_GET))
        if received.instance is None:
            reason = received.failure or f"answered C-GET with {status_text(status)}, and sent no film"
            failure = SearchFailed if status is None else FilmNotSent
            raise failure(f"{self.peer} {reason}")
        self.on_fetched(received.instance)
        return received.instance

    def _move(self, candidate: Candidate, until: float) -> Instance:
        """Ask for the film to be sent to the receive role, and wait for it there."""
        uid, sender = candidate.sop_instance_uid, self.sender()
        instance = self.arrivals.take(uid, sender, until=time.monotonic())
        if instance is not None:  # it came after the last search
            return instance
        self.arrivals.expect(uid, self.peer.called_ae_title)
        with self._association([build_context(STUDY_ROOT_MOVE)], until) as association:
            identifier = instance_identifier(candidate)
            status = _last_status(association.send_c_move, identifier, str(self.move_destination), UID(STUDY_ROOT_MOVE))
        # Success may come before the film is committed here.
        instance = self.arrivals.take(uid, sender, until=until if status == _SUCCESS else time.monotonic())
        if instance is None:
            what = f"does not know {self.move_destination} as C-MOVE destination" if status == _NO_DESTINATION else ""
            reason = what or f"answered C-MOVE with {status_text(status)}, and no film has come"
            failure = SearchFailed if status is None else FilmNotSent
            raise failure(f"{self.peer} {reason}")
        return instance

    def probe(self) -> Probe:
        """Negotiate queries and retrievals, without one; see `PriorSourceKind.probe`."""
        roles = [build_role(uid, scp_role=True) for uid in self.sop_classes]
        contexts = [build_context(STUDY_ROOT_FIND), build_context(STUDY_ROOT_MOVE), *get_contexts(self.sop_classes)]
        try:
            with self.peer.association(contexts, roles=roles) as association:
                accepted = list(association.accepted_contexts)
        except RetryLater as error:
            next_step = "check that it runs and that host, port and ae_title are right; no film comes until then"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        except DeliveryRejected as error:
            next_step = "have its administrator permit the node's AE title, and check ae_title"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        classes = {str(context.abstract_syntax) for context in accepted}
        sends = any(context.as_scp for context in accepted if str(context.abstract_syntax) in self.sop_classes)
        is_accepted = {"get": STUDY_ROOT_GET in classes and sends, "move": STUDY_ROOT_MOVE in classes}
        usable = [f"C-{method.upper()}" for method in self.retrieve if is_accepted[method]]
        if STUDY_ROOT_FIND in classes and usable:
            return Probe(message=f"{self.peer} accepts C-FIND and {', '.join(usable)}")
        wanted = " or ".join(f"C-{method.upper()}" for method in self.retrieve)
        missing = ["C-FIND"] * (STUDY_ROOT_FIND not in classes) + [f"{wanted} of films"] * (not usable)
        message = f"{self.peer} does not accept {' and '.join(missing)} (Study Root)"
        return Probe(message=message, is_usable=False, next_step="have its administrator permit it")

    def note_query(self, identifier: Dataset, failure: str) -> None:
        """Report a query and its outcome."""
        self.on_query(encode(identifier, is_implicit_vr=False, is_little_endian=True) or b"", failure)

    def sender(self) -> Sender:
        """Return the sender in the File Meta Information of a fetched film."""
        title = self.peer.called_ae_title
        return Sender(calling_ae_title=title, called_ae_title=self.peer.calling_ae_title, address=self.peer.host)

    @contextmanager
    def _association(
        self, contexts: "Sequence[PresentationContext]", until: float, **options: Any
    ) -> "Iterator[Association]":
        """Establish an association for the block, which is aborted at the end of the time."""
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise SearchFailed(f"{self.peer} was not asked in time")
        names = ("connection_timeout_s", "acse_timeout_s", "dimse_timeout_s", "network_timeout_s")
        peer = replace(self.peer, **{name: min(getattr(self.peer, name), left_s) for name in names})
        try:
            with peer.association(contexts, **options) as association:
                timer = threading.Timer(left_s, association.abort)
                timer.daemon = True
                timer.start()
                try:
                    yield association
                finally:
                    timer.cancel()
        except SearchFailed:
            raise
        except (RetryLater, DeliveryRejected) as error:
            raise SearchFailed(str(error)) from error


def get_contexts(sop_classes: Sequence[Uid] = PRIOR_SOP_CLASSES) -> "list[PresentationContext]":
    """Return the presentation contexts of C-GET: its own, and one for each class and transfer syntax of films."""
    storage = [build_context(uid, syntax) for uid in sop_classes for syntax in TRANSFER_SYNTAXES]
    return [build_context(STUDY_ROOT_GET), *storage]


def _last_status(send: Callable[..., Iterator[tuple[Dataset, Dataset | None]]], *arguments: object) -> int | None:
    """Return the status of the last response to C-GET or C-MOVE; None without a final one."""
    status = None
    try:
        for response, _ in send(*arguments):
            status = response.get("Status")
    except (RuntimeError, ValueError):  # the association has ended, or the context was not accepted
        return None
    return None if status in _PENDING else status


@dataclass(frozen=True, slots=True, kw_only=True)
class _Find:
    """Queries on one association; each is reported with its outcome."""

    association: "Association"
    source: DicomSource
    until: float

    def studies(self, query: PriorQuery) -> Iterator[Dataset]:
        # Many archives take the values of ModalitiesInStudy for one.
        for modality in selection.MODALITIES:
            yield from self._answers(study_identifier(query, modality))

    def series(self, study: Dataset) -> list[Dataset]:
        return self._answers(series_identifier(elements.text(study, "StudyInstanceUID")))

    def images(self, study: Dataset, series: Dataset) -> list[Dataset]:
        uids = elements.text(study, "StudyInstanceUID"), elements.text(series, "SeriesInstanceUID")
        return self._answers(image_identifier(*uids))

    def _answers(self, identifier: Dataset) -> list[Dataset]:
        try:
            answers = self._find(identifier)
        except SearchFailed as error:
            self.source.note_query(identifier, str(error))
            raise
        self.source.note_query(identifier, "")
        return answers

    def _find(self, identifier: Dataset) -> list[Dataset]:
        answers: list[Dataset] = []
        status, peer = None, self.source.peer
        try:
            for response, answer in self.association.send_c_find(identifier, UID(STUDY_ROOT_FIND)):
                status = response.get("Status")
                if status in _PENDING and answer is not None:
                    answers.append(answer)
                if len(answers) > _MAXIMUM_ANSWERS:
                    self.association.abort()
                    raise SearchFailed(f"{peer} answered one C-FIND with more than {_MAXIMUM_ANSWERS} matches")
        except (RuntimeError, ValueError):
            status = None
        if status != _SUCCESS:
            is_late = time.monotonic() >= self.until
            how = "did not answer in time" if is_late or status is None else f"answered with {status_text(status)}"
            raise SearchFailed(f"{peer} {how}: C-FIND")
        return answers


@dataclass(slots=True)
class _Received:
    """The instance that came by a sub-operation of C-GET, in the association's thread."""

    source: DicomSource
    instance: Instance | None = None
    failure: str = ""

    def on_c_store(self, event: evt.Event) -> int:
        data_set: BytesIO | None = getattr(event.request, "DataSet", None)
        if data_set is None or data_set.getbuffer().nbytes > self.source.maximum_object_bytes:
            self.failure = "sent a film that is empty, or larger than receive.maximum_object_bytes"
            return _CANNOT_UNDERSTAND
        try:
            syntax = parse_uid(str(event.context.transfer_syntax))
            self.instance = fetched_instance(data_set.getvalue(), syntax, self.source.sender())
        except (RejectObject, ValueError):
            self.failure = "sent an object that is no film"
            return _CANNOT_UNDERSTAND
        return _SUCCESS
