"""Preprocessing of one film: decode, pass the gate, turn it as it hangs, prepare the network's input."""

from dataclasses import dataclass

from cxr_node.archive.integrity import read_intact
from cxr_node.archive.store import is_film_key
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film import Film
from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.geometry import Orientation
from cxr_node.domain.hanging import hang, orientation_of
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Note, Reason
from cxr_node.measure.grid import MeasurementImage, reduce_for_measurement
from cxr_node.pixels import film as pixels
from cxr_node.pixels import suitability
from cxr_node.pixels.age import is_adult
from cxr_node.pixels.geometry import geometry as read_geometry
from cxr_node.pixels.parsing import parse
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import ModelAdapter, Prepared
from cxr_node.report.pictures.reduced import reduce_film


def pass_gate(verdict: suitability.Verdict) -> tuple[Note, ...]:
    """Return the notes of a verdict; raise GiveUp if it refuses the film."""
    if verdict.refused is not None:
        raise GiveUp(verdict.refused, verdict.detail)
    return verdict.notes


def not_analysed(
    film: Film,
    reason: Reason,
    detail: str,
    *,
    geometry: Geometry | None = None,
    grayscale: str = "",
    notes: tuple[Note, ...] = (),
) -> Reading:
    """Return a reading without a prediction, with the reason."""
    return Reading(
        film=film.identity,
        geometry=geometry,
        grayscale=grayscale,
        prediction=None,
        notes=tuple(dict.fromkeys(notes)),
        not_analysed=reason,
        detail=detail,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreprocessedFilm:
    """A film that passed the gate, without its pixels.

    `geometry` is the film's own. `measurement_image` shows the film as it hangs; None where nothing is to be measured.
    `upright_after` clockwise quarter turns the network takes the film for a chest film (`turned.find_turned`).
    """

    film: Film
    geometry: Geometry
    grayscale: str
    notes: tuple[Note, ...]
    is_adult: bool
    states_frontal_chest: bool
    measurement_image: MeasurementImage | None
    upright_after: int = 0


def preprocess(
    context: ReadContext, film: Film, *, adapter: ModelAdapter
) -> tuple[PreprocessedFilm, Prepared] | Reading:
    """Return a film and the network's input for it, or the reading of a film that the gate refuses."""
    geometry: Geometry | None = None
    notes: tuple[Note, ...] = ()
    grayscale = ""
    rules = context.rules
    try:
        dataset = parse(read_intact(context.archive, film), limits=rules.limits)
        geometry = read_geometry(dataset)
        notes = pass_gate(suitability.judge_header(dataset, rules.gate))
        radiograph = pixels.radiograph(dataset, limits=rules.limits, sandbox=context.sandbox)
        grayscale, geometry = radiograph.grayscale, radiograph.geometry
        notes = (*notes, *radiograph.notes)
        notes = (*notes, *pass_gate(suitability.judge_picture(radiograph, rules.gate)))
        hung = hang(radiograph)
        prepared = adapter.preprocess(hung)
    except GiveUp as gave_up:
        return not_analysed(film, gave_up.reason, gave_up.detail, geometry=geometry, grayscale=grayscale, notes=notes)
    if context.reduced_films is not None and is_film_key(film.archive_key):  # no fetched film, which has no results
        context.reduced_films.put(film.digest, reduce_film(hung))
    if orientation_of(geometry) != Orientation():
        notes = (*notes, Note.ROTATED)
    preprocessed = PreprocessedFilm(
        film=film,
        geometry=geometry,
        grayscale=grayscale,
        notes=notes,
        is_adult=is_adult(dataset),
        states_frontal_chest=suitability.states_frontal_chest(dataset, rules.gate),
        measurement_image=reduce_for_measurement(hung) if adapter.outlines_anatomy else None,
    )
    return preprocessed, prepared
