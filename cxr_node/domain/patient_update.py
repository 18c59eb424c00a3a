"""Updates of patients by HL7 messages: whose films are meant, and which values are right from now on."""

from collections.abc import Iterable, Sequence
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


def meant_of(
    update: PatientUpdate, films: Iterable[PatientIdentifier], *, default_issuer: str
) -> set[PatientIdentifier]:
    """Return which identifiers of `films`, kept films with one of the Patient IDs, the update concerns.

    An issuer that is not stated is `default_issuer`; if that is empty too, it contradicts no other.

    Raises
    ------
    CannotUpdate
        If films of several issuers have the Patient ID, and an issuer that is not stated decides which are meant.
    """
    candidates = list(films)
    return {film for meant in update.meant for film in _of_one(meant, candidates, default_issuer)}


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
