"""Choice of the prior film: of five candidates the right one, or none."""

from dataclasses import replace

import pytest

from cxr_node.composing.priors import DatedFilm, choose
from cxr_node.domain.film_geometry import View, ViewSource
from cxr_node.domain.identifiers import Uid, digest_of
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from tests.support import films
from tests.unit.report.studies import not_read, read

_DAYS = 1826


def _reading(seed: int, *, view: View = View.PA, view_source: ViewSource = ViewSource.VIEW_POSITION) -> Reading:
    reading = read(films.cr(seed=seed), view=view).reading
    assert reading.geometry is not None
    return replace(reading, geometry=replace(reading.geometry, view_source=view_source))


def _of_other_patient(seed: int) -> Reading:
    """Return the reading of a film whose Patient ID is the same, and whose issuer is another: its key differs."""
    reading = _reading(seed)
    return replace(reading, film=replace(reading.film, patient_key=digest_of(b"another issuer")))


_CURRENT = DatedFilm(reading=_reading(1), date="20260301", time="101500")
_RIGHT = DatedFilm(reading=_reading(2), date="20230301", time="090000")


def _choose(*candidates: DatedFilm, current: DatedFilm = _CURRENT, days: int = _DAYS) -> DatedFilm | None:
    return choose(candidates, current, maximum_age_days=days)


def test_of_five_candidates_the_right_film_is_the_prior() -> None:
    chosen = _choose(
        DatedFilm(reading=_of_other_patient(3), date="20260101"),
        DatedFilm(reading=not_read(films.cr(seed=4), Reason.BODY_PART).reading, date="20260101"),
        DatedFilm(reading=not_read(films.cr(seed=5), Reason.VIEW).reading, date="20260101"),
        DatedFilm(reading=not_read(films.sc(seed=6), Reason.CAPTURE).reading, date="20260101"),
        _RIGHT,
    )
    assert chosen is _RIGHT


def test_the_newest_before_the_film_is_the_prior() -> None:
    newest = DatedFilm(reading=_reading(3), date="20260228", time="080000")
    later = DatedFilm(reading=_reading(4), date="20260302", time="080000")

    assert _choose(_RIGHT, newest, later) is newest


def test_films_of_one_day_are_in_order_only_by_their_times() -> None:
    morning = DatedFilm(reading=_reading(3), date="20260301", time="070000")
    evening = DatedFilm(reading=_reading(4), date="20260301", time="190000")
    without_time = DatedFilm(reading=_reading(5), date="20260301")

    assert _choose(morning, evening, without_time) is morning
    assert _choose(without_time) is None


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(_reading(2, view=View.AP), id="AP beside PA"),
        pytest.param(_reading(2, view=View.UNKNOWN), id="unknown view"),
        pytest.param(_reading(2, view_source=ViewSource.NETWORK), id="view by a network"),
        pytest.param(
            replace(
                _reading(2), film=replace(_reading(2).film, study_instance_uid=_CURRENT.reading.film.study_instance_uid)
            ),
            id="same study",
        ),
        pytest.param(
            replace(
                _reading(2),
                film=replace(
                    _reading(2).film,
                    sop_instance_uid=_CURRENT.reading.film.sop_instance_uid,
                    study_instance_uid=Uid("2.25.5"),
                ),
            ),
            id="the film itself, in another study",
        ),
    ],
)
def test_another_view_or_the_same_study_is_no_prior(reading: Reading) -> None:
    assert _choose(replace(_RIGHT, reading=reading)) is None


def test_a_film_older_than_the_greatest_age_is_no_prior() -> None:
    assert _choose(_RIGHT, days=1096) is _RIGHT
    assert _choose(_RIGHT, days=1095) is None


def test_a_film_that_was_not_analysed_has_no_prior() -> None:
    current = replace(_CURRENT, reading=not_read(films.cr(seed=1), Reason.QUALITY).reading)
    assert _choose(_RIGHT, current=current) is None
