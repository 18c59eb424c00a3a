"""Simulated PACS: Storage, Storage Commitment and C-FIND SCP that counts requests and answers with chosen statuses."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.status import STATUS_WARNING, code_to_category

from cxr_node.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, CommitmentResult, FailureReason, Reference
from cxr_node.domain.identifiers import Uid, digest_of, parse_uid
from cxr_node.net.commitment_data_sets import event_information, parse_action
from cxr_node.simulators.rejections import HidingArchive
from cxr_node.simulators.scp import SimulatedScp

SOP_CLASSES = (
    "1.2.840.10008.1.1",  # Verification
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image, For Presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray Image, For Processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.1",  # Multi-frame Single Bit Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.2",  # Color Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.4",  # Blending Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.8",  # Advanced Blending Presentation State
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
    "1.2.840.10008.5.1.4.1.1.88.35",  # Extensible SR
    "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection
    "1.2.840.10008.5.1.4.1.1.88.65",  # Chest CAD SR
    "1.2.840.10008.5.1.4.1.1.88.67",  # X-Ray Radiation Dose SR
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
)


_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve Information Model - FIND."""
SUCCESS = 0x0000
_PENDING = 0xFF00
_DUPLICATE = 0x0111
OUT_OF_RESOURCES = 0xA700
_CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A C-STORE request; `times` is the number of requests for this instance, this one included."""

    sop_instance_uid: str
    times: int
    association: Association


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A stored object: its file, if the PACS has a folder, and when it was in place, in monotonic seconds."""

    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    path: Path | None
    at: float
    data_set: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """A storage commitment request and its association."""

    transaction_uid: Uid
    references: tuple[Reference, ...]
    association: Association


def commit_on_same_association(pacs: "SimulatedPacs", request: CommitmentRequest) -> None:
    """Send the result of a request on the association of the request."""
    event_type, information = event_information(pacs.result_of(request))
    try:
        request.association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (RuntimeError, ValueError):  # the association has ended: the SCU requests again
        return


