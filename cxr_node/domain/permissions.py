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
    """Permissions of a user of the page."""

    role: PageRole = PageRole.VIEWER
    sees_films: bool = False

    def includes(self, other: Self) -> bool:
        """Whether every permission of `other` is among these."""
        is_role_included = self.role is PageRole.OPERATOR or other.role is PageRole.VIEWER
        return is_role_included and self.sees_films >= other.sees_films

    def __str__(self) -> str:
        """Return them in words."""
        return f"{self.role}, {'sees films' if self.sees_films else 'sees no films'}"
