"""Search for prior films at other archives, for films of which the node's own archive has none.

It runs beside composing and delivery, which do not wait for it: a report is composed when it is due, and composed anew
when the prior film was fetched and read.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cxr_node.archive.store import Archive, prior_key
from cxr_node.composing.context import ComposeContext
from cxr_node.composing.film import ReadFilm
from cxr_node.composing.prior_search import FetchedFilm, QueryRequest, query_of, why_unsuitable
from cxr_node.db.database import Database
from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import ProcessDied, RetryLater, type_and_place
from cxr_node.domain.film import Film
from cxr_node.domain.prior_search import Candidate, FilmNotSent, PriorQuery, PriorSource, SearchFailed, SearchState
from cxr_node.domain.reading import Reading
from cxr_node.process_pool.executor import Executor
from cxr_node.records import answer_states, fetched_films, films, moved_films, prior_searches, readings
from cxr_node.records.prior_searches import PriorSearch
from cxr_node.work.handlers.comparisons import compare_with_kept

_log = logging.getLogger(__name__)

_BATCH = 16
_THREADS = 4
_FIRST_S, _LONGEST_S = 5.0, 300.0
_SWEEP = timedelta(minutes=1)
_SWEPT = timedelta(days=7)
"""How long a removed file is looked for whose removal a crash prevented."""

_EXPECTED = timedelta(days=1)
"""How long a film that was asked for by C-MOVE is no received film when it comes."""

BeforeRemoval = Callable[[bytes], None]


@dataclass(slots=True, kw_only=True)
class PriorSearches:
    """Searches that are due, at each source in order until one has a prior film.

    A source has `timeout_s` for a search; one that fails is not asked again for the other searches of a run.
    """

    database: Database
    archive: Archive
    executor: Executor[ComposeContext]
    sources: Callable[[], Sequence[PriorSource]]
    clock: Clock
    maximum_age_days: int
    keep: timedelta
    timeout_s: float
    before_removal: BeforeRemoval = lambda _content: None
    timer: Callable[[], float] = time.monotonic
    _outcomes: dict[str, str] = field(default_factory=dict, init=False)
    """Why each source that was asked in this run gave no answer; "" for those that did."""
    _swept_at: datetime | None = field(default=None, init=False)

    def run(self) -> int:
        """Search for what is due, and remove what has expired, once a minute; return the number of searches."""
        self._outcomes = {}
        if self._swept_at is None or self.clock() - self._swept_at >= _SWEEP:
            self._swept_at = self.clock()
            self._remove_expired()
        with self.database.read() as connection:
            due = prior_searches.due(connection, now=self.clock(), limit=_BATCH)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="priors") as threads:
            list(threads.map(self._search_safely, due))
        answer_states.note(self.database, "source", self._outcomes, now=self.clock())
        return len(due)

    def _search_safely(self, search: PriorSearch) -> None:
        try:
            self._search(search)
        except RetryLater as error:
            self._retry(search, str(error))
        except Exception as error:  # noqa: BLE001  # a fault on one film must not end the searches for others
            _log.error("search for the prior of film %d failed: %s", search.film_id, type_and_place(error))
            self._retry(search, "fault in the node")

    def _search(self, search: PriorSearch) -> None:
        with self.database.read() as connection:
            film = films.get(connection, search.film_id)
            reading = readings.latest(connection, film.film_id, film.identity)
            is_wanted = prior_searches.is_wanted(connection, film.film_id)
        if self.clock() >= search.until:
            self._end(search, SearchState.EXPIRED, search.detail)
            return
        if reading is None or not is_wanted:
            self._end(search, SearchState.NONE, "the film was removed or rejected")
            return
        if self._has_own(film, reading):
            self._end(search, SearchState.OWN)
            return
        request = QueryRequest(film=ReadFilm(film=film, reading=reading), maximum_age_days=self.maximum_age_days)
        (query,) = self.executor.map(query_of, [request])
        if query is None:
            self._end(search, SearchState.NONE, "the film does not state patient, view and date as a query needs them")
            return
        failures = []
        for source in self.sources():
            failure = self._ask(search, query, source)
            if failure is None:
                return
            failures.append(failure)
        if failure := "; ".join(filter(None, failures)):
            self._retry(search, failure)
        else:
            self._end(search, SearchState.NONE)

    def _has_own(self, film: Film, reading: Reading) -> bool:
        days = self.maximum_age_days
        return compare_with_kept(film, reading, self.database, self.executor, maximum_age_days=days) is not None

    def _ask(self, search: PriorSearch, query: PriorQuery, source: PriorSource) -> str | None:
        """Return None if a source has the prior film, why it gave no answer, or "" if it has none."""
        if self._outcomes.get(source.name):
            return f"{source.name} gave no answer to another search a moment ago"
        until = self.timer() + self.timeout_s
        try:
            offered = source.candidates(query, until=until)
            is_fetched = self._fetch_first(search, query, source, offered, until)
        except FilmNotSent as error:
            self._outcomes.setdefault(source.name, "")
            return str(error)
        except SearchFailed as error:
            self._outcomes[source.name] = str(error)
            return str(error)
        self._outcomes.setdefault(source.name, "")
        return None if is_fetched else ""

    def _fetch_first(
        self, search: PriorSearch, query: PriorQuery, source: PriorSource, offered: Sequence[Candidate], until: float
    ) -> bool:
        """Fetch the newest of the films that is a prior by its own header; return whether there is one.

        Raises
        ------
        SearchFailed
            If the source has not sent a film that may be.
        """
        unsuitable: list[str] = []
        not_sent: FilmNotSent | None = None
        try:
            for candidate in offered:
                if candidate.sop_instance_uid in search.unsuitable:
                    continue
                fetched_film_id = self._held(candidate, query)
                if fetched_film_id is None:
                    try:
                        fetched_film_id = self._fetch(query, source, candidate, until)
                    except FilmNotSent as error:
                        not_sent = error
                        continue
                if fetched_film_id is not None:
                    with self.database.write() as transaction:
                        prior_searches.note_fetched(
                            transaction, search.search_id, fetched_film_id, source=source.name, now=self.clock()
                        )
                    return True
                unsuitable.append(candidate.sop_instance_uid)
        finally:
            if unsuitable:
                with self.database.write() as transaction:
                    prior_searches.note_unsuitable(transaction, search, unsuitable)
        if not_sent is not None:
            raise not_sent
        return False

    def _held(self, candidate: Candidate, query: PriorQuery) -> int | None:
        with self.database.read() as connection:
            return fetched_films.held(connection, candidate.sop_instance_uid, query.patient_key)

    def _fetch(self, query: PriorQuery, source: PriorSource, candidate: Candidate, until: float) -> int | None:
        """Fetch and archive a film; return the number of its row, None if it is no prior of the film."""
        with self.database.read() as connection:
            if fetched_films.is_rejected(connection, candidate.sop_instance_uid):
                return None
        instance = source.fetch(candidate, until=until)
        fetched = FetchedFilm(instance=instance, query=query, sop_instance_uid=candidate.sop_instance_uid)
        try:
            (reason,) = self.executor.map(why_unsuitable, [fetched])
        except ProcessDied as died:
            reason = f"it cannot be parsed: {died}"
        if reason:
            _log.info("%s sent %s as prior film: %s", source.name, candidate.sop_instance_uid, reason)
            return None
        key, now = prior_key(instance.digest), self.clock()
        self.archive.put(key, instance.content)
        with self.database.write() as transaction:
            return fetched_films.add(
                transaction, instance, source=source.name, archive_key=key, expires_at=now + self.keep, now=now
            )

    def _end(self, search: PriorSearch, state: SearchState, detail: str = "") -> None:
        with self.database.write() as transaction:
            prior_searches.end(transaction, search.search_id, state, detail=detail, now=self.clock())

    def _retry(self, search: PriorSearch, detail: str) -> None:
        delay_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(search.attempts, 10))
        with self.database.write() as transaction:
            due_at = self.clock() + timedelta(seconds=delay_s)
            prior_searches.retry(transaction, search, detail=detail, due_at=due_at)

    def _remove_expired(self) -> None:
        now = self.clock()
        with self.database.write() as transaction:
            prior_searches.expire(transaction, now=now)
            fetched_films.mark_expired(transaction, now=now)
            moved = moved_films.forget(transaction, before=now - _EXPECTED)
        for key in moved:
            self.archive.discard(key)
        with self.database.read() as connection:
            removed = fetched_films.removed_keys(connection, since=now - _SWEPT)
        for key in removed:
            if key in self.archive:
                self.before_removal(self.archive.get(key))
                self.archive.discard(key)
