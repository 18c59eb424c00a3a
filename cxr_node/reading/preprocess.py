"""All of reading but the network: decode, judge, prepare; and then measure, and say it."""

from dataclasses import dataclass, replace

from cxr_node.archive.store import Archive
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Geometry, Radiograph
from cxr_node.domain.reading import Prediction, Reading
from cxr_node.domain.reasons import Note, Reason
from cxr_node.measure.film import Measured, measured
from cxr_node.measure.grid import MeasurementImage, reduce_for_measurement
from cxr_node.pixels import film as pixels
from cxr_node.pixels import suitability
from cxr_node.pixels.age import is_adult
from cxr_node.pixels.geometry import geometry as read_geometry
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.pixels.view_check import judge_appearance, with_view
from cxr_node.records.films import Film


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRules:
    """What a film must be to be read, and how much of it may be decoded."""

    gate: suitability.Rules
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """What is needed to look at films: where they are kept, what they must be, and where they are decoded.

    Without a `sandbox`, one is started for each compressed film.
    """

    archive: Archive
    rules: ReadRules
    sandbox: Sandbox | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreprocessedFilm:
    """A film that passed the gate, without its pixels: what is to be said of it once a model has spoken.

    `print` is what it is measured on; None where nothing is to be measured.
    """

    film: Film
    geometry: Geometry
    grayscale: str
    notes: tuple[Note, ...]
    is_adult: bool
    measurement_image: MeasurementImage | None


def preprocess(film: Film, desk: ReadContext, *, is_measured: bool) -> tuple[PreprocessedFilm, Radiograph] | Reading:
    """Decode a film and ask the gate; return the reading of one that is not to be read."""
    geometry: Geometry | None = None
    notes: tuple[Note, ...] = ()
    grayscale = ""
    rules = desk.rules
    try:
        dataset = pixels.parse(desk.archive.get(film.archive_key), limits=rules.limits)
        geometry = read_geometry(dataset)
        notes = _pass_gate(suitability.judge_header(dataset, rules.gate))
        radiograph = pixels.radiograph(dataset, limits=rules.limits, sandbox=desk.sandbox)
        grayscale, geometry = radiograph.grayscale, radiograph.geometry
        notes = (*notes, *radiograph.notes)
        notes = (*notes, *_pass_gate(suitability.judge_picture(radiograph, rules.gate)))
    except GiveUp as gave_up:
        return _unread(film, gave_up, geometry, grayscale, notes)
    seen = PreprocessedFilm(
        film=film,
        geometry=geometry,
        grayscale=grayscale,
        notes=notes,
        is_adult=is_adult(dataset),
        measurement_image=reduce_for_measurement(radiograph) if is_measured else None,
    )
    return seen, radiograph


def build_reading(seen: PreprocessedFilm, prediction: Prediction, rules: ReadRules) -> Reading:
    """Return the reading of a film from what the model says, unless it says that it cannot read such a film."""
    geometry, notes = seen.geometry, seen.notes
    if prediction.appearance is not None:
        try:
            notes = (*notes, *_pass_gate(judge_appearance(prediction.appearance, geometry)))
        except GiveUp as gave_up:
            return _unread(seen.film, gave_up, geometry, seen.grayscale, notes)
        geometry = with_view(geometry, prediction.appearance, rules.gate)
    taken = _measured(seen, geometry, prediction)
    return Reading(
        film=seen.film.identity,
        geometry=geometry,
        grayscale=seen.grayscale,
        prediction=prediction,
        measurements=taken.measurements,
        observations=taken.observations,
        notes=tuple(dict.fromkeys(notes)),
    )


def failed_reading(seen: PreprocessedFilm, gave_up: GiveUp) -> Reading:
    """Return the reading of a film that the model cannot read."""
    return _unread(seen.film, gave_up, seen.geometry, seen.grayscale, seen.notes)


def not_analysed(film: Film, reason: Reason, detail: str) -> Reading:
    """Return the reading of a film that could not even be tried."""
    return Reading(film=film.identity, geometry=None, grayscale="", prediction=None, not_analysed=reason, detail=detail)


def _measured(seen: PreprocessedFilm, geometry: Geometry, prediction: Prediction) -> Measured:
    """Measure what the model outlined; a model that outlines no anatomy leaves nothing to measure."""
    if seen.measurement_image is None or not prediction.structures:
        return Measured(measurements=(), observations=())
    film = replace(seen.measurement_image, geometry=geometry)
    return measured(film, prediction.structures, prediction.appearance, is_adult=seen.is_adult)


def _unread(film: Film, gave_up: GiveUp, geometry: Geometry | None, grayscale: str, notes: tuple[Note, ...]) -> Reading:
    return Reading(
        film=film.identity,
        geometry=geometry,
        grayscale=grayscale,
        prediction=None,
        notes=tuple(dict.fromkeys(notes)),
        not_analysed=gave_up.reason,
        detail=gave_up.detail,
    )


def _pass_gate(verdict: suitability.Verdict) -> tuple[Note, ...]:
    if verdict.refused is not None:
        raise GiveUp(verdict.refused, verdict.detail)
    return verdict.notes
