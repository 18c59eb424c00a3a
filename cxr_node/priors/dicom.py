"""Prior films by DICOM: C-FIND of the Study Root model, and C-GET (PS3.4 annex C)."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

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
from cxr_node.domain.identifiers import Uid, parse_uid
from cxr_node.domain.instance import Instance, Sender
from cxr_node.domain.prior_search import Candidate, FilmNotSent, PriorQuery, SearchFailed
from cxr_node.domain.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET
from cxr_node.pixels import elements
from cxr_node.priors import selection
from cxr_node.priors.source import OnQuery
from cxr_node.receive.identify import identify
from cxr_node.receive.part10 import instance_of

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
_CANNOT_UNDERSTAND = 0xC000
_MAXIMUM_ANSWERS = 500
"""Answers to one C-FIND: an archive that does not match a key returns everything it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSource:
    """An archive that is asked by C-FIND, and sends by C-GET."""

    name: str
    peer: Peer
    maximum_object_bytes: int = 1 << 28
    on_query: OnQuery = field(default=lambda _identifier, _failure: None)

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
        """Send C-GET; see `PriorSource.fetch`."""
        received = _Received(source=self)
        handlers: list[EventHandlerType] = [(evt.EVT_C_STORE, received.on_c_store)]
        roles = [build_role(uid, scp_role=True) for uid in selection.SOP_CLASSES]
        with self._association(get_contexts(), until, roles=roles, handlers=handlers) as association:
            status = self._c_get(association, candidate)
        if received.instance is None:
            reason = received.failure or f"answered C-GET with {status_text(status)}, and sent no film"
            failure = SearchFailed if status is None else FilmNotSent
            raise failure(f"{self.peer} {reason}")
        return received.instance

    def _c_get(self, association: "Association", candidate: Candidate) -> int | None:
        status = None
        try:
            for response, _ in association.send_c_get(instance_identifier(candidate), UID(STUDY_ROOT_GET)):
                status = response.get("Status")
        except (RuntimeError, ValueError):  # the association has ended, or its C-GET context was not accepted
            return status
        return status

    def probe(self) -> Probe:
        """Negotiate queries and retrievals, without one; see `PriorSourceKind.probe`."""
        roles = [build_role(uid, scp_role=True) for uid in selection.SOP_CLASSES]
        contexts = [build_context(STUDY_ROOT_FIND), *get_contexts()]
        try:
            with self.peer.association(contexts, roles=roles) as association:
                accepted = list(association.accepted_contexts)
        except RetryLater as error:
            next_step = "check that it runs and that host, port and ae_title are right; films have no prior until then"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        except DeliveryRejected as error:
            next_step = "have its administrator permit the node's AE title, and check ae_title"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        classes = {str(context.abstract_syntax) for context in accepted}
        sends = any(context.as_scp for context in accepted if str(context.abstract_syntax) in selection.SOP_CLASSES)
        missing = [
            name
            for name, is_accepted in (
                ("C-FIND (Study Root)", STUDY_ROOT_FIND in classes),
                ("C-GET (Study Root) of films", STUDY_ROOT_GET in classes and sends),
            )
            if not is_accepted
        ]
        if missing:
            next_step = "have its administrator permit it"
            return Probe(
                message=f"{self.peer} does not accept {', '.join(missing)}", is_usable=False, next_step=next_step
            )
        return Probe(message=f"{self.peer} accepts C-FIND and C-GET")

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


def get_contexts() -> "list[PresentationContext]":
    """Return the presentation contexts of C-GET: its own, and one for each class and transfer syntax of films."""
    storage = [build_context(uid, syntax) for uid in selection.SOP_CLASSES for syntax in TRANSFER_SYNTAXES]
    return [build_context(STUDY_ROOT_GET), *storage]


def instance_identifier(candidate: Candidate) -> Dataset:
    """Return the Identifier of the retrieval of one instance."""
    identifier = _identifier("IMAGE", StudyInstanceUID=candidate.study_instance_uid)
    identifier.SeriesInstanceUID = candidate.series_instance_uid
    identifier.SOPInstanceUID = candidate.sop_instance_uid
    return identifier


def study_identifier(query: PriorQuery, modality: str) -> Dataset:
    """Return the Identifier of the query for the studies of a patient with a modality."""
    identifier = _identifier("STUDY", *selection.STUDY_KEYS, PatientID=query.patient_id, ModalitiesInStudy=modality)
    identifier.IssuerOfPatientID = query.issuer
    identifier.StudyDate = f"{query.earliest}-{query.date}"
    return identifier


def series_identifier(study_instance_uid: str) -> Dataset:
    """Return the Identifier of the query for the series of a study."""
    return _identifier("SERIES", *selection.SERIES_KEYS, StudyInstanceUID=study_instance_uid)


def image_identifier(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    """Return the Identifier of the query for the instances of a series."""
    uids = {"StudyInstanceUID": study_instance_uid, "SeriesInstanceUID": series_instance_uid}
    return _identifier("IMAGE", *selection.IMAGE_KEYS, **uids)


def _identifier(level: str, *keys: str, **values: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in keys:
        setattr(identifier, keyword, "")
    for keyword, value in values.items():
        setattr(identifier, keyword, value)
    return identifier


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


def fetched_instance(data_set: bytes, transfer_syntax_uid: Uid, sender: Sender) -> Instance:
    """Return the instance of a data set as it was sent; raise RejectObject if it is none."""
    view = memoryview(data_set)
    identity = identify(view, transfer_syntax_uid=transfer_syntax_uid)
    return instance_of(identity, view, transfer_syntax_uid=transfer_syntax_uid, sender=sender)
