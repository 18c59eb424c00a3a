"""Rules of notifications: which findings of a study a rule is about, and what it states of them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from cxr_node.domain.reading import Finding, Presence, Reading
from cxr_node.domain.stated_numbers import stated_score


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRule:
    """A study meets it if one of its films has one of `findings` present, with at least `minimum_score`, 0 to 100.

    Without `findings` every finding counts.
    """

    name: str
    findings: frozenset[str]
    minimum_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedFinding:
    """A finding as a notification states it; score and threshold as in results, 0 to 100 or ratios."""

    key: str
    name: str
    score: float
    threshold: float

    def as_json(self) -> dict[str, object]:
        """Return values that JSON can hold."""
        return asdict(self)


def notified_findings(rule: NotificationRule, readings: Iterable[Reading]) -> tuple[NotifiedFinding, ...]:
    """Return the findings by which the films of a study meet a rule, each once with its highest score."""
    highest: dict[str, Finding] = {}
    for reading in readings:
        for finding in reading.prediction.findings if reading.prediction else ():
            if _meets(rule, finding) and (finding.key not in highest or finding.score > highest[finding.key].score):
                highest[finding.key] = finding
    return tuple(_notified(finding) for _, finding in sorted(highest.items()))


def _meets(rule: NotificationRule, finding: Finding) -> bool:
    is_meant = not rule.findings or finding.key in rule.findings
    return is_meant and finding.presence is Presence.PRESENT and finding.score * 100 >= rule.minimum_score


def _notified(finding: Finding) -> NotifiedFinding:
    stated = stated_score(finding)
    name = finding.code.meaning
    return NotifiedFinding(key=finding.key, name=name, score=stated.score, threshold=stated.threshold)
