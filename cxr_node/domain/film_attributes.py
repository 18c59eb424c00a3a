"""Attributes of a film that people look for and group by: its equipment, and identifiers of its study and patient."""

import unicodedata
from dataclasses import dataclass

SPECIFIC_CHARACTER_SET = 0x00080005
STUDY_DATE = 0x00080020
ACCESSION_NUMBER = 0x00080050
MODALITY = 0x00080060
MANUFACTURER = 0x00080070
STATION_NAME = 0x00081010
STUDY_DESCRIPTION = 0x00081030
MANUFACTURER_MODEL_NAME = 0x00081090
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
ISSUER_OF_PATIENT_ID = 0x00100021

TAGS = frozenset(
    {
        SPECIFIC_CHARACTER_SET,
        STUDY_DATE,
        ACCESSION_NUMBER,
        MODALITY,
        MANUFACTURER,
        STATION_NAME,
        STUDY_DESCRIPTION,
        MANUFACTURER_MODEL_NAME,
        PATIENT_NAME,
        PATIENT_ID,
        ISSUER_OF_PATIENT_ID,
    }
)
"""Elements that attributes are made of."""

ENCODED_BYTES = 1024
"""Bytes of an encoded value that are used: any valid one is shorter."""
TERM_CHARACTERS = 16
"""Longest code string (CS, PS3.5 table 6.2-1)."""
TEXT_CHARACTERS = 64
"""Longest long string (LO). Values of the shorter SH are cut there too, as modalities exceed its 16."""
NAME_CHARACTERS = 200
"""Longest Patient's Name that is kept; a valid one has three component groups of 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """Modality (0008,0060), Manufacturer (0008,0070), Manufacturer's Model Name (0008,1090), Station Name (0008,1010).

    Empty where the header has none.
    """

    modality: str = ""
    manufacturer: str = ""
    manufacturer_model_name: str = ""
    station_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmIdentifiers:
    """Identifiers of study and patient, empty where the header has none. `study_date` is as 2026-01-31."""

    accession_number: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    study_date: str = ""
    study_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmAttributes:
    """Equipment and identifiers of a film; None where identifiers are not kept."""

    equipment: Equipment
    identifiers: FilmIdentifiers | None = None


def cleaned(text: str, *, characters: int = TEXT_CHARACTERS) -> str:
    """Return a text in one form of its characters, without control characters and repeated blanks, cut.

    Searched text is put into the same form as stored values.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(character if character.isprintable() else " " for character in text)
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())[:characters].rstrip()
