"""Comparison with the prior film in the archive: from two films of a patient to the report, the view and the page."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import delete

from cxr_node.db.database import Database
from cxr_node.db.identifier_tables import film_identifiers
from cxr_node.db.states import Stage
from cxr_node.domain import concepts
from cxr_node.domain.comparison import Change, ComparedValue, Comparison
from cxr_node.domain.reading import Measurement
from cxr_node.queries import browse, view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import comparisons, readings
from cxr_node.records import films as film_rows
from cxr_node.report import codes
from cxr_node.report.sr.tree import items, name_of
from cxr_node.simulators.rejection_notes import rejection_note
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.web import served_page

pytestmark = pytest.mark.ci_on_postgresql


DAYS = 1826


def _film(seed: int, date: str, **changes: object) -> Dataset:
    """Return a PA film of the one patient, acquired and stored on a day."""
    dates = {"StudyDate": date, "AcquisitionDate": date, "ContentDate": date, "AcquisitionTime": "101500"}
    return films.cr(seed=seed, changes={**dates, **changes})


def _read(node: InProcessNode, film: Dataset, ratio: float) -> int:
    """Take a film, read it, and measure its ratio; compose and deliver its report. Return its id."""
    node.accept(film)
    node.turn(Stage.READ)
    with node.database.read() as connection:
        row = view_rows.rows(connection, VIEWS["v1_films"], columns=("film_id",), order="-film_id", limit=1)[0]
        stored = film_rows.get(connection, row["film_id"])
        reading = readings.latest(connection, stored.film_id, stored.identity)
    assert reading is not None
    measured = Measurement(
        key="CTR", code=concepts.CARDIOTHORACIC_RATIO, value=ratio, unit=concepts.RATIO, line=(), provenance=""
    )
    if reading.prediction is not None:
        with node.database.write() as transaction:
            readings.write(transaction, stored.film_id, replace(reading, measurements=(measured,)), now=node.clock.now)
    node.work()
    return stored.film_id


def _summary(node: InProcessNode) -> str:
    """Return the impression of the report that was sent last."""
    (text,) = [
        str(item.TextValue) for _, item in items(node.pacs.reports()[-1]) if name_of(item) == codes.SUMMARY.value
    ]
    return text


def _comparisons(database: Database) -> list[tuple[int, int, str]]:
    with database.read() as connection:
        rows = view_rows.rows(connection, VIEWS["v1_comparisons"])
    return [(row["film_id"], row["prior_film_id"], row["key"]) for row in rows]


def test_the_report_states_the_ratio_of_the_newest_prior_film(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, maximum_prior_age_days=DAYS)
    _read(node, _film(1, "20230302"), 0.41)
    _read(node, _film(2, "20260101", IssuerOfPatientID="ELSEWHERE"), 0.61)
    _read(node, _film(3, "20260101", BodyPartExamined="KNEE", StudyDescription="Knee"), 0.62)
    _read(node, _film(4, "20260101", ViewPosition="LL"), 0.63)
    _read(node, _film(5, "20260101", ViewPosition="AP"), 0.64)
    prior = _read(node, _film(6, "20250302"), 0.47)
    prior_report = node.pacs.reports()[-1]

    current = _read(node, _film(7, "20260301"), 0.52)

    report = node.pacs.reports()[-1]
    assert "CTR 0.52, was 0.47 on 2025-03-02." in _summary(node)
    assert (current, prior, "CTR") in _comparisons(database)
    assert {other for one, other, _ in _comparisons(database) if one == current} == {prior}
    (evidence,) = report.PertinentOtherEvidenceSequence
    uids = {
        str(one.ReferencedSOPInstanceUID)
        for series in evidence.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert uids == {str(films.cr(seed=6).SOPInstanceUID), str(prior_report.SOPInstanceUID)}
    with database.read() as connection:
        detail = browse.film_detail(connection, current)
    assert detail is not None
    assert [(row["prior_value"], row["value"]) for row in detail["comparisons"] if row["key"] == "CTR"] == [
        (0.47, 0.52)
    ]


def test_the_report_on_the_prior_film_stays_as_it_is(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, maximum_prior_age_days=DAYS)
    _read(node, _film(1, "20250302"), 0.47)
    _read(node, _film(2, "20260301"), 0.52)

    assert [str(report.StudyInstanceUID) for report in node.pacs.reports()] == [
        str(films.cr(seed=seed).StudyInstanceUID) for seed in (1, 2)
    ]


def test_a_later_film_is_no_prior_though_it_was_received_first(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, maximum_prior_age_days=DAYS)
    _read(node, _film(1, "20260301"), 0.52)
    _read(node, _film(2, "20250302"), 0.47)

    assert ", was " not in _summary(node)
    assert _comparisons(database) == []


def test_a_rejected_film_is_no_prior(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, maximum_prior_age_days=DAYS)
    rejected = _film(1, "20250302")
    _read(node, rejected, 0.47)
    node.accept(rejection_note("113037", rejected))
    node.work()

    _read(node, _film(2, "20260301"), 0.52)

    assert ", was " not in _summary(node)


@pytest.mark.parametrize("empty", ["PatientID", "PatientName", "PatientBirthDate"])
def test_films_of_a_patient_who_is_not_named_whole_are_not_compared(
    empty: str, database: Database, tmp_path: Path
) -> None:
    node = InProcessNode(database, tmp_path, maximum_prior_age_days=DAYS)
    identity = {"PatientID": "UNKNOWN", "PatientName": "ANON", empty: ""}
    _read(node, _film(1, "20250302", **identity), 0.47)
    _read(node, _film(2, "20260301", **identity), 0.52)

    assert ", was " not in _summary(node)


def test_the_newest_of_films_received_on_one_day_is_the_prior(database: Database, tmp_path: Path) -> None:
    """A PACS that prefetches sends the newest first; without kept identifiers the rows have no study date."""
    node = InProcessNode(database, tmp_path, maximum_prior_age_days=DAYS)
    dates = ("20250302", "20240302", "20230302", "20220302")
    priors = [_read(node, _film(seed, date), 0.4 + seed / 100) for seed, date in enumerate(dates, start=1)]
    with database.write() as transaction:
        transaction.connection.execute(delete(film_identifiers))

    current = _read(node, _film(9, "20260301"), 0.52)

    assert {other for one, other, _ in _comparisons(database) if one == current} == {priors[0]}


def test_a_node_that_compares_nothing_reports_as_before(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path)
    _read(node, _film(1, "20250302"), 0.47)
    _read(node, _film(2, "20260301"), 0.52)

    assert ", was " not in _summary(node)
    assert _comparisons(database) == []


def test_the_page_of_a_film_shows_its_prior_film(tmp_path: Path) -> None:
    ratio = ComparedValue(
        key="CTR",
        code=concepts.CARDIOTHORACIC_RATIO,
        unit=concepts.RATIO,
        value=0.52,
        prior_value=0.47,
        change=Change.BEYOND,
        limit=0.0132,
    )
    with served_page(tmp_path / "node") as served, served.visited_by("reader") as client:
        with served.node.database.write() as transaction:
            prior = film_rows.get(transaction.connection, 2)
            compared = Comparison(prior=prior.identity, prior_date="2025-03-02", values=(ratio,))
            comparisons.write(transaction, [1], {1: (2, compared)})
        page = client.get("/films/1").text
        both = client.get("/films/1", params={"beside": 2})

    assert '<a class="beside" href="/films/1?beside=2">' in page
    (row,) = re.findall(r'<tr><th scope="row">Cardiothoracic ratio</th>(.*?)</tr>', page)
    assert re.findall(r">([^<>]+)</td>", row) == ["0.47", "0.52", "0.0132", "beyond"]
    assert both.status_code == 200
    assert "2025" not in row  # study dates are for those who may see identifiers
