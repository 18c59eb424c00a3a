"""Load generator: a modality that repeats each film until it gets Success, and may request commitment."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from cxr_node.domain.commitment import Reference
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.faults.films import Films
from cxr_node.faults.scratch import MODALITY_TITLE, NODE_TITLE, WEB_TOKEN
from cxr_node.simulators import modality, web_modality
from cxr_node.simulators.commitment import request_commitment
from cxr_node.simulators.peer import Peer

_HOST = "127.0.0.1"
_TIMEOUT_S = 10.0
_RETRY_S = 0.02


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


@dataclass(slots=True, kw_only=True)
class LoadGenerator:
    """Sends films to a node that may die at any moment.

    `stored` has the Study and SOP Instance UID of each film that got Success, `commitments` the Transaction UIDs of
    accepted requests. `reported_count` returns how many stored films have a report. With `web_port` every second film
    is sent by STOW-RS.
    """

    films: Films
    port: int = 0
    web_port: int = 0
    max_in_flight: int = 6
    pause_s: float = 0.0
    requests_commitment: bool = False
    reported_count: Callable[[], int] = lambda: 0
    stored: dict[str, str] = field(default_factory=dict)
    commitments: list[Uid] = field(default_factory=list)
    next_film: int = 0
    rejected: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until `stopping` is set; repeat each film until it is stored, with at most `max_in_flight` under way."""
        while not self.stopping.is_set():
            if len(self.stored) - self.reported_count() >= self.max_in_flight:
                self.stopping.wait(_RETRY_S)
                continue
            self.stopping.wait(self.pause_s)
            film = self.films.make(self.next_film)
            self.next_film += 1
            while not self.stopping.is_set() and not self._send(film):
                self.stopping.wait(_RETRY_S)

    def _send(self, film: Dataset) -> bool:
        port = self.port
        if not port:
            return False
        status = self._status(film, port)
        if status != 0:
            self.rejected += status is not None
            return False
        self.stored[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)
        if self.requests_commitment and self.next_film % 3 == 0:
            reference = Reference(sop_class_uid=Uid(film.SOPClassUID), sop_instance_uid=Uid(film.SOPInstanceUID))
            peer = Peer(_HOST, port, AeTitle(NODE_TITLE), AeTitle(MODALITY_TITLE), _TIMEOUT_S)
            transaction_uid = request_commitment([reference], peer)
            if transaction_uid is not None:
                self.commitments.append(transaction_uid)
        return True

    def _status(self, film: Dataset, port: int) -> int | None:
        if not self.web_port or self.next_film % 2:
            return send(film, port)
        url = f"http://{_HOST}:{self.web_port}/dicomweb"
        verdicts = web_modality.store([film], url=url, token=WEB_TOKEN, timeout_s=_TIMEOUT_S)
        return verdicts.get(str(film.SOPInstanceUID))


@contextmanager
def running(load: LoadGenerator) -> Iterator[LoadGenerator]:
    """Run the load generator in a thread while the block lasts; wait for the film being sent."""
    thread = threading.Thread(target=load.run, name="load", daemon=True)
    thread.start()
    try:
        yield load
    finally:
        load.stopping.set()
        thread.join(3 * _TIMEOUT_S)


def wait_for(condition: Callable[[], bool], timeout_s: float, *, pause_s: float = 0.05) -> bool:
    """Wait until `condition` holds; return False after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (met := condition()) and time.monotonic() < deadline:
        threading.Event().wait(pause_s)
    return met
