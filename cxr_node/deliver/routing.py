"""Routing: conditions on the films whose results a destination receives, with the reason of each decision."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from cxr_node.domain.film_geometry import View
from cxr_node.domain.section import FindingKey, Section, Title


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmFacts:
    """Attributes of a film that conditions are evaluated on.

    `findings` are the keys of those present or undetermined; None where the film has not been read yet.
    """

    calling_ae_title: str
    station_name: str
    view: View
    findings: frozenset[str] | None


class Condition(Section):
    """Condition on films: a film meets every list that is not empty; of a study, one film does."""

    calling_ae_titles: tuple[Title, ...] = Field((), description="AE titles of senders, of which one must match.")
    station_names: tuple[str, ...] = Field((), description="Station Names (0008,1010), of which one must match.")
    views: tuple[View, ...] = Field((), description="Views, of which one must match.")
    findings: tuple[FindingKey, ...] = Field((), description="Keys of findings, one of them present or undetermined.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a condition is met, and the reason; None where that depends on the reading."""

    met: bool | None
    reason: str


def study_decision(condition: Condition, films: Sequence[FilmFacts]) -> Decision:
    """Return the first decision of a film that is met, else the first that is open, else the first."""
    decisions = [film_decision(condition, film) for film in films]
    for met in (True, None):
        for decision in decisions:
            if decision.met is met:
                return decision
    return decisions[0] if decisions else Decision(met=False, reason="the study has no films")


def film_decision(condition: Condition, film: FilmFacts) -> Decision:
    """Return whether a film meets the condition, and why."""
    parts = (
        _listed("calling AE title", film.calling_ae_title, condition.calling_ae_titles),
        _listed("station", film.station_name, condition.station_names),
        _listed("view", film.view, condition.views),
        _finding(condition.findings, film.findings),
    )
    decisions = [decision for decision in parts if decision is not None]
    for decision in decisions:
        if decision.met is False:
            return decision
    is_open = any(decision.met is None for decision in decisions)
    reason = "; ".join(decision.reason for decision in decisions) or "no condition is set"
    return Decision(met=None if is_open else True, reason=reason)


def _listed(name: str, value: str, wanted: Sequence[str]) -> Decision | None:
    if not wanted:
        return None
    return Decision(
        met=value in wanted,
        reason=f"{name} {value or '(none)'} is {'' if value in wanted else 'not '}one of {', '.join(wanted)}",
    )


def _finding(wanted: Sequence[str], findings: frozenset[str] | None) -> Decision | None:
    if not wanted:
        return None
    if findings is None:
        return Decision(met=None, reason=f"depends on the reading: one of {', '.join(wanted)}")
    matching = sorted(findings.intersection(wanted))
    reason = f"found {', '.join(matching)}" if matching else f"found none of {', '.join(wanted)}"
    return Decision(met=bool(matching), reason=reason)
