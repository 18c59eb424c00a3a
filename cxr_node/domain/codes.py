"""Coded concept: value, scheme and meaning."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded entry: Code Value, Coding Scheme Designator and Code Meaning (PS3.3 section 8)."""

    value: str
    scheme_designator: str
    meaning: str


def dcm(value: str, meaning: str) -> Code:
    """Return a code of DICOM (PS3.16 annex D)."""
    return Code(value=value, scheme_designator="DCM", meaning=meaning)


def sct(value: str, meaning: str) -> Code:
    """Return a code of SNOMED CT."""
    return Code(value=value, scheme_designator="SCT", meaning=meaning)


def ucum(value: str, meaning: str) -> Code:
    """Return a unit of UCUM."""
    return Code(value=value, scheme_designator="UCUM", meaning=meaning)
