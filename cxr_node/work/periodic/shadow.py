"""Shadow mode: a second model reads the same films at idle times. Its readings are never composed or delivered.

It has neither jobs nor results. Its readings are in tables of their own, which composing and delivering do not query.
"""

import threading
from contextlib import nullcontext

from cxr_node import pipeline
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film import Film
from cxr_node.domain.reading import ModelIdentity, Reading
from cxr_node.domain.reasons import Reason
from cxr_node.process_pool.executor import Executor
from cxr_node.queue import claimable
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network, Watchdog
from cxr_node.reading.preprocess import not_analysed
from cxr_node.records import films, shadow
from cxr_node.records.shadow import ShadowTask

_MAXIMUM_ATTEMPTS = 2
_DIED = "the reader died, or took too long, in each attempt to read this film in shadow mode"


class Shadow:
    """Reads one film a turn, unless films wait for the first model."""

    def __init__(
        self,
        database: Database,
        *,
        executor: Executor[ReadContext],
        network: Network,
        identity: ModelIdentity,
        clock: Clock,
        watchdog: Watchdog = nullcontext,
    ) -> None:
        self._database = database
        self._executor = executor
        self._network = network
        self._clock = clock
        self._watchdog = watchdog
        with database.write() as transaction:
            self._model = shadow.model_id(transaction, identity, now=clock())

    def turn(self) -> bool:
        """Read the next film, and return whether there was one. Films of the first model have priority."""
        with self._database.read() as connection:
            if claimable.count_due(connection, Stage.READ, now=self._clock()):
                return False
        with self._database.write() as transaction:
            task = shadow.next_film(transaction, self._model)
        if task is None:
            return False
        with self._database.read() as connection:
            film = films.get(connection, task.film_id)
        reading = self._read(film, task)
        with self._database.write() as transaction:
            shadow.store(transaction, self._model, task, reading, now=self._clock())
        return True

    def run(self, *, stopping: threading.Event) -> None:
        """Take turns until there is no film to read, or until `stopping`."""
        while not stopping.is_set() and self.turn():
            pass

    def _read(self, film: Film, task: ShadowTask) -> Reading:
        if task.attempts > _MAXIMUM_ATTEMPTS:
            return not_analysed(film, Reason.MODEL_ERROR, _DIED)
        try:
            with self._watchdog():
                return pipeline.read([film], executor=self._executor, network=self._network)[0]
        except GiveUp as gave_up:
            return not_analysed(film, gave_up.reason, gave_up.detail)
        except KeyError:  # removed meanwhile
            return not_analysed(film, Reason.DECODE, "the film was removed")
