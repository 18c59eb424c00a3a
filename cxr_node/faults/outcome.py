"""Results of the fault suite: of one group on one database, and of one check of the ledger."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """One group on one database.

    `films` got Success. Of these, `confirmed` have one report in the PACS and are delivered by the ledger, `lost` have
    none, `duplicated` have several SOP Instance UIDs. `problems` are other broken promises, `notes` information.
    `skipped` is the reason why a group did not run.
    """

    group: str
    database: str
    faults: int = 0
    films: int = 0
    confirmed: int = 0
    lost: int = 0
    duplicated: int = 0
    seconds: float = 0.0
    problems: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    skipped: str = ""

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        return not (self.lost or self.duplicated or self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        return asdict(self) | {"good": self.is_good}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerResult:
    """Films that got Success, compared with the ledger, the archive and the PACS."""

    films: int
    confirmed: int
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    problems: tuple[str, ...] = field(default=())


def total(results: Iterable[LedgerResult]) -> LedgerResult:
    """Return several results as one."""
    parts = list(results)
    return LedgerResult(
        films=sum(part.films for part in parts),
        confirmed=sum(part.confirmed for part in parts),
        lost=tuple(uid for part in parts for uid in part.lost),
        duplicated=tuple(uid for part in parts for uid in part.duplicated),
        problems=tuple(problem for part in parts for problem in part.problems),
    )
