"""Groups of films: by day, by sender, or by equipment."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

UNKNOWN = "unknown"
"""Group of films whose header does not state it."""

T = TypeVar("T")


class GroupBy(StrEnum):
    """What films are grouped by."""

    DAY = "day"
    SENDER = "sender"
    MODALITY = "modality"
    MANUFACTURER = "manufacturer"
    MODEL = "model"
    STATION = "station"

    @property
    def column(self) -> str:
        """Column of the views."""
        return _COLUMNS[self]


_COLUMNS = {
    GroupBy.DAY: "received_day",
    GroupBy.SENDER: "calling_ae_title",
    GroupBy.MODALITY: "modality",
    GroupBy.MANUFACTURER: "manufacturer",
    GroupBy.MODEL: "manufacturer_model_name",
    GroupBy.STATION: "station_name",
}


def grouped(rows: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """Return rows by their group, the groups in alphabetical order."""
    groups: dict[str, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return dict(sorted(groups.items()))
