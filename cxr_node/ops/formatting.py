"""Formatting of times and findings for people, on the terminal and on pages."""

from datetime import datetime

from cxr_node.domain import concepts
from cxr_node.domain.reading import Presence

_UNITS_S = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))


def age(at: datetime | None, now: datetime) -> str:
    """Return how long ago a time is, such as 3 h; in the largest unit of which there are two; empty for None."""
    if at is None:
        return ""
    seconds = max(0.0, (now - at).total_seconds())
    for unit, length_s in _UNITS_S:
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def finding_words(meaning: str, laterality: str | None, presence: str) -> str:
    """Return a finding in words: its name, its side, and whether it is undetermined."""
    side = f", {laterality}" if laterality else ""
    doubt = " undetermined" if presence == Presence.UNDETERMINED else ""
    return f"{meaning.lower()}{side}{doubt}"


def score_words(key: str, score: float, operating_point: float) -> str:
    """Return a score beside its threshold: 0 to 100, a ratio with two digits."""
    if key == concepts.CARDIOMEGALY_BY_RATIO:
        return f"{score:.2f} / {operating_point:.2f}"
    return f"{score * 100:.0f} / {operating_point * 100:.0f}"
