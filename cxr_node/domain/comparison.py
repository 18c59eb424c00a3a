"""Comparison of a film with a prior film of the same patient: each measurement and score then and now."""

from dataclasses import dataclass
from enum import StrEnum

from cxr_node.domain.codes import Code
from cxr_node.domain.instance import Identity
from cxr_node.domain.reading import Laterality

RATIO_KEY = "CTR"
"""Key of the cardiothoracic ratio among the measurements."""


class Change(StrEnum):
    """Difference of a value from that of the prior film, held against the limit of its repeatability."""

    BEYOND = "beyond"
    WITHIN = "within"
    NOT_JUDGED = "not_judged"
    """No limit was measured for this value, or not for the model that it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedValue:
    """A measurement or score of a film, and that of the prior film.

    `key` is that of the measurement, or `score/` and the key of the finding. `limit` is the largest difference that
    repeated films of an unchanged patient show; None where none was measured. Scores are 0 to 100.
    """

    key: str
    code: Code
    unit: Code
    value: float
    prior_value: float
    change: Change
    limit: float | None = None
    site: Code | None = None
    laterality: Laterality | None = None

    @property
    def difference(self) -> float:
        """The value less that of the prior film."""
        return self.value - self.prior_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A film's comparison with `prior`, which was acquired on `prior_date` (as 2025-03-02).

    `prior_report` is the newest report on the prior film that is still valid, if there is one.
    """

    prior: Identity
    prior_date: str
    values: tuple[ComparedValue, ...]
    prior_report: Identity | None = None

    def of(self, key: str) -> ComparedValue | None:
        """Return the compared value of a key; None if it was not measured on both films."""
        return next((one for one in self.values if one.key == key), None)
