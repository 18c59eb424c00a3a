"""`cxr-node replay`: reads a film again and compares its scores with the stored ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cxr_node import pipeline
from cxr_node.cli.database import read_write
from cxr_node.cli.terminal import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    CommandError,
    ConfigOption,
    JsonOption,
    out,
    reporting_errors,
)
from cxr_node.db.database import Connection
from cxr_node.db.states import Stage
from cxr_node.domain.film import Film
from cxr_node.domain.reading import ModelIdentity, Prediction, Reading
from cxr_node.infer.remote.outcome import RemoteError
from cxr_node.infer.remote.reader import RemoteReader
from cxr_node.process_pool.executor import InProcess
from cxr_node.queue import search
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import IdentifiedNetwork, Network
from cxr_node.reading.remote import RemoteSwitch
from cxr_node.records import bundles, films, readings
from cxr_node.records.bundles import ArchivedBundle
from cxr_node.wiring import preprocessing
from cxr_node.wiring.active_bundle import install_from_archive
from cxr_node.wiring.cascade import named_readers, network_of, uses_own
from cxr_node.wiring.live_settings import LiveSettings
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader
from cxr_node.wiring.remote import open_network

if TYPE_CHECKING:
    from cxr_node.infer.reader import Reader


def replay(
    job_id: Annotated[int, typer.Argument(help="Number of a read job.")],
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Read a film again with the same network: exit status 0 if every score is bit-identical, 1 if not.

    Points, and embeddings if they were kept, must be bit-identical too.
    """
    with reporting_errors(), read_write(path) as opened:
        film, stored, activated = _stored(opened, job_id)
        process = _with_engine_of(opened, stored)
        network = _network(process, stored, activated)
        now = _read_again(process, film, network, keep_embeddings=bool(stored.embeddings))
        scores = _compared(stored, now)
        is_remote = isinstance(network, RemoteReader)
        # A server may give other scores each time, which one comparison does not show.
        repeats = (
            not is_remote
            or _compared(now, _read_again(process, film, network, keep_embeddings=bool(stored.embeddings))).equal
        )
    if as_json:
        document: dict[str, object] = {"job": job_id, "model": _name(stored.model)}
        document |= {"weights_digest": stored.model.weights_digest, "equal": scores.equal, "repeats": repeats}
        document |= {"models": [{"model": _name(one), "weights_digest": one.weights_digest} for one in stored.models]}
        typer.echo(
            json.dumps({**document, "difference": scores.difference, "scores": scores.plain, "others": scores.others})
        )
    else:
        _show(stored.models, scores)
        if is_remote:
            out.print(_determinism(scores, repeats=repeats))
    if not scores.equal:
        raise typer.Exit(EXIT_FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Score of each finding, stored and read again; None if one reading lacks the finding.

    `others` says of each point and embedding whether it is the same.
    """

    pairs: dict[str, tuple[float | None, float | None]]
    others: dict[str, bool]

    @property
    def equal(self) -> bool:
        """Whether every score, point and embedding is bit-identical."""
        return all(stored == now for stored, now in self.pairs.values()) and all(self.others.values())

    @property
    def difference(self) -> float | None:
        """Largest difference; None if one reading lacks a finding."""
        largest = 0.0
        for stored, now in self.pairs.values():
            if stored is None or now is None:
                return None
            largest = max(largest, abs(stored - now))
        return largest

    @property
    def plain(self) -> list[dict[str, object]]:
        """The scores as a JSON document."""
        return [{"finding": key, "stored": stored, "now": now} for key, (stored, now) in self.pairs.items()]


def _stored(process: Process, job_id: int) -> tuple[Film, Prediction, list[ArchivedBundle]]:
    """Return the film of a job, its prediction, and the bundles of its models' names that were activated."""
    with process.database.read() as connection:
        film = _film(connection, job_id)
        reading = readings.latest(connection, film.film_id, film.identity)
        if reading is None:
            raise CommandError(f"job {job_id} has not been read yet")
        if reading.prediction is None:
            raise CommandError(f"job {job_id} has no scores: not analysed ({_reason(reading)})")
        activated = [
            bundle
            for model in reading.prediction.models
            for bundle in bundles.activated_before(connection, model.name, model.version)
        ]
        return film, reading.prediction, activated


def _with_engine_of(process: Process, stored: Prediction) -> Process:
    """Return the process with the engine of a reading in place of "auto", which may have chosen another since."""
    from cxr_node.infer import engines

    section = process.settings.read
    if section.engine != engines.AUTO:
        return process
    name = next((name for name in engines.ENGINES if f", by {name}" in stored.model.preparation), engines.EAGER)
    read = section.model_copy(update={"engine": name})
    return replace(process, live=LiveSettings(process.settings.model_copy(update={"read": read})))


def _film(connection: Connection, job_id: int) -> Film:
    row = search.one(connection, job_id)
    if row is None:
        raise CommandError(f"there is no job {job_id}; `cxr-node jobs list` shows the jobs")
    if row.stage is not Stage.READ or row.film_id is None:
        raise CommandError(
            f"job {job_id} is of stage {row.stage} and reads no film; see `cxr-node jobs list --stage read`"
        )
    return films.get(connection, row.film_id)


def _network(process: Process, stored: Prediction, activated: Sequence[ArchivedBundle]) -> Network:
    """Return the same networks with the same preparation, from the settings' bundles or an activated one."""
    from cxr_node.infer.bundle import BundleError

    try:
        if process.settings.read.kind == "remote":
            return _same_remote(process, stored.model, activated)
        return _same_network(process, stored, activated)
    except BundleError as error:
        raise CommandError(str(error)) from None


def _same_remote(process: Process, stored: ModelIdentity, activated: Sequence[ArchivedBundle]) -> IdentifiedNetwork:
    network = _selected(open_network(process, open_local=open_reader), stored)
    for bundle in activated:
        if network.identity.weights_digest != stored.weights_digest:
            folder = install_from_archive(process, bundle)
            network = _selected(open_network(process, folder, open_local=open_reader), stored)
    _same(stored, network.identity)
    return network


def _selected(opened: "Reader | RemoteSwitch", stored: ModelIdentity) -> IdentifiedNetwork:
    """Return the remote reader, or its fallback for a film that the fallback read."""
    if not isinstance(opened, RemoteSwitch):
        return opened
    local = opened.local
    return local if local is not None and local.identity.preparation == stored.preparation else opened.remote


def _read_again(process: Process, film: Film, network: Network, *, keep_embeddings: bool) -> Prediction:
    rules = replace(preprocessing.read_rules(process.settings), keep_embeddings=keep_embeddings)
    context = ReadContext(archive=process.archive, rules=rules)
    try:
        (reading,) = pipeline.read([film], executor=InProcess(context), network=network)
    except RemoteError as error:
        raise CommandError(f"the film cannot be read again now: {error}") from None
    if reading.prediction is None:
        raise CommandError(f"the film is not analysed now ({_reason(reading)})")
    return reading.prediction


def _determinism(scores: Scores, *, repeats: bool) -> str:
    """Return what a replay at a server shows."""
    if not repeats:
        return (
            "the server gave different scores for the same film twice just now: it is not deterministic, "
            "so a replay cannot be bit-identical"
        )
    if scores.equal:
        return "the server gave the same scores twice; whether it always does, depends on it"
    return (
        "the server gave the same scores twice just now, and others when the film was read: "
        "its model or its runtime changed under the same name and version"
    )


def _same_network(process: Process, stored: Prediction, activated: Sequence[ArchivedBundle]) -> Network:
    """Return the network of the settings, with the bundle that read the film in place of read.bundle."""
    section = process.settings.read
    named = named_readers(process, open_reader)
    digests = {model.weights_digest for model in stored.models}
    own = open_reader(process) if uses_own(section) else next(iter(named.values()))
    for bundle in activated if uses_own(section) else ():
        if own.identity.weights_digest not in digests:
            own = open_reader(process, install_from_archive(process, bundle))
    present = [own.identity, *(reader.identity for reader in named.values())]
    for model in stored.models:
        _same(model, next((one for one in present if one.weights_digest == model.weights_digest), own.identity))
    return network_of(section, own=own, named=named)


def _reason(reading: Reading) -> str:
    return f"{reading.not_analysed.meaning if reading.not_analysed else ''}: {reading.detail}"


def _same(stored: ModelIdentity, present: ModelIdentity) -> None:
    if stored.weights_digest != present.weights_digest:
        raise CommandError(
            f"the film was read by {_name(stored)}, weights SHA-256 {stored.weights_digest}, which was not activated "
            f"for all readers; here is {_name(present)}, weights SHA-256 {present.weights_digest}: set "
            "read.bundle to the former"
        )
    if stored.preparation != present.preparation:
        raise CommandError(
            f"the film was prepared by {stored.preparation!r}, the settings and the bundle's card now state "
            f"{present.preparation!r}: their scores cannot be the same"
        )


def _compared(stored: Prediction, now: Prediction) -> Scores:
    old, new = ({finding.key: finding.score for finding in prediction.findings} for prediction in (stored, now))
    pairs = {key: (old.get(key), new.get(key)) for key in {**old, **new}}
    outputs, again = _other_outputs(stored), _other_outputs(now)
    return Scores(pairs=pairs, others={key: outputs.get(key) == again.get(key) for key in {**outputs, **again}})


def _other_outputs(prediction: Prediction) -> dict[str, object]:
    points: dict[str, object] = {f"point {point.key}": (point.at, point.confidence) for point in prediction.points}
    vectors = {f"embedding of {_name(prediction.model_of(vector))}": vector.vector for vector in prediction.embeddings}
    return {**points, **vectors}


def _show(models: Sequence[ModelIdentity], scores: Scores) -> None:
    for model in models:
        out.print(f"{_name(model)}, weights SHA-256 {model.weights_digest}", markup=False)
    table = Table("finding", "stored", "now")
    for key, pair in scores.pairs.items():
        table.add_row(key, *("none" if score is None else repr(score) for score in pair))
    out.print(table)
    for name, is_same in scores.others.items():
        out.print(f"{name}: {'bit-identical' if is_same else 'NOT the same'}", markup=False)
    if scores.equal:
        out.print("bit-identical")
    elif scores.difference is None:
        out.print("NOT the same findings")
    elif not scores.difference:
        out.print("NOT the same: a point or an embedding differs")
    else:
        out.print(f"NOT the same: the largest difference is {scores.difference:.3g}")


def _name(model: ModelIdentity) -> str:
    return f"{model.name} {model.version}"
