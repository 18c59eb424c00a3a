"""A modality under whose feet the node dies: it sends a film until that gets Success, and asks what is kept."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from cxr_node.domain.commitment import Reference
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.faults.films import Films
from cxr_node.faults.scratch import MODALITY_TITLE, NODE_TITLE
from cxr_node.simulators import modality
from cxr_node.simulators.commitment import request_commitment
from cxr_node.simulators.peer import Peer

_HOST = "127.0.0.1"
_TIMEOUT_S = 10.0
_PAUSE_S = 0.02


def send(film: Dataset, port: int, *, timeout_s: float = _TIMEOUT_S) -> int | None:
    """Send one film to a node on this machine; return the status, None if there was no answer."""
    (result,) = modality.send(
        [film],
        host=_HOST,
        port=port,
        called_ae_title=AeTitle(NODE_TITLE),
        calling_ae_title=AeTitle(MODALITY_TITLE),
        timeout_s=timeout_s,
    )
    return result.status


def _node(port: int) -> Peer:
    return Peer(_HOST, port, AeTitle(NODE_TITLE), AeTitle(MODALITY_TITLE), _TIMEOUT_S)


def _reference(film: Dataset) -> Reference:
    return Reference(sop_class_uid=Uid(film.SOPClassUID), sop_instance_uid=Uid(film.SOPInstanceUID))


@dataclass(slots=True, kw_only=True)
class Load:
    """What was sent: of each study the film's SOP Instance UID and the digest of its pixels; what was asked."""

    films: Films
    port: int = 0
    most_under_way: int = 6
    requests_commitment: bool = False
    arrived: Callable[[], int] = lambda: 0
    stored: dict[str, str] = field(default_factory=dict)
    commitments: list[Uid] = field(default_factory=list)
    offered: int = 0
    refused: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until `ended`. A film is not given up before it is stored; so many are under way at the most."""
        while not self.ended.is_set():
            if len(self.stored) - self.arrived() >= self.most_under_way:
                self.ended.wait(_PAUSE_S)
                continue
            film = self.films.make(self.offered)
            self.offered += 1
            while not self.ended.is_set() and not self._sent(film):
                self.ended.wait(_PAUSE_S)

    def _sent(self, film: Dataset) -> bool:
        port = self.port
        if not port:
            return False
        status = send(film, port)
        if status != 0:
            self.refused += status is not None
            return False
        self.stored[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)
        if self.requests_commitment and self.offered % 3 == 0:
            transaction_uid = request_commitment([_reference(film)], _node(port))
            if transaction_uid is not None:
                self.commitments.append(transaction_uid)
        return True


@contextmanager
def flowing(traffic: Load) -> Iterator[Load]:
    """Send while the block lasts, and end the film that is being sent."""
    thread = threading.Thread(target=traffic.run, name="traffic", daemon=True)
    thread.start()
    try:
        yield traffic
    finally:
        traffic.ended.set()
        thread.join(3 * _TIMEOUT_S)


def wait_for(condition: Callable[[], bool], timeout_s: float, *, pause_s: float = 0.05) -> bool:
    """Wait until `condition` holds; return whether it did in time."""
    patience_ends = time.monotonic() + timeout_s
    while not (met := condition()) and time.monotonic() < patience_ends:
        threading.Event().wait(pause_s)
    return met
