"""Input of results: films with their readings, the observing node, earlier results, and the request to compose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from importlib.metadata import version

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.domain.comparison import Comparison
from cxr_node.domain.identifiers import Uid, derive_uid
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.reading import Reading
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.report.header.elements import verbatim
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportedFilm:
    """One film of the study: its header as received (pixels may be missing) and its reading.

    `character_sets` overrides Specific Character Set, for films that declare none or a wrong one. A film
    `is_named_by_row` if its header could not be read: `header` then has the UIDs of its row and nothing else, and
    patient and study are copied from another film.

    `added_after` is the number of the study's results that were composed before the film was received, and `number` its
    ordinal in the study, by `study.numbered`; 0 for the only film.
    `shared` has the Patient and Study attributes of the whole study (`grouping.by_patient`),
    `correction` the digest of a corrected copy, which makes its results new ones. `comparison` is with a prior film of
    the patient, if there is one; it `awaits_prior` if there is none yet, and another archive was asked. `safe` is the
    safe header, made once for all results (`grouping.by_patient`).
    """

    header: Dataset
    reading: Reading
    character_sets: tuple[str, ...] | None = None
    is_named_by_row: bool = False
    added_after: int = 0
    number: int = 0
    shared: Dataset | None = None
    correction: str = ""
    comparison: Comparison | None = None
    awaits_prior: bool = False
    safe: Dataset | None = None


def header_of(film: Identity) -> Dataset:
    """Return the header of a film that is known by its row alone: its UIDs."""
    header = Dataset()
    header.SOPClassUID = film.sop_class_uid
    header.add(verbatim("SOPInstanceUID", film.sop_instance_uid))
    header.add(verbatim("StudyInstanceUID", film.study_instance_uid))
    header.add(verbatim("SeriesInstanceUID", film.series_instance_uid))
    return header


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """The observing device: this node, as results name it.

    Name and serial number together make the device's UID, so two nodes of one site need two names.
    `time_zone` is that of Content Time where the source names none; see `header`.
    """

    name: str = "CXRNODE"
    serial_number: str = "1"
    manufacturer: str = "cxr-node developers"
    model_name: str = "cxr-node"
    software_version: str = field(default_factory=lambda: version("cxr-node"))
    first_series_number: int = 9001
    time_zone: tzinfo = UTC
    language: Language = ENGLISH

    @property
    def uid(self) -> Uid:
        """The Device Observer UID."""
        return derive_uid("device", self.name, self.serial_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousReport:
    """An earlier result of the same study and kind; a new report names the newest as its predecessor.

    `composed_at` is the `now` of its request.
    """

    sop_class_uid: Uid
    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
    composed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferredResult:
    """Result of the same run that a report refers to: `name` is its purpose, `type_name` that of its `ResultType`."""

    name: Code
    type_name: str
    is_image: bool
    instance: Instance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComposeRequest:
    """The study's films with their readings, and all else that a result is composed from.

    Parameters
    ----------
    load_film
        Returns a film that is to be painted, reduced; None if it cannot be decoded any more.
    now
        Aware.
    earlier
        The study's results of the same kind, oldest first.
    replaced
        Results of the same kind, of another study from which films were moved to this one, oldest first.
    results
        Results of the same run that a report refers to, those that earlier runs made too.
    """

    films: Sequence[ReportedFilm]
    load_film: Callable[[ReportedFilm], ReducedFilm | None]
    observer: Observer
    now: datetime
    earlier: Sequence[PreviousReport] = ()
    replaced: Sequence[PreviousReport] = ()
    results: Sequence[ReferredResult] = ()

    def is_new(self, result: Instance) -> bool:
        """Whether a result is not among the earlier ones."""
        return all(result.identity.sop_instance_uid != earlier.sop_instance_uid for earlier in self.earlier)
