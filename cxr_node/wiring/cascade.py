"""Network of the read role from settings: one bundle, or a cascade of bundles, each opened once."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from cxr_node.domain.film_geometry import View
from cxr_node.reading.cascade import Cascade, Condition, Member
from cxr_node.settings.read import CascadeSection, ReadSection
from cxr_node.settings.root import Settings
from cxr_node.wiring.active_bundle import ActiveBundle
from cxr_node.wiring.process import Process

if TYPE_CHECKING:
    from cxr_node.infer.reader import Reader

OWN = "read.bundle"
"""Name of a step of the cascade without a bundle of its own."""

OpenReader = Callable[[Process, Path | None], "Reader"]
"""Opens and warms up the bundle in a folder, or that of the settings."""

MeasureBeside = Callable[[Settings, "Reader", Callable[["Reader"], None]], None]
"""Calls back with the successor of a reader, on a faster engine, once there is one."""


class ReadNetwork:
    """The network of the next batch: the reader of a single bundle, or a cascade."""

    def __init__(self, process: Process, opens: OpenReader, *, measure_beside: MeasureBeside | None = None) -> None:
        self._section = process.settings.read
        self._successors: WeakKeyDictionary[Reader, Reader] = WeakKeyDictionary()
        if measure_beside is not None:
            opens = self._measuring(opens, measure_beside)
        self._named = named_readers(process, opens)
        open_own = (
            partial(opens, process) if uses_own(self._section) else partial(_refuse, next(iter(self._named.values())))
        )
        self._own = ActiveBundle(process, open_reader=open_own)
        require_known_findings(self._section, self._named, self._own.reader)

    def poll(self) -> None:
        """Load another bundle in the background if one was activated."""
        self._own.poll()

    @property
    def batch_size(self) -> int:
        """Largest batch that every network takes."""
        own = [self._own.reader] if uses_own(self._section) else []  # a successor takes as many
        return min(reader.batch_size for reader in (*own, *self._named.values()))

    def current(self) -> "Reader | Cascade":
        """Return the network of the next batch."""
        named = {name: self._latest(reader) for name, reader in self._named.items()}
        return network_of(self._section, own=self._latest(self._own.reader), named=named)

    def _measuring(self, opens: OpenReader, measure_beside: MeasureBeside) -> OpenReader:
        """Return a function that opens a reader, and has its engines measured beside it."""

        def open_measuring(process: Process, folder: Path | None) -> "Reader":
            reader = opens(process, folder)
            measure_beside(process.settings, reader, partial(self._successors.__setitem__, reader))
            return reader

        return open_measuring

    def _latest(self, reader: "Reader") -> "Reader":
        return self._successors.get(reader, reader)

    def held_until(self) -> None:
        """Return None: there always is a network."""

    def last(self) -> "Reader | Cascade":
        """Return the network for the last attempt at a film: a cascade leaves out bundles that cannot answer now."""
        network = self.current()
        return network.without_waiting() if isinstance(network, Cascade) else network


def uses_own(section: ReadSection) -> bool:
    """Whether films are read by `read.bundle`, or the activated one."""
    return not section.cascade or any(not row.bundle for row in section.cascade)


def named_readers(process: Process, opens: OpenReader) -> "dict[str, Reader]":
    """Return the readers of the bundles that the cascade names, each opened once.

    Raises
    ------
    BundleError
        If a bundle cannot be used.
    """
    from cxr_node.infer import bundle_registry

    settings = process.settings
    names = dict.fromkeys(str(row.bundle) for row in settings.read.cascade if row.bundle)
    folders = {name: bundle_registry.find(name, settings.node.bundles_folder).resolve() for name in names}
    opened = {folder: opens(process, folder) for folder in dict.fromkeys(folders.values())}
    return {name: opened[folder] for name, folder in folders.items()}


def network_of(section: ReadSection, *, own: "Reader", named: "Mapping[str, Reader]") -> "Reader | Cascade":
    """Return the network of the settings with `own` as the reader of `read.bundle`."""
    if not section.cascade:
        return own
    return Cascade(
        members=tuple(
            Member(
                name=str(row.bundle) or OWN,
                network=named[str(row.bundle)] if row.bundle else own,
                condition=condition_of(row),
            )
            for row in section.cascade
        )
    )


def condition_of(row: CascadeSection) -> Condition:
    """Return the condition of a step of the cascade."""
    return Condition(
        views=frozenset(View(view) for view in row.views),
        from_age_years=row.from_age_years,
        below_age_years=row.below_age_years,
        finding=row.finding,
        least_score=row.least_score,
    )


def require_known_findings(section: ReadSection, named: "Mapping[str, Reader]", own: "Reader") -> None:
    """Check that each finding of a condition is one of an earlier bundle.

    Raises
    ------
    BundleError
        If one is not.
    """
    from cxr_node.infer.bundle import BundleError

    known: dict[str, None] = {}
    for number, row in enumerate(section.cascade):
        if row.finding and row.finding not in known:
            raise BundleError(
                f"read.cascade.{number}.finding: no earlier bundle of the cascade offers {row.finding!r}; "
                f"they offer {', '.join(known)}"
            )
        reader = named[str(row.bundle)] if row.bundle else own
        known.update(dict.fromkeys(reader.adapter.finding_keys))


def _refuse(first: "Reader", folder: Path | None) -> "Reader":
    """Return the first reader for the settings; refuse an activated bundle, which would never read."""
    from cxr_node.infer.bundle import BundleError

    if folder is not None:
        raise BundleError(
            "every bundle of the cascade on this host is named in its settings; "
            "leave `bundle` of one entry of [[read.cascade]] empty for the activated bundle"
        )
    return first
