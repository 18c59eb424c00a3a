"""Films that are read again with the present bundle: what it would do, and the jobs; command line and page use both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxr_node.db.database import Connection
from cxr_node.infer import bundle_registry, card
from cxr_node.ops import operator_log
from cxr_node.ops.batches import Reads, write_in_batches
from cxr_node.ops.formatting import counted
from cxr_node.records import bundles, rereads
from cxr_node.records.rereads import Group, Model, Selection, Standing
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process

_NOT_READ = {
    Standing.WAITING: "waiting to be read already",
    Standing.REMOVED: "removed from the archive",
    Standing.NOT_READ: "failed or dismissed (`cxr-node requeue` reads these)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RereadPlan:
    """What reading again would do.

    Parameters
    ----------
    films, studies
        Films that are read again, and their studies.
    by
        Number of them by the bundle that read them; under None those that were not analysed.
    present
        Bundles that read now: that of the settings or the activated one, and those of a cascade.
    results
        Present results of the studies by destination, each of which a new version may replace.
    others
        Films that are not read again, by reason.
    """

    films: int
    studies: int
    by: Mapping[Model | None, int]
    present: tuple[Model, ...]
    results: Mapping[str, int]
    others: Mapping[Standing, int]

    @property
    def sentence(self) -> str:
        """What is read again, and by what."""
        return f"{counted(self.films, 'film')} of {counted(self.studies, 'study')} by {self.present_names}"

    @property
    def present_names(self) -> str:
        """The bundles that read now."""
        return " and ".join(map(_name, self.present))

    @property
    def details(self) -> list[str]:
        """What read the films until now, and what would be sent: a sentence each."""
        sentences = [f"{films} read by {_name(model)}" for model, films in self.by.items() if model is not None]
        if None in self.by:
            sentences.append(f"{self.by[None]} not analysed")
        sentences += [
            f"up to {counted(results, 'new version')} of results would be sent to {name}"
            for name, results in self.results.items()
        ]
        if self.films and not self.results:
            sentences.append("no result would be sent: the studies were routed to no destination")
        return sentences

    @property
    def left(self) -> list[str]:
        """What is not read again, a phrase for each reason."""
        return [f"{counted(films, 'film')} {_NOT_READ[standing]}" for standing, films in self.others.items()]


def present_models(settings: Settings, connection: Connection) -> tuple[Model, ...]:
    """Return the bundles that read a film now: those of a cascade in their order."""
    steps = [str(step.bundle) for step in settings.read.cascade] or [""]
    activation = bundles.newest(connection)
    activated = None if activation is None else activation.bundle
    own = _card_model(settings, str(settings.read.bundle)) if activated is None else (activated.name, activated.version)
    return tuple(dict.fromkeys(_card_model(settings, step) if step else own for step in steps))


def plan(process: Process, connection: Connection, selection: Selection) -> RereadPlan:
    """Return what reading a selection again would do."""
    groups = rereads.groups(connection, selection)
    others: dict[Standing, int] = {}
    for group in groups:
        if group.standing is not Standing.AGAIN:
            others[group.standing] = others.get(group.standing, 0) + group.films
    again = [group for group in groups if group.standing is Standing.AGAIN]
    return RereadPlan(
        films=sum(group.films for group in again),
        studies=rereads.count_studies(connection, selection),
        by={group.model: group.films for group in _ordered(again)},
        present=present_models(process.settings, connection),
        results=rereads.present_results(connection, selection),
        others=others,
    )


def reread(process: Process, selection: Selection, *, what: str, by: str = "", reads: Reads | None = None) -> int:
    """Queue the films of a selection to be read again, and record it; return their number.

    Each transaction queues a few hundred, behind all other work, so that new films are read first. Films received
    after the call began are not among them. What waits already is not queued twice.

    Parameters
    ----------
    what
        The selection in words without patient data, for log and audit trail.
    by
        The actor, by default the user of the command line.
    reads
        Opens the connection that evaluates the selection, by default that of the process, without a time-out.
    """
    actor = by or operator_log.operator_name()
    with (reads or process.database.read)() as connection:
        film_ids = rereads.to_read_again(connection, selection)
    return write_in_batches(
        process,
        film_ids,
        lambda transaction, batch: rereads.read_again(transaction, batch, actor=actor, now=process.clock()),
        sentence=lambda number: f"{counted(number, 'film')} to be read again: {what}",
        subject="films",
        by=actor,
    )


def _ordered(groups: Sequence[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: -group.films)


def _card_model(settings: Settings, name: str) -> Model:
    folder = settings.node.bundles_folder
    if not bundle_registry.exists(name, folder):
        return name, "(not on this host)"
    parsed = card.parse((bundle_registry.find(name, folder) / bundle_registry.CARD).read_bytes())
    return parsed.name, parsed.version


def _name(model: Model) -> str:
    return " ".join(model)
