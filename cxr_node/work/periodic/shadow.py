"""Shadow mode: a second model reads what the first has read, when the first has nothing to do. Nothing of it leaves.

It has neither jobs nor results: what it says goes into tables of its own, which nothing that composes or delivers asks.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from cxr_node import pipeline
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.reading import ModelIdentity, Reading
from cxr_node.domain.reasons import Reason
from cxr_node.queue import claimable
from cxr_node.reading.preprocess import ReadContext, not_analysed
from cxr_node.records import films, shadow
from cxr_node.records.films import Film
from cxr_node.records.shadow import ShadowTask
from cxr_node.work.handlers.read import Clock

_log = logging.getLogger(__name__)

_MOST_TRIES = 2
_DIED = "the reader died, or took too long, each time that it read this film in the shadow"


class Shadow:
    """Reads one film at a turn, unless films wait for the first reader."""

    def __init__(
        self,
        database: Database,
        *,
        desk: ReadContext,
        reader: pipeline.Reads,
        identity: ModelIdentity,
        clock: Clock,
        watched: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._database = database
        self._desk = desk
        self._reader = reader
        self._clock = clock
        self._watched = watched
        with database.write() as transaction:
            self._model = shadow.model_id(transaction, identity, now=clock())

    def turn(self) -> bool:
        """Read the next film, and return whether there was one; the first reader's films go before."""
        with self._database.read() as connection:
            if claimable.count_due(connection, Stage.READ, now=self._clock()):
                return False
        with self._database.write() as transaction:
            taken = shadow.next_film(transaction, self._model)
        if taken is None:
            return False
        with self._database.read() as connection:
            film = films.get(connection, taken.film_id)
        said = self._read(film, taken)
        with self._database.write() as transaction:
            shadow.store(transaction, self._model, taken, said, now=self._clock())
        return True

    def run(self, *, tick_s: float, stopping: threading.Event) -> None:
        """Take turns until `stopping`."""
        while not stopping.is_set():
            try:
                if self.turn():
                    continue
            except RetryLater as error:
                _log.warning("the shadow waits: %s", error)
            stopping.wait(tick_s)

    def _read(self, film: Film, taken: ShadowTask) -> Reading:
        if taken.attempts > _MOST_TRIES:
            return not_analysed(film, Reason.MODEL_ERROR, _DIED)
        try:
            with self._watched():
                (said,) = pipeline.read([film], desk=self._desk, reader=self._reader)
        except GiveUp as gave_up:
            return not_analysed(film, gave_up.reason, gave_up.detail)
        except KeyError:  # removed meanwhile
            return not_analysed(film, Reason.DECODE, "the film is no longer kept")
        return said
