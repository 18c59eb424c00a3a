"""Read handler: reads films in batches and records their readings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta

from cxr_node import pipeline
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.domain.errors import Held
from cxr_node.domain.film import Film
from cxr_node.domain.film_geometry import ViewSource
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.process_pool.executor import Executor
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import RULES, RetryRule, due_again
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network, Watchdog
from cxr_node.reading.preprocess import not_analysed
from cxr_node.reading.repeat import Repeat, compare_with_first, conflict
from cxr_node.records import corrections, films, prior_searches, readings
from cxr_node.work import completion
from cxr_node.work.completion import Completion
from cxr_node.work.handler import NOTHING_EXCLUDED, Batching, Exclusions
from cxr_node.work.study_window import StudyWindow


class ReadHandler:
    """Reads films. A film whose process died `crash_limit` times is not analysed, and the others go on.

    Parameters
    ----------
    network
        Returns the network for the next batch.
    last_network
        Returns the network for a film from attempt `last_attempt` on; by default `network`.
    watchdog
        Ends this process if a batch exceeds its deadline, which counts as a crash.
    held_until
        Returns until when there is no network, so that no film is claimed; None if there is one.
    retry
        Retry rule; films that wait for a network are given up by it too.
    issues_anew
        Whether a film that came again with another patient, study or order has the results issued anew.
    on_correction
        Called with such a film, and what differs.
    searches_for
        How long the prior film of a film is searched for at other archives; None if it is not.
    """

    stage = Stage.READ

    def __init__(
        self,
        *,
        database: Database,
        executor: Executor[ReadContext],
        network: Callable[[], Network],
        window: StudyWindow,
        crash_limit: int,
        batching: Batching,
        last_network: Callable[[], Network] | None = None,
        last_attempt: int = 1,
        watchdog: Watchdog = nullcontext,
        held_until: Callable[[], datetime | None] = lambda: None,
        retry: RetryRule = RULES[Stage.READ],
        issues_anew: bool = True,
        on_correction: Callable[[Film, str], None] = lambda _film, _detail: None,
        searches_for: timedelta | None = None,
    ) -> None:
        self._database = database
        self._executor = executor
        self._network = network
        self._last_network = last_network or network
        self._last_attempt = last_attempt
        self._window = window
        self.crash_limit = crash_limit
        self.batching = batching
        self._watchdog = watchdog
        self._held_until = held_until
        self.retry = retry
        self._issues_anew = issues_anew
        self._on_correction = on_correction
        self._searches_for = searches_for

    def before_wait(self) -> None:
        """Hold nothing."""

    def excluded(self) -> Exclusions:
        """Return every film while there is no network."""
        until = self._held_until()
        return NOTHING_EXCLUDED if until is None else Exclusions(until=until)

    def run(self, claims: Sequence[Claim]) -> list[Completion]:
        """Read the claimed films as one batch; while there is no network, return them to the queue."""
        try:
            return self._run(claims)
        except Held as held:
            return [self._hold(claim, held) for claim in claims]

    def _hold(self, claim: Claim, held: Held) -> Completion:
        """Return a film to the queue without counting the attempt, or give it up after the longest wait."""

        def record(transaction: Transaction, now: datetime) -> None:
            if due_again(self.retry, attempts=1, queued_at=claim.queued_at, now=now, jitter=1.0) is None:
                ended = self.give_up(claim, str(held))
            else:
                ended = completion.release_unattempted(claim, due_at=held.due_at, detail=str(held))
            ended(transaction, now)

        return record

    def _run(self, claims: Sequence[Claim]) -> list[Completion]:
        claimed = [(claim, self._film(claim)) for claim in claims]
        repeats = [pair for pair in claimed if not pair[1].is_original]
        originals = [pair for pair in claimed if pair[1].is_original]
        ended = dict(self._compare(repeats))
        batch = [film for _, film in originals]
        if len(claims) > 1:
            batch_readings = self._read(batch, self._network) if batch else []
        else:
            batch_readings = [self._read_alone(*pair) for pair in originals]
        for (claim, film), reading in zip(originals, batch_readings, strict=True):
            ended[claim.job_id] = self._completion(claim, film, reading)
        return [ended[claim.job_id] for claim in claims]

    def _compare(self, repeats: Sequence[tuple[Claim, Film]]) -> Iterator[tuple[int, Completion]]:
        """Yield the completion of each film that came under a known SOP Instance UID, by job."""
        outcomes = self._executor.map(compare_with_first, [film for _, film in repeats]) if repeats else []
        for (claim, film), outcome in zip(repeats, outcomes, strict=True):
            yield claim.job_id, self._repeated(claim, film, outcome)

    def _repeated(self, claim: Claim, film: Film, outcome: Repeat) -> Completion:
        if outcome.reason is None:
            return completion.finish(claim, outcome.detail)
        if outcome.reason is Reason.CORRECTION:
            return self._correct(claim, film, outcome.detail)
        return self._completion(claim, film, not_analysed(film, outcome.reason, outcome.detail))

    def _correct(self, claim: Claim, film: Film, detail: str) -> Completion:
        """Let a corrected copy take the place of the first film; the same job reads it unless results stay."""

        def record(transaction: Transaction, now: datetime) -> None:
            if self._issues_anew:
                actor = claim.lease_owner
                corrections.issue_anew(transaction, film.film_id, detail=detail, actor=actor, now=now)
            if self._issues_anew or not corrections.follow_archive(transaction, film.film_id, now=now):
                queue.release_unattempted(transaction, claim, due_at=now, detail=detail, now=now)
            else:
                queue.finish(transaction, claim, detail=f"{detail}; results follow the archive", now=now)
            self._on_correction(film, detail)

        return record

    def give_up(self, claim: Claim, detail: str) -> Completion:
        """Set the claimed film aside, so that its study does not wait for it."""
        film = self._film(claim)
        if not film.is_original:
            return self._repeated(claim, film, conflict(f"its pixels cannot be compared: {detail}"))
        return self._completion(claim, film, not_analysed(film, Reason.MODEL_ERROR, detail))

    def _read(self, batch: Sequence[Film], network: Callable[[], Network]) -> list[Reading]:
        with self._watchdog():
            return pipeline.read(batch, executor=self._executor, network=network())

    def _read_alone(self, claim: Claim, film: Film) -> Reading:
        network = self._network if claim.attempts < self._last_attempt else self._last_network
        return self._read([film], network)[0]

    def _film(self, claim: Claim) -> Film:
        with self._database.read() as connection:
            return films.get(connection, claim.subject_id)

    def _search_prior(self, transaction: Transaction, film: Film, reading: Reading, now: datetime) -> None:
        geometry = reading.geometry
        if self._searches_for is None or reading.prediction is None or geometry is None:
            return
        if geometry.view.is_frontal and geometry.view_source is not ViewSource.NETWORK:
            prior_searches.request(transaction, film.film_id, until=now + self._searches_for, now=now)

    def _completion(self, claim: Claim, film: Film, reading: Reading) -> Completion:
        def record(transaction: Transaction, now: datetime) -> None:
            readings.write(transaction, film.film_id, reading, now=now)
            self._search_prior(transaction, film, reading, now)
            last_received = films.last_received_at(transaction.connection, film.study_id)
            due_at = max(now, self._window.due_at(last_received))
            if claim.queued_at > self._window.due_at(
                film.received_at
            ):  # read again, as other films of its study may be
                due_at = self._window.due_at(now)
            # Lock order: study before job, as in `boost_study`.
            queue.add_compose(transaction, film.study_id, due_at=due_at, now=now)
            if reading.not_analysed is None:
                queue.finish(transaction, claim, now=now)
            else:
                queue.finish_not_analysed(
                    transaction, claim, reason=reading.not_analysed, detail=reading.detail, now=now
                )

        return record