class SimulatedPacs(SimulatedScp):
    """A PACS on this machine. It counts requests per SOP Instance UID, also repeated ones.

    Parameters
    ----------
    folder
        One file per SOP Instance UID, `<uid>.dcm`, the last one sent; None keeps no files.
    status
        Answers C-STORE: a status, or a function of the request. An object is kept with Success, Duplicate
        and, as PS3.4 section B.2.3 has it, a warning.
    forgets
        Whether an object is dropped although the answer is Success.
    commit
        Called after the response to N-ACTION, in a thread of its own; None: storage commitment is not offered.
    commit_status
        Answers N-ACTION.
    on_stored
        Called once an object is in place, before the response, from the thread of its association.
    hiding
        Archive that gets each stored object, and does not show what rejection notes name.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        ae_title: str = "PACS",
        host: str = "127.0.0.1",
        port: int = 0,
        require_called_ae_title: bool = True,
        sop_classes: Sequence[str] = SOP_CLASSES,
        transfer_syntaxes: Sequence[str] = tuple(ALL_TRANSFER_SYNTAXES),
        calling_ae_titles: Sequence[str] = (),
        maximum_associations: int = 100,
        status: int | Callable[[StoreRequest], int] = SUCCESS,
        forgets: Callable[[StoreRequest], bool] = lambda _: False,
        commit: "Callable[[SimulatedPacs, CommitmentRequest], None] | None" = commit_on_same_association,
        commit_status: int = SUCCESS,
        on_stored: Callable[[StoredObject], None] = lambda _: None,
        hiding: HidingArchive | None = None,
    ) -> None:
        super().__init__(ae_title, host=host, port=port, require_called_ae_title=require_called_ae_title)
        self._folder = folder
        self._sop_classes = sop_classes
        self._transfer_syntaxes = list(transfer_syntaxes)
        self._calling_ae_titles = list(calling_ae_titles)
        self._maximum_associations = maximum_associations
        self.status = status
        self._forgets = forgets
        self._commit = commit
        self._commit_status = commit_status
        self._on_stored = on_stored
        self._hiding = hiding
        self._lock = threading.Lock()
        self._pending: dict[Association, CommitmentRequest] = {}
        self.sent: Counter[str] = Counter()
        """Number of C-STORE requests by SOP Instance UID."""
        self.by_study: dict[str, dict[str, str]] = {}
        """Instances of each study, with the digest of the data set as first stored."""
        self.changed: list[str] = []
        """Instances that were sent again with another data set."""
        self.commitment_requests: list[CommitmentRequest] = []

    def has(self, sop_instance_uid: str) -> bool:
        """Whether an instance is stored."""
        return any(sop_instance_uid in instances for instances in list(self.by_study.values()))

    def result_of(self, request: CommitmentRequest) -> CommitmentResult:
        """Return which of the requested instances are stored."""
        committed = tuple(reference for reference in request.references if self.has(reference.sop_instance_uid))
        missing = (reference for reference in request.references if reference not in committed)
        failed = tuple((reference, FailureReason.NO_SUCH_OBJECT_INSTANCE) for reference in missing)
        return CommitmentResult(transaction_uid=request.transaction_uid, committed=committed, failed=failed)

    def _configure(self, entity: AE) -> list[evt.EventHandlerType]:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        entity.require_calling_aet = self._calling_ae_titles
        entity.maximum_associations = self._maximum_associations
        for sop_class_uid in self._sop_classes:
            entity.add_supported_context(sop_class_uid, self._transfer_syntaxes)
        entity.add_supported_context(_FIND)
        if self._commit is not None:
            entity.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=False)
        return [
            (evt.EVT_C_STORE, self._on_c_store),
            (evt.EVT_C_FIND, self._on_c_find),
            (evt.EVT_N_ACTION, self._on_n_action),
            (evt.EVT_DIMSE_SENT, self._on_sent),
        ]

    def _on_c_store(self, event: evt.Event) -> int:
        primitive = cast("C_STORE", event.request)
        try:
            uid = parse_uid(str(primitive.AffectedSOPInstanceUID))
        except ValueError:
            return _CANNOT_UNDERSTAND
        with self._lock:
            self.sent[uid] += 1
            request = StoreRequest(sop_instance_uid=uid, times=self.sent[uid], association=event.assoc)
        status = self.status(request) if callable(self.status) else self.status
        if not _is_kept(status) or self._forgets(request):
            return status
        data_set = primitive.DataSet.getvalue() if primitive.DataSet is not None else b""
        try:
            stored = self._store(event, uid, data_set)
        except OSError:
            return OUT_OF_RESOURCES
        self._on_stored(stored)
        return status

    def _store(self, event: evt.Event, uid: Uid, data_set: bytes) -> StoredObject:
        meta = create_file_meta(
            sop_class_uid=event.context.abstract_syntax,
            sop_instance_uid=UID(uid),
            transfer_syntax=event.context.transfer_syntax,
        )
        content = bytes(128) + b"DICM" + encode_file_meta(meta) + data_set
        path = None if self._folder is None else _write(self._folder, uid, content)
        if self._hiding is not None:
            self._hiding.store(content)
        at = time.monotonic()
        header = dcmread(BytesIO(content), specific_tags=["StudyInstanceUID"], stop_before_pixels=True)
        study, digest = str(header.get("StudyInstanceUID", "")), digest_of(data_set)
        with self._lock:
            if self.by_study.setdefault(study, {}).setdefault(uid, digest) != digest:
                self.changed.append(uid)
        return StoredObject(
            sop_instance_uid=uid,
            study_instance_uid=study,
            transfer_syntax_uid=event.context.transfer_syntax,
            path=path,
            at=at,
            data_set=data_set,
        )

    def _on_c_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        match = Dataset()
        match.QueryRetrieveLevel = "IMAGE"
        match.SOPInstanceUID = event.identifier.SOPInstanceUID
        if self.has(str(match.SOPInstanceUID)):
            yield _PENDING, match

    def _on_n_action(self, event: evt.Event) -> tuple[int, None]:
        if self._commit_status == SUCCESS:
            transaction_uid, references = parse_action(event.action_information)
            request = CommitmentRequest(transaction_uid=transaction_uid, references=references, association=event.assoc)
            self.commitment_requests.append(request)
            self._pending[event.assoc] = request
        return self._commit_status, None

    def _on_sent(self, event: evt.Event) -> None:
        """Answer a request for commitment once the response to N-ACTION is on the wire."""
        request = self._pending.pop(event.assoc, None)
        if request is not None and self._commit is not None:
            threading.Thread(target=self._commit, args=(self, request), daemon=True).start()


def _is_kept(status: int) -> bool:
    return status in (SUCCESS, _DUPLICATE) or code_to_category(status) == STATUS_WARNING


def _write(folder: Path, uid: Uid, content: bytes) -> Path:
    staged = folder / f".{uid}.part"
    with staged.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return staged.replace(folder / f"{uid}.dcm")
