"""Updates of patients by HL7 messages: whose films are meant, and which values are right from now on."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentifier:
    """A Patient ID (0010,0020) with its issuer (0010,0021), an assigning authority in HL7; empty where not stated."""

    patient_id: str
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientUpdate:
    """Values of a patient that are right from now on.

    Parameters
    ----------
    meant
        Identifiers of the films that the update concerns: of a merge, those of the patient that ceases to exist.
    identifiers
        Identifiers that they get; empty if they keep their own.
    name, birth_date, sex
        As DICOM has them (PN, DA, CS). None is not stated, and the film's own value stays; an empty text deletes it.
    """

    meant: tuple[PatientIdentifier, ...]
    identifiers: tuple[PatientIdentifier, ...] = ()
    name: str | None = None
    birth_date: str | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientMessage:
    """Updates of one message: its trigger event, such as A08, its Message Control ID, and its sender.

    `sender` is Sending Application and Facility, joined by a bar.
    """

    event: str
    control_id: str
    sender: str
    updates: tuple[PatientUpdate, ...]


class CannotUpdate(Exception):
    """A message cannot be applied, and nothing of it is; the sentence says why, without values of a patient."""


def updates_of(
    updates: Sequence[PatientUpdate], films: Mapping[int, PatientIdentifier], *, default_issuer: str
) -> dict[int, PatientUpdate]:
    """Return the update of each film concerned, by the number of the film, of `films` with their identifiers.

    Raises
    ------
    CannotUpdate
        As `meant_of`; also if what is right depends on the order of the updates: two that differ concern one film, or
        one of them concerns an identifier that another gives to a film.
    """
    of_films: dict[int, PatientUpdate] = {}
    for update in updates:
        meant = meant_of(update, films.values(), default_issuer=default_issuer)
        for film_id, identifier in films.items():
            if identifier in meant and of_films.setdefault(film_id, update) != update:
                raise CannotUpdate("two updates of the message concern the same film")
    _check_independent(set(of_films.values()), updates, default_issuer=default_issuer)
    return of_films


def _check_independent(
    applied: Iterable[PatientUpdate], updates: Sequence[PatientUpdate], *, default_issuer: str
) -> None:
    """Raise CannotUpdate if an update concerns an identifier that another one, which is applied, gives."""
    meaning: defaultdict[str, list[tuple[PatientUpdate, str]]] = defaultdict(list)
    for update in updates:
        for one in update.meant:
            meaning[one.patient_id].append((update, one.issuer or default_issuer))
    for update in applied:
        for new in update.identifiers:
            issuer = new.issuer or default_issuer
            others = [of_meant for other, of_meant in meaning[new.patient_id] if other != update]
            if any(not issuer or not of_meant or of_meant == issuer for of_meant in others):
                raise CannotUpdate("an update of the message concerns an identifier that another one gives")


def meant_of(
    update: PatientUpdate, films: Iterable[PatientIdentifier], *, default_issuer: str
) -> set[PatientIdentifier]:
    """Return which identifiers of `films`, kept films with one of the Patient IDs, the update concerns.

    An issuer that is not stated is `default_issuer`; if that is empty too, it contradicts no other.

    Raises
    ------
    CannotUpdate
        If films of several issuers have the Patient ID, and an issuer that is not stated decides which are meant; or
        the update means identifiers of several issuers, and a film with one of them states none.
    """
    candidates = list(films)
    concerned = {film for meant in update.meant for film in _of_one(meant, candidates, default_issuer)}
    has_several = len({meant.issuer for meant in update.meant}) > 1
    if has_several and not default_issuer and any(not film.issuer for film in concerned):
        raise CannotUpdate("it has identifiers of several issuers, and a film with one of them states no issuer")
    return concerned


def _of_one(
    meant: PatientIdentifier, films: Sequence[PatientIdentifier], default_issuer: str
) -> Iterable[PatientIdentifier]:
    of_id = {film: film.issuer or default_issuer for film in films if film.patient_id == meant.patient_id}
    issuer = meant.issuer or default_issuer
    stated = set(of_id.values()) - {""}
    is_open = len(stated) > 1 if not issuer else "" in of_id.values() and bool(stated - {issuer})
    if is_open:
        raise CannotUpdate("films of several issuers have this Patient ID, and it is not stated which is meant")
    return [film for film, of_film in of_id.items() if not issuer or not of_film or of_film == issuer]


def identifier_after(update: PatientUpdate, film: PatientIdentifier, *, default_issuer: str) -> PatientIdentifier:
    """Return the identifier of a film after an update; it states an issuer if the film did.

    Raises
    ------
    CannotUpdate
        If the update has several identifiers, and none of the film's issuer.
    """
    if not update.identifiers:
        return film
    issuer = (
        film.issuer
        or default_issuer
        or next((one.issuer for one in update.meant if one.patient_id == film.patient_id), "")
    )
    of_issuer = [one for one in update.identifiers if (one.issuer or default_issuer) == issuer]
    candidates = of_issuer or list(update.identifiers)
    if len({one.patient_id for one in candidates}) != 1:
        raise CannotUpdate("the message has several identifiers of the patient, and none of the film's issuer")
    new = candidates[0]
    return PatientIdentifier(patient_id=new.patient_id, issuer=(new.issuer or film.issuer) if film.issuer else "")
