"""Permissions at the web page: role, and what is shown."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class PageRole(StrEnum):
    """What a user of the page may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    """May also change the node and its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Permissions of a user of the page, or of a program; identifiers are shown only with films.

    Identifiers are accession numbers, Patient IDs and study dates, and patients' names where they are kept.
    """

    role: PageRole = PageRole.VIEWER
    sees_films: bool = False
    sees_identifiers: bool = False

    def __post_init__(self) -> None:
        if not self.sees_films:
            object.__setattr__(self, "sees_identifiers", False)

    def includes(self, other: Self) -> bool:
        """Whether every permission of `other` is among these."""
        is_role_included = self.role is PageRole.OPERATOR or other.role is PageRole.VIEWER
        are_shown = self.sees_films >= other.sees_films and self.sees_identifiers >= other.sees_identifiers
        return is_role_included and are_shown

    def __str__(self) -> str:
        """Return them in words."""
        identifiers = " and identifiers" if self.sees_identifiers else ""
        return f"{self.role}, {f'sees films{identifiers}' if self.sees_films else 'sees no films'}"
