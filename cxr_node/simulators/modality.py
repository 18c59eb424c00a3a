"""Simulated modality: sends films by C-STORE, each with the data set of its file unchanged."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import _config, build_context
from pynetdicom.association import Association
from pynetdicom.dsutils import create_file_meta, encode, encode_file_meta, split_dataset
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table

from cxr_node.domain.errors import cause_of
from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators.peer import Peer

_SUCCESS = 0x0000
_CONTEXTS_PER_ASSOCIATION = 128
"""PS3.8 section 9.3.2.2: context IDs are the odd numbers up to 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """Result of one film. `status` is None without a response; then `comment` is the reason."""

    film: str
    sop_instance_uid: str
    status: int | None
    comment: str
    size_bytes: int
    seconds: float

    @property
    def stored(self) -> bool:
        """Whether the status is Success."""
        return self.status == _SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Film:
    """A film to send. `offset` is where the data set begins in a file."""

    label: str
    sop_class_uid: UID
    sop_instance_uid: UID
    transfer_syntax_uid: UID
    source: Path | Dataset
    offset: int

    def data_set(self) -> bytes:
        """Return the encoded data set; of a file, its bytes."""
        if isinstance(self.source, Path):
            return self.source.read_bytes()[self.offset :]
        syntax = self.transfer_syntax_uid
        encoded = encode(self.source, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        if encoded is None:
            raise ValueError("the data set cannot be encoded")
        return encoded


def send(
    films: Iterable[Path | Dataset],
    *,
    host: str,
    port: int,
    called_ae_title: AeTitle,
    calling_ae_title: AeTitle,
    timeout_s: float = 60.0,
    on_sent: Callable[[SendResult], None] = lambda _: None,
) -> list[SendResult]:
    """Send films on as few associations as their presentation contexts allow; return the result of each.

    The data set of a file is sent unchanged, in a presentation context of its SOP class and transfer
    syntax. A file without preamble and File Meta Information is read as Implicit VR Little Endian, the
    default transfer syntax. A film that cannot be sent, or at which the peer ends the association, does
    not stop the others. `on_sent` is called with each result; `timeout_s` bounds each wait for the peer.
    """
    peer = Peer(host, port, called_ae_title, calling_ae_title, timeout_s)
    results: list[SendResult] = []

    def add(result: SendResult) -> None:
        results.append(result)
        on_sent(result)

    ready: list[_Film] = []
    for film in films:
        try:
            ready.append(_read(film))
        except (InvalidDicomError, AttributeError, OSError, ValueError, EOFError) as error:
            label = str(film) if isinstance(film, Path) else "data set"
            why = cause_of(error) if isinstance(error, OSError) else "no DICOM file, or without its UIDs"
            add(_unsent(label, "", f"not a film that can be sent: {why}"))
    for batch in _batches(ready):
        _send_batch(batch, peer, add)
    return results


def echo(
    *, host: str, port: int, called_ae_title: AeTitle, calling_ae_title: AeTitle, timeout_s: float = 60.0
) -> float:
    """Send a C-ECHO; return the seconds it took, with its association.

    Raises
    ------
    ConnectionError
        If there is no association or no response, or the status is not Success.
    """
    started = time.perf_counter()
    peer = Peer(host, port, called_ae_title, calling_ae_title, timeout_s)
    with peer.association([build_context(Verification)]) as association:
        status = association.send_c_echo().get("Status")
    if status != _SUCCESS:
        raise ConnectionError(
            "no response to C-ECHO" if status is None else f"C-ECHO response with status 0x{status:04X}"
        )
    return time.perf_counter() - started


def _send_batch(batch: Sequence[_Film], peer: Peer, on_sent: Callable[[SendResult], None]) -> None:
    contexts = [build_context(*context) for context in dict.fromkeys(map(_context, batch))]
    unsent = deque(batch)
    while unsent:
        try:
            with peer.association(contexts) as association:
                result = _store(association, unsent.popleft())
                on_sent(result)
                # A film without a response ends the association, also before the abort of the peer arrives.
                while unsent and result.status is not None and association.is_established:
                    result = _store(association, unsent.popleft())
                    on_sent(result)
        except ConnectionError as error:
            for film in unsent:
                on_sent(_unsent(film.label, film.sop_instance_uid, str(error)))
            return


def _read(film: Path | Dataset) -> _Film:
    if isinstance(film, Dataset):
        return _film(str(film.SOPInstanceUID), film, film.file_meta.TransferSyntaxUID, film, 0)
    try:
        meta, offset = split_dataset(film)
        transfer_syntax_uid = UID(meta.TransferSyntaxUID)
    except InvalidDicomError:
        transfer_syntax_uid, offset = ImplicitVRLittleEndian, 0
    header = dcmread(film, force=True, specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
    return _film(str(film), header, transfer_syntax_uid, film, offset)


def _film(label: str, header: Dataset, transfer_syntax_uid: UID, source: Path | Dataset, offset: int) -> _Film:
    return _Film(
        label=label,
        sop_class_uid=UID(header.SOPClassUID),
        sop_instance_uid=UID(header.SOPInstanceUID),
        transfer_syntax_uid=transfer_syntax_uid,
        source=source,
        offset=offset,
    )


def _context(film: _Film) -> tuple[UID, UID]:
    return film.sop_class_uid, film.transfer_syntax_uid


def _batches(films: Iterable[_Film]) -> Iterator[list[_Film]]:
    """Yield films in their order, as many as fit on one association."""
    batch: list[_Film] = []
    contexts: set[tuple[UID, UID]] = set()
    for film in films:
        if len(contexts | {_context(film)}) > _CONTEXTS_PER_ASSOCIATION:
            yield batch
            batch, contexts = [], set()
        batch.append(film)
        contexts.add(_context(film))
    if batch:
        yield batch


def _store(association: Association, film: _Film) -> SendResult:
    started = time.perf_counter()
    # pynetdicom reads this at each call: the bytes of a file are sent unchanged, but only from a path.
    _config.STORE_SEND_CHUNKED_DATASET = True
    file = os.memfd_create("film")
    try:
        data_set = film.data_set()
        with os.fdopen(file, "wb", closefd=False) as memory:
            memory.write(_head(film))
            memory.write(data_set)
        response = association.send_c_store(f"/proc/self/fd/{file}")
    except (OSError, ValueError, RuntimeError) as error:
        # ValueError: presentation context not accepted. RuntimeError: the association ended before the call.
        reason = "presentation context not accepted" if isinstance(error, ValueError) else "the association ended"
        return _unsent(film.label, film.sop_instance_uid, reason)
    finally:
        os.close(file)
    status = response.get("Status")
    return SendResult(
        film=film.label,
        sop_instance_uid=film.sop_instance_uid,
        status=status,
        comment="no response" if status is None else str(response.get("ErrorComment", "")),
        size_bytes=len(data_set),
        seconds=time.perf_counter() - started,
    )


def _head(film: _Film) -> bytes:
    meta = create_file_meta(
        sop_class_uid=film.sop_class_uid,
        sop_instance_uid=film.sop_instance_uid,
        transfer_syntax=film.transfer_syntax_uid,
    )
    return bytes(128) + b"DICM" + encode_file_meta(meta)


def _unsent(label: str, sop_instance_uid: str, reason: str) -> SendResult:
    return SendResult(
        film=label, sop_instance_uid=sop_instance_uid, status=None, comment=reason, size_bytes=0, seconds=0
    )
