"""What a group of faults came to."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One group on one database.

    `films` got Success; of these `confirmed` are in the PACS once and delivered by the ledger, `lost` are not there,
    `doubled` are there under more than one SOP Instance UID. `problems` are other promises that were broken; `notes`
    say what else was seen. A group that could not run says why in `skipped`.
    """

    group: str
    database: str
    faults: int = 0
    films: int = 0
    confirmed: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0
    problems: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    skipped: str = ""

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        return not (self.lost or self.doubled or self.problems)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self) | {"good": self.is_good}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCheck:
    """What was promised, held against what arrived."""

    films: int
    confirmed: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    problems: tuple[str, ...] = field(default=())


def total(balances: Iterable[LedgerCheck]) -> LedgerCheck:
    """Return several balances as one."""
    each = list(balances)
    return LedgerCheck(
        films=sum(one.films for one in each),
        confirmed=sum(one.confirmed for one in each),
        lost=tuple(uid for one in each for uid in one.lost),
        doubled=tuple(uid for one in each for uid in one.doubled),
        problems=tuple(problem for one in each for problem in one.problems),
    )
