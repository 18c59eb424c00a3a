"""Coded concept: value, scheme and meaning."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded entry: Code Value, Coding Scheme Designator and Code Meaning (PS3.3 section 8)."""

    value: str
    scheme_designator: str
    meaning: str
