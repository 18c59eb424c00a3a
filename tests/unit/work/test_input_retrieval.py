"""Retrieval of the films of steps: which sources are asked, when again, and what a step states of films that lack."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from cxr_node.domain.errors import RejectObject, RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.prior_search import FilmNotSent, SearchFailed
from cxr_node.domain.procedure_step import RetrievalPlace, StepInput
from cxr_node.work.periodic.input_retrieval import InputRetrieval
from tests.support.queue import NOON

ARCHIVE, OTHER = RetrievalPlace(ae_title=AeTitle("ARCHIVE")), RetrievalPlace(url="https://web.example.org/studies/1")


@dataclass(slots=True)
class Source:
    """A source at one place, which fails by film."""

    name: str
    place: RetrievalPlace = ARCHIVE
    failures: dict[str, Exception] = field(default_factory=dict)
    requests: list[tuple[str, float]] = field(default_factory=list)

    def is_at(self, place: RetrievalPlace) -> bool:
        return place == self.place

    def fetch(self, film: StepInput, *, until: float) -> None:
        self.requests.append((film.sop_instance_uid, until))
        if film.sop_instance_uid in self.failures:
            raise self.failures[film.sop_instance_uid]


@dataclass(slots=True)
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


def film(number: int, *places: RetrievalPlace, series: str = "1.2.1") -> StepInput:
    return StepInput(
        study_instance_uid="1.2",
        series_instance_uid=series,
        sop_class_uid=Uid("1.2.840.10008.5.1.4.1.1.1"),
        sop_instance_uid=Uid(f"1.2.1.{number}"),
        places=places,
    )


def retrieval(*sources: Source, clock: Clock | None = None) -> InputRetrieval:
    return InputRetrieval(sources=lambda: sources, clock=clock or Clock(), timeout_s=30, timer=lambda: 100.0)


def test_a_film_is_retrieved_from_the_source_that_the_step_names() -> None:
    archive, web = Source("archive"), Source("web", OTHER)
    assert retrieval(archive, web).retrieve([film(1, OTHER), film(2, ARCHIVE)]) == ""
    assert (archive.requests, web.requests) == ([("1.2.1.2", 130.0)], [("1.2.1.1", 130.0)])


def test_the_next_source_is_asked_if_one_has_not_sent_the_film() -> None:
    first, second = Source("first", failures={"1.2.1.1": FilmNotSent("no")}), Source("second", OTHER)
    assert retrieval(first, second).retrieve([film(1, ARCHIVE, OTHER)]) == ""
    assert len(second.requests) == 1


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        (film(1, OTHER), "the step names no source of the settings, but https://web.example.org"),
        (film(1), "the step names no source of the settings, but none at all"),
        (film(1, ARCHIVE, series=""), "the step does not state study and series of a film"),
    ],
)
def test_nothing_but_sources_of_the_settings_is_asked(wanted: StepInput, detail: str) -> None:
    archive = Source("archive")
    assert retrieval(archive).retrieve([wanted]) == detail
    assert archive.requests == []


def test_without_sources_there_is_no_reason() -> None:
    assert retrieval().retrieve([film(1, ARCHIVE)]) == ""


@pytest.mark.parametrize("error", [SearchFailed("away"), RetryLater("the disk is full")])
def test_a_source_without_an_answer_is_not_asked_for_a_minute(error: RetryLater) -> None:
    """Neither for other films: one time-out a minute holds up the other steps."""
    clock, archive = Clock(), Source("archive", failures={"1.2.1.1": error})
    films = retrieval(archive, clock=clock)

    assert films.retrieve([film(1, ARCHIVE), film(2, ARCHIVE)]) == f"archive: {error}"
    clock.now += timedelta(seconds=59)
    assert films.retrieve([film(2, ARCHIVE)]) == f"archive: {error}"
    assert len(archive.requests) == 1
    clock.now += timedelta(seconds=1)
    assert films.retrieve([film(2, ARCHIVE)]) == ""


@pytest.mark.parametrize("error", [FilmNotSent("it has no such film"), RejectObject("it is no film")])
def test_a_film_that_was_not_sent_does_not_hold_up_others(error: Exception) -> None:
    archive = Source("archive", failures={"1.2.1.1": error})
    films = retrieval(archive)

    assert films.retrieve([film(1, ARCHIVE), film(2, ARCHIVE)]) == f"archive: {error}"
    assert films.retrieve([film(1, ARCHIVE)]) == f"archive: {error}"
    assert [uid for uid, _ in archive.requests] == ["1.2.1.1", "1.2.1.2"]


def test_a_step_of_very_many_films_is_not_retrieved() -> None:
    archive = Source("archive")
    detail = retrieval(archive).retrieve([film(number, ARCHIVE) for number in range(101)])
    assert detail == "more films than the 100 that are retrieved for a step"
    assert archive.requests == []
