"""Run of a trial: each source through admission and reading, several films at a time, rows in the order of sources."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cxr_node import pipeline
from cxr_node.archive.store import film_key
from cxr_node.domain.errors import ProcessDied, RetryLater, place_of
from cxr_node.domain.film import Film
from cxr_node.domain.hanging import hang_geometry
from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.ops.trial import picture
from cxr_node.ops.trial.admission import SENDER, Candidate
from cxr_node.ops.trial.rows import Answer, NotAdmitted, Obstacle, Origin, Row, not_admitted, row_of
from cxr_node.ops.trial.sources import Source, SourceReader
from cxr_node.reading.preprocess import not_analysed
from cxr_node.reading.repeat import compare_with_first
from cxr_node.wiring.trial import TrialReader

_AT = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of reception of every film; nothing in a reading depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _First:
    """The first film of a SOP Instance UID."""

    source: Source
    instance: Instance


@dataclass(slots=True, kw_only=True)
class Trial:
    """A trial of sources.

    Parameters
    ----------
    crash_limit
        Number of crashes of a preprocessing process after which a film is not analysed.
    pictures
        Folder for a picture of each film; None: no pictures.
    seconds
        Clock of durations.
    """

    reader: TrialReader
    maximum_object_bytes: int
    crash_limit: int
    pictures: Path | None = None
    seconds: Callable[[], float] = time.perf_counter
    _first: dict[Uid, _First] = field(default_factory=dict)

    def run(self, sources: Sequence[Source]) -> Iterator[Row]:
        """Yield the row of each source, in order. Between rows nothing but films in progress is held."""
        at_once = self.reader.films_at_once
        pending: deque[Future[Row]] = deque()
        with (
            SourceReader(maximum_object_bytes=self.maximum_object_bytes) as files,
            ThreadPoolExecutor(at_once, thread_name_prefix="trial") as threads,
        ):
            try:
                for number, source in enumerate(sources):
                    step = self._admitted(number, source, files)
                    if isinstance(step, _Repeated):
                        while pending:
                            yield pending.popleft().result()
                        yield self._compared(step, files)
                        continue
                    pending.append(threads.submit(step))
                    # One film more than are read, so that no thread waits for a file.
                    while len(pending) > at_once:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _admitted(self, number: int, source: Source, files: SourceReader) -> "Callable[[], Row] | _Repeated":
        """Read a source, and return what gives its row."""
        candidate = Candidate(content=b"")
        try:
            candidate.content = files.read(source)
            instance = candidate.admit(maximum_object_bytes=self.maximum_object_bytes)
        except NotAdmitted as error:
            row = not_admitted(source.name, error, candidate.origin)
            return lambda: row
        except Exception as error:  # noqa: BLE001  # one file never ends a trial
            row = _fault(source.name, error, candidate.origin)
            return lambda: row
        origin = candidate.origin
        first = self._first.setdefault(
            instance.identity.sop_instance_uid, _First(source=source, instance=replace(instance, content=b""))
        )
        if first.source is source:
            film = self._stored(number, instance)
            return lambda: self._read(source.name, film, origin)
        if first.instance.digest == instance.digest:
            row = Row(
                file=source.name, answer=Answer.REPEATED, detail=f"the same film as {first.source.name}", origin=origin
            )
            return lambda: row
        return _Repeated(number=number, source=source, instance=instance, first=first, origin=origin)

    def _stored(self, number: int, instance: Instance, *, first: Digest | None = None) -> Film:
        """Put a film into the temporary archive, and return it as a row of the database would have it."""
        key = film_key(instance.digest)
        self.reader.archive.put(key, instance.content)
        return Film(
            film_id=number,
            study_id=number,
            identity=instance.identity,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            digest=instance.digest,
            archive_key=key,
            sender=SENDER,
            received_at=_AT,
            is_original=first is None,
            first_archive_key=None if first is None else film_key(first),
            first_digest=first,
        )

    def _read(self, name: str, film: Film, origin: Origin) -> Row:
        started = self.seconds()
        try:
            reading = self._reading(film)
            seconds = self.seconds() - started
            row = row_of(name, reading, origin, seconds=seconds)
            return row if self.pictures is None else self._shown(row, film, reading, self.pictures)
        except RetryLater as error:
            return _not_now(name, error, origin)
        except Exception as error:  # noqa: BLE001  # one film never ends a trial
            return _fault(name, error, origin)
        finally:
            self.reader.archive.discard(film.archive_key)

    def _reading(self, film: Film) -> Reading:
        """Read a film as the read role does, again after a crash of a preprocessing process."""
        for attempt in range(1, self.crash_limit + 1):
            try:
                (reading,) = pipeline.read([film], executor=self.reader.executor, network=self.reader.network())
            except ProcessDied as error:
                if attempt == self.crash_limit:
                    detail = f"{error}, in each of {attempt} attempts"
                    return not_analysed(film, Reason.MODEL_ERROR, detail)
            else:
                return reading
        raise ValueError("the crash limit is at least 1")

    def _shown(self, row: Row, film: Film, reading: Reading, folder: Path) -> Row:
        """Return a row with a picture of the film, if it can be decoded, and the outlines of its findings."""
        content = None
        with suppress(RetryLater):
            (content,) = self.reader.executor.map(picture.picture, [film])
        if content is None:
            return row
        path = folder / f"{film.film_id:06d}.jpg"
        path.write_bytes(content)
        if reading.geometry is None:
            return replace(row, picture=path)
        hung = hang_geometry(reading.geometry)
        return replace(row, picture=path, outlines=picture.outlines(reading), shown_size=(hung.columns, hung.rows))

    def _compared(self, repeated: "_Repeated", files: SourceReader) -> Row:
        """Compare a film with the first of its SOP Instance UID, which is read from its file again."""
        first, name, archive = repeated.first, repeated.source.name, self.reader.archive
        key = film_key(first.instance.digest)
        started = self.seconds()
        try:
            again = Candidate(content=files.read(first.source)).admit(maximum_object_bytes=self.maximum_object_bytes)
            archive.put(key, again.content)
            film = self._stored(repeated.number, repeated.instance, first=first.instance.digest)
            (outcome,) = self.reader.executor.map(compare_with_first, [film])
        except RetryLater as error:
            return _not_now(name, error, repeated.origin)
        except Exception as error:  # noqa: BLE001  # one film never ends a trial
            return _fault(name, error, repeated.origin)
        finally:
            archive.discard(key)
            archive.discard(film_key(repeated.instance.digest))
        answer = Answer.REPEATED if outcome.reason is None else Answer.NOT_ANALYSED
        detail = f"{outcome.detail}; the first film is {first.source.name}"
        seconds = self.seconds() - started
        return Row(
            file=name, answer=answer, reason=outcome.reason, detail=detail, origin=repeated.origin, seconds=seconds
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeated:
    """A film of a known SOP Instance UID with other bytes."""

    number: int
    source: Source
    instance: Instance
    first: _First
    origin: Origin


def _not_now(name: str, error: RetryLater, origin: Origin) -> Row:
    return Row(file=name, answer=Answer.FAILED, reason=Obstacle.NOT_NOW, detail=str(error), origin=origin)


def _fault(name: str, error: Exception, origin: Origin) -> Row:
    return Row(file=name, answer=Answer.FAILED, reason=Obstacle.FAULT, detail=place_of(error), origin=origin)
