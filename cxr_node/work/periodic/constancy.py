"""Constancy check (IEC 61223): the node sends itself phantoms and compares their readings with the baseline.

No results are composed of these films, so none can be delivered.
"""

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from io import BytesIO

from pydicom import dcmread
from pydicom.uid import UID

from cxr_node.archive.store import Archive
from cxr_node.db.database import Database
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid, parse_uid
from cxr_node.domain.reading import Prediction, Reading, StepState
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
from cxr_node.records.models import ModelKey

_log = logging.getLogger(__name__)

_POLL_S = 0.5
_KEEP = timedelta(days=7)
_RATIO = "CTR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A synthetic film as a DICOM file, and its true cardiothoracic ratio, if known."""

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
    """The check cannot be completed."""


def new_uid() -> Uid:
    """Return a random, unguessable UID (PS3.5 section B.2)."""
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
    """Send phantoms, wait until they are read, evaluate the readings, and remove the films of old checks.

    An accepted baseline holds for one model, reading host and `device` (as in the settings).
    """
    with database.write() as transaction:
        run_id = rows.start(transaction, now=clock())
    try:
        for phantom in phantoms:
            _send(database, run_id, phantom, send=send, clock=clock, uid=uid)
        sent = _wait_until_read(database, run_id, wait=wait, timeout_s=timeout_s, clock=clock)
        outcome = _evaluate(database, run_id, phantoms, sent, tolerances, device, clock)
    except _Failed as failed:
        outcome = Outcome(run_id=run_id, state=CheckState.FAILED, detail=str(failed))
        with database.write() as transaction:
            rows.end(transaction, run_id, state=outcome.state, detail=outcome.detail, now=clock())
    with database.write() as transaction:
        rows.remove_expired(transaction, before=clock() - _KEEP, now=clock(), discard=archive.discard)
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
    """Announce a phantom under new UIDs, and send it."""
    dataset = dcmread(BytesIO(phantom.content))
    sop_instance_uid = uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(uid()), UID(uid())
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    with database.write() as transaction:
        rows.announce(transaction, run_id, phantom.seed, sop_instance_uid, now=clock())
    try:
        send(out.getvalue())
    except (RetryLater, DeliveryRejected) as error:
        raise _Failed(f"phantom {phantom.seed} was not accepted: {error}") from None


def _wait_until_read(
    database: Database, run_id: int, *, wait: Callable[[float], object], timeout_s: float, clock: Clock
) -> list[ConstancyFilm]:
    """Wait until every film of a run is read."""
    ends = clock() + timedelta(seconds=timeout_s)
    while True:
        with database.read() as connection:
            sent = rows.films_of(connection, run_id)
        late = [str(film.seed) for film in sent if film.reader is None]
        if not late:
            return sent
        if clock() >= ends:
            raise _Failed(f"not read within {timeout_s:g} s: phantom {', '.join(late)}")
        wait(_POLL_S)


def _evaluate(
    database: Database,
    run_id: int,
    phantoms: Sequence[Phantom],
    sent: Sequence[ConstancyFilm],
    tolerances: Tolerances,
    device: str,
    clock: Clock,
) -> Outcome:
    by_model: list[tuple[ModelKey, CheckedValue]] = []
    models: dict[str, set[ModelKey]] = {}
    first: ModelKey | None = None
    with database.read() as connection:
        for phantom, sent_film in zip(phantoms, sent, strict=True):
            film = films.get(connection, sent_film.film_id or 0)
            reading = readings.latest(connection, film.film_id, film.identity)
            if reading is None or reading.prediction is None:
                reason = f"{reading.not_analysed}: {reading.detail}" if reading is not None else "no reading"
                raise _Failed(f"phantom {phantom.seed} is not analysed: {reason}")
            first = first or ModelKey.of(reading.prediction.model)
            for name, model in _models(reading.prediction):
                models.setdefault(name, set()).add(model)
            by_model += _values(phantom, reading, reading.prediction, tolerances)
    readers = {film.reader or "" for film in sent}
    if first is None or any(len(of_one) > 1 for of_one in models.values()) or len(readers) > 1:
        raise _Failed("the phantoms were read by more than one model or host: check again when only one reads")
    (reader,) = readers
    engine = f"{reader}, {device}"
    with database.write() as transaction:
        keys = {key for of_one in models.values() for key in of_one}
        ids = {key: rows.model_of(transaction, key, now=clock()) for key in sorted(keys)}
        baselines = [rows.baseline(transaction.connection, model_id, engine) for model_id in ids.values()]
        baseline = {key: value for of_one in baselines for key, value in of_one.items()}
        values = [replace(value, model_id=ids[model]) for model, value in by_model]
        compared = compare_with_baseline(values, baseline, tolerances)
        state, detail = check_state(compared, baseline if all(baselines) else {})
        documents = [{**asdict(value), "kind": value.kind.value} for value in compared]
        rows.end(
            transaction, run_id, state=state, detail=detail, now=clock(),
            model_id=ids[first], engine=engine, values=documents,
        )  # fmt: skip
    return Outcome(run_id=run_id, state=state, detail=detail)


def _models(prediction: Prediction) -> Iterator[tuple[str, ModelKey]]:
    """Yield the models that answered, each with its name in the cascade; of a single bundle without a name."""
    if not prediction.steps:
        yield "", ModelKey.of(prediction.model)
    for step in prediction.steps:
        if step.state is StepState.ANSWERED:
            yield step.name, ModelKey.of(step.model)


def _values(
    phantom: Phantom, reading: Reading, prediction: Prediction, tolerances: Tolerances
) -> Iterator[tuple[ModelKey, CheckedValue]]:
    """Yield the values of a reading, each with its model."""
    for finding in prediction.findings:
        score = CheckedValue(seed=phantom.seed, kind=ValueKind.SCORE, key=finding.key, value=finding.score)
        yield ModelKey.of(prediction.model_of(finding)), score
    anatomy = ModelKey.of(prediction.anatomy_model)
    for measurement in reading.measurements:
        yield (
            anatomy,
            CheckedValue(seed=phantom.seed, kind=ValueKind.MEASUREMENT, key=measurement.key, value=measurement.value),
        )
        if measurement.key == _RATIO and phantom.ratio is not None:
            yield anatomy, CheckedValue(
                seed=phantom.seed, kind=ValueKind.TRUTH, key=_RATIO, value=measurement.value,
                expected=phantom.ratio, tolerance=tolerances.ratio,
            )  # fmt: skip
