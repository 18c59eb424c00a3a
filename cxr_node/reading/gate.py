"""Gate verdicts as notes or GiveUp, and readings of films that are not analysed."""

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Geometry
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Note, Reason
from cxr_node.pixels import suitability
from cxr_node.records.films import Film


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
