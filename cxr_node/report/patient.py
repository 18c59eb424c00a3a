"""Patient of a film, compared by decoded values: no character set, padding or case makes two patients of one."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from pydicom.dataset import Dataset

PersonName = tuple[tuple[str, ...], ...]
"""Component groups of a Person Name, each with its components (PS3.5 section 6.2.1)."""

_COMPARED = (0, 1, 2, 4)
"""Family name, given name, middle name and suffix. A prefix is a title, which one person may have or not."""
_KANA = frozenset({"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Identifying values of a patient, normalized for comparison; an empty one is unknown."""

    patient_id: str
    issuer: str
    name: PersonName
    birth_date: str

    def known_values(self) -> int:
        """Return how many of the values are known."""
        return sum(bool(value) for value in (self.patient_id, self.issuer, any(map(any, self.name)), self.birth_date))


def patient_of(header: Dataset) -> Patient:
    """Return the patient of a safe header."""
    return Patient(
        patient_id=normalized(header.get("PatientID")),
        issuer=normalized(header.get("IssuerOfPatientID")),
        name=person_name(str(header.get("PatientName") or "")),
        birth_date=normalized(header.get("PatientBirthDate")),
    )


def contradict(one: Patient, other: Patient) -> bool:
    """Whether two films cannot be of one patient.

    A Patient ID with its issuer, known in both, decides. Otherwise a name or a birth date contradicts too. What is
    unknown in one contradicts nothing.
    """
    if _differ(one.patient_id, other.patient_id) or _differ(one.issuer, other.issuer):
        return True
    if one.patient_id and other.patient_id and one.issuer and other.issuer:
        return False
    return _differ(one.birth_date, other.birth_date) or names_contradict(one.name, other.name)


def names_contradict(one: PersonName, other: PersonName) -> bool:
    """Whether two names cannot be of one person.

    Groups are compared with those of the same script only: a name in Latin letters says nothing about one in kanji.
    """
    return any(
        not any(_groups_agree(group, others) for group in _in_script(one, script) for others in same_script)
        for script in _scripts(one)
        if (same_script := list(_in_script(other, script)))
    )


def person_name(text: str) -> PersonName:
    """Return a Person Name without padding, case and trailing delimiters (PS3.5 section 6.2.1)."""
    groups = [
        _without_trailing(tuple(normalized(component) for component in group.split("^"))) for group in text.split("=")
    ]
    while groups and not groups[-1]:
        groups.pop()
    return tuple(groups)


def normalized(value: object) -> str:
    """Return a value in one form of its characters, without padding, repeated blanks and case."""
    text = unicodedata.normalize("NFKC", str(value or "").replace("\0", " "))
    return unicodedata.normalize("NFKC", " ".join(text.split()).casefold())


def _without_trailing(components: tuple[str, ...]) -> tuple[str, ...]:
    known = [number for number, component in enumerate(components, start=1) if component]
    return components[: max(known, default=0)]


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _groups_agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    pairs = list(zip_longest(one, other, fillvalue=""))
    return not any(_differ(*pairs[number]) for number in _COMPARED if number < len(pairs))


def _scripts(name: PersonName) -> set[str]:
    return {_script(group) for group in name if group}


def _in_script(name: PersonName, script: str) -> Iterator[tuple[str, ...]]:
    return (group for group in name if group and _script(group) == script)


def _script(group: tuple[str, ...]) -> str:
    """Return the script of a component group; kanji with kana, as in given names, counts as kanji."""
    letters = (letter for component in group for letter in component if letter.isalpha())
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
    scripts = {"KANA" if script in _KANA else script for script in scripts}
    return "CJK" if "CJK" in scripts else min(scripts, default="")
