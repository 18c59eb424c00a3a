"""Sample of films read now by the present bundle, and how many of its calls differ; nothing is stored or sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_node import pipeline
from cxr_node.domain.reading import Reading
from cxr_node.process_pool.executor import InProcess
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network
from cxr_node.reading.remote import RemoteSwitch
from cxr_node.records import bundles, films, readings, rereads
from cxr_node.records.rereads import Selection
from cxr_node.wiring import preprocessing
from cxr_node.wiring.active_bundle import install_from_archive
from cxr_node.wiring.cascade import named_readers, network_of, uses_own
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader
from cxr_node.wiring.remote import open_network

NOT_ANALYSED = "not analysed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Number of films whose call of a finding differs: present, absent, undetermined, none, or not analysed."""

    finding: str
    before: str
    now: str
    films: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Films of a sample, those with at least one call that differs, all calls, and the differing ones."""

    films: int
    differing_films: int
    calls: int
    changes: tuple[Change, ...]

    @property
    def differing_calls(self) -> int:
        """Number of calls that differ."""
        return sum(change.films for change in self.changes)


def read_sample(process: Process, selection: Selection, *, size: int) -> Sample:
    """Read up to `size` films of a selection, spread evenly over it, and compare their calls with the stored ones.

    Raises
    ------
    BundleError
        If the bundle cannot be used on this host.
    RemoteError
        If the inference server does not answer.
    """
    with process.database.read() as connection:
        film_ids = _spread(rereads.to_read_again(connection, selection), size)
        stored = [films.get(connection, film_id) for film_id in film_ids]
        before = [readings.latest(connection, film.film_id, film.identity) for film in stored]
    network = _network(process) if stored else None
    context = ReadContext(archive=process.archive, rules=preprocessing.read_rules(process.settings))
    now = [pipeline.read([film], executor=InProcess(context), network=network)[0] for film in stored if network]
    return _compared(before, now)


def _spread(film_ids: Sequence[int], size: int) -> list[int]:
    if len(film_ids) <= size:
        return list(film_ids)
    return [film_ids[number * len(film_ids) // size] for number in range(size)]


def _network(process: Process) -> Network:
    """Return the network that reads now: of the activated bundle, or of the settings."""
    with process.database.read() as connection:
        activation = bundles.newest(connection)
    activated = None if activation is None else activation.bundle
    folder = None if activated is None else install_from_archive(process, activated)
    section = process.settings.read
    if section.kind == "remote":
        opened = open_network(process, folder, open_local=open_reader)
        return opened.remote if isinstance(opened, RemoteSwitch) else opened
    named = named_readers(process, open_reader)
    own = open_reader(process, folder) if uses_own(section) else next(iter(named.values()))
    return network_of(section, own=own, named=named)


def _compared(before: Sequence[Reading | None], now: Sequence[Reading]) -> Sample:
    counts: dict[tuple[str, str, str], int] = {}
    calls = differing = 0
    for stored, present in zip(before, now, strict=True):
        old, new = _calls(stored), _calls(present)
        keys = list(dict.fromkeys([*old, *new]))
        if NOT_ANALYSED in keys:
            keys, old, new = [NOT_ANALYSED], _analysed(old), _analysed(new)
        changed = [(key, old.get(key, "none"), new.get(key, "none")) for key in keys if old.get(key) != new.get(key)]
        calls += len(keys)
        differing += bool(changed)
        for change in changed:
            counts[change] = counts.get(change, 0) + 1
    changes = [Change(finding=key, before=a, now=b, films=number) for (key, a, b), number in sorted(counts.items())]
    return Sample(films=len(now), differing_films=differing, calls=calls, changes=tuple(changes))


def _calls(reading: Reading | None) -> dict[str, str]:
    """Return the presence of each finding of a reading."""
    if reading is None or reading.prediction is None:
        return {NOT_ANALYSED: "yes"}
    return {finding.key: finding.presence.value for finding in reading.prediction.findings}


def _analysed(calls: dict[str, str]) -> dict[str, str]:
    """Return whether a film was analysed, as a call."""
    return {NOT_ANALYSED: "yes" if NOT_ANALYSED in calls else "no"}
