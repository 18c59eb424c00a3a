"""Which films' results go to a destination: declared conditions, held against facts, with the reason in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cxr_node.domain.radiograph import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What conditions are held against: where a film came from, and what was said of it.

    `findings` are the keys of those present or undetermined; None where the film has not been read yet.
    """

    calling_ae_title: str
    station_name: str
    view: View
    findings: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a film must be for its study's results to go somewhere. An empty tuple asks for nothing.

    A film meets it if it meets every part that asks for something; a study does if one of its films does.
    """

    calling_ae_titles: tuple[str, ...] = field(default=())
    station_names: tuple[str, ...] = field(default=())
    views: tuple[View, ...] = field(default=())
    findings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether a condition is met; None where that depends on the reading. `why` says it in words."""

    met: bool | None
    why: str


def study_answer(condition: Condition, films: Sequence[Facts]) -> Answer:
    """Return the first film's answer that is yes, else one that is open, else the first no."""
    answers = [film_answer(condition, film) for film in films]
    for met in (True, None):
        for answer in answers:
            if answer.met is met:
                return answer
    return answers[0] if answers else Answer(met=False, why="the study has no films")


def film_answer(condition: Condition, film: Facts) -> Answer:
    """Return whether a film meets the condition, and why."""
    parts = (
        _listed("calling AE title", film.calling_ae_title, condition.calling_ae_titles),
        _listed("station", film.station_name, condition.station_names),
        _listed("view", film.view, condition.views),
        _finding(condition.findings, film.findings),
    )
    asked = [answer for answer in parts if answer is not None]
    refused = [answer for answer in asked if answer.met is False]
    if refused:
        return refused[0]
    unknown = [answer for answer in asked if answer.met is None]
    why = "; ".join(answer.why for answer in asked) or "no condition is set"
    return Answer(met=None if unknown else True, why=why)


def _listed(name: str, value: str, wanted: Sequence[str]) -> Answer | None:
    if not wanted:
        return None
    return Answer(
        met=value in wanted,
        why=f"{name} {value or '(none)'} is {'' if value in wanted else 'not '}one of {', '.join(wanted)}",
    )


def _finding(wanted: Sequence[str], found: frozenset[str] | None) -> Answer | None:
    if not wanted:
        return None
    if found is None:
        return Answer(met=None, why=f"depends on the reading: one of {', '.join(wanted)}")
    seen = sorted(found.intersection(wanted))
    return Answer(met=bool(seen), why=f"found {', '.join(seen)}" if seen else f"found none of {', '.join(wanted)}")
