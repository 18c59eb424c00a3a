"""Reading of fetched prior films, by the path of received films, when none of those waits."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from cxr_node import pipeline
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import GiveUp, Held
from cxr_node.domain.reading import Reading
from cxr_node.process_pool.executor import Executor
from cxr_node.queue import claimable
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network, Watchdog
from cxr_node.records import fetched_films, prior_searches
from cxr_node.records.fetched_films import FetchedFilm

_MAXIMUM_ATTEMPTS = 2
"""A film whose reading ends the process is no prior film after so many attempts."""


class PriorReading:
    """Reads one film a turn, unless received films wait: those have priority.

    `alone` is held while a film is read, so that its crash is attributed to no other.
    """

    def __init__(
        self,
        database: Database,
        *,
        executor: Executor[ReadContext],
        network: Callable[[], Network],
        clock: Clock,
        watchdog: Watchdog = nullcontext,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._database = database
        self._executor = executor
        self._network = network
        self._clock = clock
        self._watchdog = watchdog
        self._alone = alone

    def run(self) -> None:
        """Take turns until there is no film to read."""
        while self.turn():
            pass

    def turn(self) -> bool:
        """Read the next film, and return whether there was one."""
        with self._database.read() as connection:
            if claimable.count_due(connection, Stage.READ, now=self._clock()):
                return False
        with self._database.write() as transaction:
            task = fetched_films.next_unread(transaction)
        if task is None:
            return False
        reading = self._read(task)
        is_frontal = reading is not None and reading.geometry is not None and reading.geometry.view.is_frontal
        with self._database.write() as transaction:
            now = self._clock()
            if reading is not None and reading.prediction is not None and is_frontal:
                fetched_films.write_reading(transaction, task.fetched_film_id, reading, now=now)
                prior_searches.note_read(transaction, task.fetched_film_id, now=now)
            else:
                fetched_films.mark_removed(transaction, task.fetched_film_id, now=now)
                uid = task.film.identity.sop_instance_uid
                prior_searches.note_unreadable(transaction, task.fetched_film_id, uid, now=now)
        return True

    def _read(self, task: FetchedFilm) -> Reading | None:
        if task.attempts > _MAXIMUM_ATTEMPTS:
            return None
        try:
            with self._alone(), self._watchdog():
                return pipeline.read([task.film], executor=self._executor, network=self._network())[0]
        except Held:  # there is no network now
            with self._database.write() as transaction:
                fetched_films.release(transaction, task.fetched_film_id)
            raise
        except GiveUp:
            return None
