"""Films of one study by patient: one group, or one for each patient if films contradict each other."""

from collections.abc import Sequence
from dataclasses import replace

from cxr_node.domain.reasons import Reason
from cxr_node.report.patient import Patient, contradict, patient_of
from cxr_node.report.source import ReportedFilm
from cxr_node.report.study import numbered, with_safe_headers
from cxr_node.report.study_attributes import study_attributes

_CONTRADICTION = "films of this study name different patients; correct the patient or the study and send them again"


def by_patient(films: Sequence[ReportedFilm]) -> list[tuple[ReportedFilm, ...]]:
    """Return the films of a study in one group, or in one per patient if they contradict each other.

    Films of several patients are not analysed, with reason IDENTITY. Each film has the attributes of its group, so that
    every result of the group is filed under one patient. A film that is named by its row alone goes with one of the
    same patient key. In a study of several patients it is left out if there is none: its patient is unknown.
    """
    films = numbered(films)
    safe = with_safe_headers(films)
    with_header = [number for number, film in enumerate(safe) if not film.is_named_by_row]
    patients = _groups([(number, patient_of(safe[number].header)) for number in with_header])
    if len(patients) <= 1:
        return [_sharing(films, safe)] if films else []
    groups = []
    for numbers in patients:
        keys = {safe[number].reading.film.patient_key for number in numbers}
        members = [
            number
            for number, film in enumerate(safe)
            if number in numbers or (film.is_named_by_row and film.reading.film.patient_key in keys)
        ]
        refused = numbered([_refused(films[number]) for number in members])
        groups.append(_sharing(refused, [safe[number] for number in members]))
    return groups


def _sharing(films: Sequence[ReportedFilm], safe: Sequence[ReportedFilm]) -> tuple[ReportedFilm, ...]:
    headers = [film.header for film in safe if not film.is_named_by_row]
    shared = study_attributes(headers)
    return tuple(replace(film, shared=shared, safe=own.header) for film, own in zip(films, safe, strict=True))


def _refused(film: ReportedFilm) -> ReportedFilm:
    """Return a film without its findings, measurements and observations: they may be of another patient."""
    return replace(film, reading=film.reading.without_findings(Reason.IDENTITY, _CONTRADICTION), number=0)


def _groups(patients: Sequence[tuple[int, Patient]]) -> list[frozenset[int]]:
    """Return the numbers of films by patient; one group if no film contradicts another.

    Otherwise films of equal values are together. One of which less is known joins the only group that it does not
    contradict; if there are several, its patient is in doubt and it stays alone.
    """
    if not any(contradict(one, other) for _, one in patients for _, other in patients):
        return [frozenset(number for number, _ in patients)] if patients else []
    by_values: dict[Patient, set[int]] = {}
    for number, patient in patients:
        by_values.setdefault(patient, set()).add(number)
    groups: list[tuple[list[Patient], set[int]]] = []
    for patient in sorted(by_values, key=lambda one: (-one.known_values(), repr(one))):
        possible = [group for group in groups if not any(contradict(patient, member) for member in group[0])]
        if len(possible) == 1 and len(groups) > 1:
            possible[0][0].append(patient)
            possible[0][1].update(by_values[patient])
        else:
            groups.append(([patient], by_values[patient]))
    return [frozenset(numbers) for _, numbers in groups]
