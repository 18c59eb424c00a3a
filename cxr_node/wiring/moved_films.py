"""Films that come by a C-MOVE of this node: kept apart from received films, for the search that asked for them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.archive.store import prior_key
from cxr_node.domain.element_values import transfer_syntax_and_data_set
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.instance import Instance, Received, Sender
from cxr_node.priors.archive import DicomArchive
from cxr_node.priors.fetched import fetched_instance
from cxr_node.records import moved_films
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process

_POLL_S = 0.1

Accept = Callable[[Received, Sender], bool]


def moves(settings: Settings) -> bool:
    """Whether a source may be asked to send films by C-MOVE."""
    return any(isinstance(row, DicomArchive) and "move" in row.retrieve for row in settings.priors.sources)


def diverting(process: Process, accept: Accept) -> Accept:
    """Return a function that keeps films that were asked for by C-MOVE apart, and passes all others to `accept`.

    Bytes first, row second, as for any film; then Success may be returned.
    """
    if not moves(process.settings):
        return accept

    def divert(received: Received, sender: Sender) -> bool:
        uid = received.identity.sop_instance_uid
        with process.database.read() as connection:
            is_expected = moved_films.is_expected(connection, uid, sender.calling_ae_title)
        if not is_expected:
            return accept(received, sender)
        key = prior_key(received.digest)
        if isinstance(received, Instance):
            process.archive.put(key, received.content)
        else:
            received.staged.commit(key)
        with process.database.write() as transaction:
            moved_films.note_arrived(transaction, uid, archive_key=key, digest=received.digest, now=process.clock())
        return True

    return divert


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Films that come to the receive role by a C-MOVE; see `priors.source.Arrivals`."""

    process: Process

    def expect(self, sop_instance_uid: Uid, calling_ae_title: AeTitle) -> None:
        """Store that a film is to come."""
        with self.process.database.write() as transaction:
            moved_films.expect(transaction, sop_instance_uid, calling_ae_title, now=self.process.clock())

    def take(self, sop_instance_uid: Uid, sender: Sender, *, until: float) -> Instance | None:
        """Return a film that has come, waiting for it until a time of `time.monotonic`."""
        pause = threading.Event()
        while True:
            with self.process.database.read() as connection:
                file = moved_films.arrived(connection, sop_instance_uid)
            if file is not None:
                break
            if time.monotonic() >= until:
                return None
            pause.wait(_POLL_S)
        try:
            syntax, data_set = transfer_syntax_and_data_set(read_intact(self.process.archive, file))
        except Damaged:
            return None
        return fetched_instance(data_set, syntax, sender)
