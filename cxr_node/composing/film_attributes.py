"""Attributes of a film from encoded values of its header, for display, grouping and exact search.

Results copy the header itself. No value is an error: one that cannot be decoded is shown by its bytes, control
characters become blanks, and what is longer than a column is cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cxr_node.domain import film_attributes as tags
from cxr_node.domain.film_attributes import (
    ENCODED_BYTES,
    NAME_CHARACTERS,
    TERM_CHARACTERS,
    TEXT_CHARACTERS,
    Equipment,
    FilmAttributes,
    FilmIdentifiers,
    cleaned,
)
from cxr_node.domain.identifiers import AeTitle
from cxr_node.report.header.character_sets import decode, encodings_of

_ESCAPE = b"\x1b"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRules:
    """Which identifiers are kept, and the actual Specific Character Set by calling AE title; "" for all others."""

    keeps_identifiers: bool = True
    keeps_names: bool = False
    character_sets: Mapping[str, Sequence[str]]

    def attributes(self, values: Mapping[int, bytes], calling_ae_title: AeTitle) -> FilmAttributes:
        """Return the attributes of a film of this sender, from encoded values of `TAGS`."""
        actual = self.character_sets.get(calling_ae_title, self.character_sets.get(""))
        reader = _Reader(values, character_sets=actual)
        if not self.keeps_identifiers:
            return FilmAttributes(equipment=reader.equipment())
        identifiers = reader.identifiers()
        if not self.keeps_names:
            identifiers = replace(identifiers, patient_name="")
        return FilmAttributes(equipment=reader.equipment(), identifiers=identifiers)


class _Reader:
    """Decodes values by the character set of their film."""

    def __init__(self, values: Mapping[int, bytes], *, character_sets: Sequence[str] | None) -> None:
        self._values = values
        if character_sets is None:
            stated = values.get(tags.SPECIFIC_CHARACTER_SET, b"").decode("latin-1").strip(" \0")
            character_sets = stated.split("\\") if stated else ()
        self._is_declared = bool(character_sets)
        self._encodings = encodings_of(character_sets)

    def equipment(self) -> Equipment:
        return Equipment(
            modality=self._text(tags.MODALITY, characters=TERM_CHARACTERS).upper(),
            manufacturer=self._text(tags.MANUFACTURER),
            manufacturer_model_name=self._text(tags.MANUFACTURER_MODEL_NAME),
            station_name=self._text(tags.STATION_NAME),
        )

    def identifiers(self) -> FilmIdentifiers:
        return FilmIdentifiers(
            accession_number=self._text(tags.ACCESSION_NUMBER),
            patient_id=self._text(tags.PATIENT_ID),
            issuer_of_patient_id=self._text(tags.ISSUER_OF_PATIENT_ID),
            patient_name=self._text(tags.PATIENT_NAME, characters=NAME_CHARACTERS),
            study_date=_date(self._text(tags.STUDY_DATE)),
            study_description=self._text(tags.STUDY_DESCRIPTION),
        )

    def _text(self, tag: int, *, characters: int = TEXT_CHARACTERS) -> str:
        return cleaned(self._decoded(tag), characters=characters)

    def _decoded(self, tag: int) -> str:
        value = self._values.get(tag, b"")
        if value.isascii() and _ESCAPE not in value:
            return value.decode("ascii")
        if len(value) >= ENCODED_BYTES:  # perhaps cut within a character
            return value.decode(self._encodings[0], errors="ignore")
        return decode(value, self._encodings, is_person_name=tag == tags.PATIENT_NAME, is_declared=self._is_declared)


def _date(text: str) -> str:
    """Return a date (DA) as 2026-01-31, also of the form 2026.01.31 of ACR-NEMA; empty if it is none."""
    digits = text.replace(".", "").replace("-", "")
    try:
        return date.fromisoformat(digits).isoformat() if len(digits) == 8 and digits.isdigit() else ""
    except ValueError:
        return ""
