"""The constancy check: the node sends itself phantoms, and looks whether it reads them as before.

Nothing is made of these films: no result is composed, so that none can leave.
"""

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from io import BytesIO

from pydicom import dcmread
from pydicom.uid import UID

from cxr_node.archive.store import Archive
from cxr_node.db.database import Database
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid, parse_uid
from cxr_node.domain.reading import ModelIdentity, Reading
from cxr_node.monitoring.constancy import (
    CheckedValue,
    CheckState,
    Tolerances,
    ValueKind,
    check_state,
    compare_with_baseline,
)
from cxr_node.records import constancy as rows
from cxr_node.records import films, readings
from cxr_node.records.constancy import ConstancyFilm
from cxr_node.work.handler import Clock

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
_KEPT = timedelta(days=7)
_RATIO = "CTR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A film as a file, and the cardiothoracic ratio that is known of it."""

    seed: int
    content: bytes
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a check ended."""

    run_id: int
    state: CheckState
    detail: str


class _Failed(Exception):
    """Why a check cannot go on."""


def new_uid() -> Uid:
    """Return a UID that nobody can guess (PS3.5 section B.2)."""
    return parse_uid(f"2.25.{uuid.uuid4().int}")


def check(
    database: Database,
    archive: Archive,
    phantoms: Sequence[Phantom],
    *,
    send: Callable[[bytes], object],
    wait: Callable[[float], object],
    tolerances: Tolerances,
    device: str,
    timeout_s: float,
    clock: Clock,
    uid: Callable[[], Uid] = new_uid,
) -> Outcome:
    """Send phantoms by `send`, wait until they are read, judge what was read, and remove the films of old checks.

    What is accepted holds for a model, the host that reads and `device`, as the settings name it.
    """
    with database.write() as transaction:
        run_id = rows.start(transaction, now=clock())
    try:
        for phantom in phantoms:
            _send(database, run_id, phantom, send=send, clock=clock, uid=uid)
        arrived = _read(database, run_id, wait=wait, timeout_s=timeout_s, clock=clock)
        outcome = _judge(database, run_id, phantoms, arrived, tolerances, device, clock)
    except _Failed as failed:
        outcome = Outcome(run_id=run_id, state=CheckState.FAILED, detail=str(failed))
        with database.write() as transaction:
            rows.end(transaction, run_id, state=outcome.state, detail=outcome.detail, now=clock())
    with database.write() as transaction:
        rows.remove_expired(transaction, before=clock() - _KEPT, now=clock(), discard=archive.discard)
    _log.log(
        logging.ERROR if outcome.state is CheckState.FAILED else logging.INFO,
        "constancy check %d: %s %s", run_id, outcome.state, outcome.detail,
    )  # fmt: skip
    return outcome


def _send(
    database: Database,
    run_id: int,
    phantom: Phantom,
    *,
    send: Callable[[bytes], object],
    clock: Clock,
    uid: Callable[[], Uid],
) -> None:
    """Announce a phantom under UIDs of its own, and send it."""
    dataset = dcmread(BytesIO(phantom.content))
    named = uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(named)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(uid()), UID(uid())
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    with database.write() as transaction:
        rows.announce(transaction, run_id, phantom.seed, named, now=clock())
    try:
        send(out.getvalue())
    except (RetryLater, DeliveryRejected) as error:
        raise _Failed(f"phantom {phantom.seed} was not taken: {error}") from None


def _read(
    database: Database, run_id: int, *, wait: Callable[[float], object], timeout_s: float, clock: Clock
) -> list[ConstancyFilm]:
    """Wait until every film of a run is read."""
    ends = clock() + timedelta(seconds=timeout_s)
    while True:
        with database.read() as connection:
            found = rows.films_of(connection, run_id)
        if all(each.reader is not None for each in found):
            return found
        if clock() >= ends:
            late = [str(each.seed) for each in found if each.reader is None]
            raise _Failed(f"not read within {timeout_s:g} s: phantom {', '.join(late)}")
        wait(_LOOK_S)


def _judge(
    database: Database,
    run_id: int,
    phantoms: Sequence[Phantom],
    arrived: Sequence[ConstancyFilm],
    tolerances: Tolerances,
    device: str,
    clock: Clock,
) -> Outcome:
    values: list[CheckedValue] = []
    models: set[tuple[str, ...]] = set()
    with database.read() as connection:
        for phantom, each in zip(phantoms, arrived, strict=True):
            film = films.get(connection, each.film_id or 0)
            reading = readings.latest(connection, film.film_id, film.identity)
            if reading is None or reading.prediction is None:
                why = f"{reading.not_analysed}: {reading.detail}" if reading is not None else "no reading"
                raise _Failed(f"phantom {phantom.seed} is not analysed: {why}")
            models.add(_named(reading.prediction.model))
            values += _values(phantom, reading, tolerances)
    readers = {each.reader or "" for each in arrived}
    if len(models) > 1 or len(readers) > 1:
        raise _Failed("the phantoms were read by more than one model or host: check again when one reads")
    (of,), (reader,) = models, readers
    engine = f"{reader}, {device}"
    with database.write() as transaction:
        model_id = rows.model_of(transaction, of, now=clock())
        known = rows.baseline(transaction.connection, model_id, engine)
        held = compare_with_baseline(values, known, tolerances)
        state, detail = check_state(held, known)
        ended = [{**asdict(each), "kind": each.kind.value} for each in held]
        rows.end(
            transaction, run_id, state=state, detail=detail, now=clock(),
            model_id=model_id, engine=engine, values=ended,
        )  # fmt: skip
    return Outcome(run_id=run_id, state=state, detail=detail)


def _values(phantom: Phantom, reading: Reading, tolerances: Tolerances) -> Iterator[CheckedValue]:
    for finding in reading.prediction.findings if reading.prediction else ():
        yield CheckedValue(seed=phantom.seed, kind=ValueKind.SCORE, key=finding.key, value=finding.score)
    for measurement in reading.measurements:
        yield CheckedValue(seed=phantom.seed, kind=ValueKind.MEASUREMENT, key=measurement.key, value=measurement.value)
        if measurement.key == _RATIO and phantom.ratio is not None:
            yield CheckedValue(
                seed=phantom.seed, kind=ValueKind.TRUTH, key=_RATIO, value=measurement.value,
                expected=phantom.ratio, tolerance=tolerances.ratio,
            )  # fmt: skip


def _named(model: ModelIdentity) -> tuple[str, ...]:
    return model.name, model.version, model.weights_digest, model.preparation, model.operating_points
