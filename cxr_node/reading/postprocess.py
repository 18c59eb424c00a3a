"""Postprocessing of one film: decode the network's outputs, check the view, measure.

All of it on the film as it hangs; the coordinates of the reading are turned back to the film's own pixels.
"""

from dataclasses import replace

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.hanging import hang_geometry, states_sides, turn_back
from cxr_node.domain.reading import Prediction, Reading
from cxr_node.domain.reasons import Note
from cxr_node.measure.film import FilmMeasurements, measure_film
from cxr_node.measure.sides import named_by_position, without_sides
from cxr_node.pixels.view_check import judge_appearance, with_view
from cxr_node.reading.context import ReadContext, ReadRules
from cxr_node.reading.merge import with_measured
from cxr_node.reading.network import FilmOutputs, ModelAdapter
from cxr_node.reading.preprocess import PreprocessedFilm, not_analysed, pass_gate


def postprocess(
    context: ReadContext, film_and_outputs: tuple[PreprocessedFilm, FilmOutputs], *, adapter: ModelAdapter
) -> Reading:
    """Return the reading of a film from the network's outputs for it; raise GiveUp if these are invalid."""
    film, outputs = film_and_outputs
    prediction = adapter.decode_outputs(hang_geometry(film.geometry), outputs)
    return build_reading(film, prediction, context.rules, adapter=adapter)


def build_reading(
    film: PreprocessedFilm, prediction: Prediction, rules: ReadRules, *, adapter: ModelAdapter
) -> Reading:
    """Return the reading of a film from the prediction for the film as it hangs.

    If its appearance is out of range, it is one not analysed. Findings that the model derives from measurements follow
    those of its network. Sides are those of the header: without them nothing is called right or left.
    """
    geometry, notes = film.geometry, film.notes
    if prediction.appearance is not None:
        try:
            verdict = judge_appearance(
                prediction.appearance,
                geometry,
                rules.gate,
                states_frontal_chest=film.states_frontal_chest,
                upright_after=film.upright_after,
            )
            notes = (*notes, *pass_gate(verdict))
        except GiveUp as gave_up:
            return failed_reading(film, gave_up)
        geometry = with_view(geometry, prediction.appearance, rules.gate)
    if prediction.failed_steps:
        notes = (*notes, Note.MODEL_FAILED)
    if states_sides(geometry):
        prediction = replace(prediction, structures=named_by_position(prediction.structures))
    else:
        prediction = replace(prediction, points=tuple(replace(point, laterality=None) for point in prediction.points))
    if not rules.keep_embeddings:
        prediction = replace(prediction, embeddings=())
    results = _measure(film, hang_geometry(geometry), prediction)
    by_measurement = adapter.findings_by_measurement(results.measurements, geometry.view)
    measurements, observations = results.measurements, results.observations
    if not states_sides(geometry):
        measurements, observations = without_sides(measurements, observations)
    turn = turn_back(geometry)
    return Reading(
        film=film.film.identity,
        geometry=geometry,
        grayscale=film.grayscale,
        prediction=turn.prediction(with_measured(prediction, by_measurement)),
        measurements=turn.measurements(measurements),
        observations=turn.observations(observations),
        notes=tuple(dict.fromkeys(notes)),
    )


def failed_reading(film: PreprocessedFilm, gave_up: GiveUp) -> Reading:
    """Return the reading of a film that passed the gate and that the model cannot read."""
    return not_analysed(
        film.film, gave_up.reason, gave_up.detail, geometry=film.geometry, grayscale=film.grayscale, notes=film.notes
    )


def _measure(film: PreprocessedFilm, geometry: Geometry, prediction: Prediction) -> FilmMeasurements:
    """Measure the outlined structures; without any, there are no measurements."""
    if film.measurement_image is None or not prediction.structures:
        return FilmMeasurements(measurements=(), observations=())
    image = replace(film.measurement_image, geometry=geometry)
    return measure_film(image, prediction.structures, prediction.appearance, is_adult=film.is_adult)
