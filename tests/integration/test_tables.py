"""Tables on both databases: pages by key, filters, periods, verdicts and deliveries of studies."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.routing import Condition
from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Measurement, Presence, Reading
from cxr_node.queries.tables.cursor import Cursor, parse_cursor
from cxr_node.queries.tables.offered import offered_values
from cxr_node.queries.tables.paging import Page, chunks, page
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import InvalidSelection, Selection, SelectionText, parse_selection, text_of
from cxr_node.records import destination_troubles, dismissals, readings
from cxr_node.records import films as film_rows
from cxr_node.report.impression import Verdict
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.sr import tree
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.queue import NOON

LATER = NOON + timedelta(hours=1)
ORDERS = {
    "films": ("film_id", "-received_at", "-reason", "view", "is_original", "-read_at", "delivery_state"),
    "studies": ("-first_received_at", "result_state"),
    "findings": ("-score", "laterality"),
    "deliveries": ("delivered_at", "-delivery_s"),
    "jobs": ("created_at", "-claim_order", "-destination"),
}
"""Columns of each type, with and without empty values."""


def select(table: str, *where: str, order: str = "", since: str = "", **more: str) -> Selection:
    text = SelectionText(where=where, since=since, order=order, until=more.get("until", ""))
    return parse_selection(TABLES[table], text, now=LATER, sees_films=True)


def keys(database: Database, table: str, *where: str, order: str = "", since: str = "", **more: str) -> list[Any]:
    selection = select(table, *where, order=order, since=since, **more)
    with database.read() as connection:
        return [row[selection.table.key] for row in page(connection, selection, limit=100).rows]


def walk(database: Database, selection: Selection) -> list[Page]:
    """Return all pages of two rows, forward."""
    pages: list[Page] = []
    after = ""
    while not pages or after:
        with database.read() as connection:
            pages.append(page(connection, selection, limit=2, after=after))
        after = pages[-1].after
    return pages


def busy(database: Database, folder: Path) -> InProcessNode:
    """Return a node with films that were delivered, not analysed, rejected by the PACS, and are waiting."""
    node = InProcessNode(database, folder)
    for seed, view in ((1, "AP"), (2, "LL"), (3, "AP")):
        node.accept(films.dx(seed=seed, changes={"ViewPosition": view}))
        node.work()

    def reject() -> None:
        raise DeliveryRejected("0xA700, out of resources")

    node.pacs.before_send = reject
    node.accept(films.dx(seed=4))
    node.work()
    node.accept(films.dx(seed=5))
    return node


def test_pages_of_each_order_have_each_row_once_in_both_directions(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    for table, orders in ORDERS.items():
        key = TABLES[table].key
        for order in orders:
            pages = walk(database, select(table, order=order))
            rows = [row[key] for one in pages for row in one.rows]
            assert sorted(rows) == sorted(keys(database, table)), (table, order)
            assert len(set(rows)) == len(rows), (table, order)
            for number, one in enumerate(pages[1:]):
                with database.read() as connection:
                    earlier = page(connection, select(table, order=order), limit=2, before=one.before)
                assert earlier.rows == pages[number].rows, (table, order)
            assert not pages[0].before


def test_rows_are_in_the_order_of_a_column_with_empty_values_last(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    for order in ("reason", "-reason", "read_at", "-read_at"):
        with database.read() as connection:
            text = SelectionText(order=order, columns=("reason", "read_at"))
            selection = parse_selection(TABLES["films"], text, now=LATER, sees_films=True)
            values = [row[order.removeprefix("-")] for row in page(connection, selection, limit=100).rows]
        stated = [value for value in values if value is not None]
        assert values == [*sorted(stated, reverse=order.startswith("-")), *[None] * (len(values) - len(stated))], order
        assert 0 < len(stated) < len(values)


def test_scores_are_0_to_100_in_rows_filters_and_orders(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    with database.read() as connection:
        rows = page(connection, select("findings"), limit=10).rows
    assert {(row["score"], row["threshold"]) for row in rows} == {(75.0, 50.0)}
    assert keys(database, "findings", "score>70") == keys(database, "findings")
    assert keys(database, "findings", "score>=75", "threshold=50") == keys(database, "findings")
    assert keys(database, "findings", "score>75") == []


FILTERS: tuple[tuple[tuple[str, ...], list[int]], ...] = (
    (("state=not_analysed",), [2]),
    (("state!=not_analysed", "state!=waiting"), [4, 3, 1]),
    (("state=waiting",), [5]),
    (("reason=none",), [5, 4, 3, 1]),
    (("reason=VIEW",), [2]),
    (("view~LAT%",), [2]),
    (("is_original=yes",), [5, 4, 3, 2, 1]),
    (("is_original=no",), []),
    (("film_id<=2",), [2, 1]),
    (("film_id=3", "calling_ae_title=DX1"), [3]),
    (("received_at<2026-01-02T12:00:01+00:00",), [1]),
    (("delivery_state=failed",), [4]),
    (("delivery_state=delivered",), [3, 2, 1]),
)


def test_filters_select_rows(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    for where, expected in FILTERS:
        assert keys(database, "films", *where) == expected, where


def test_a_period_selects_rows_and_is_a_week_by_default(database: Database, tmp_path: Path) -> None:
    node = busy(database, tmp_path)
    node.clock.advance(days=8)
    node.accept(films.dx(seed=9))
    later = node.clock.now + timedelta(seconds=1)

    def rows(since: str = "", until: str = "") -> list[object]:
        text = SelectionText(since=since, until=until)
        selection = parse_selection(TABLES["films"], text, now=later, sees_films=True)
        with database.read() as connection:
            return [row["film_id"] for row in page(connection, selection, limit=100).rows]

    assert rows() == [6]
    assert rows(since="all") == [6, 5, 4, 3, 2, 1]
    assert rows(since="all", until="7d") == [5, 4, 3, 2, 1]
    assert rows(since="2026-01-01", until="2026-01-03") == [5, 4, 3, 2, 1]
    assert rows(since="1m") == [6]


def test_devices_count_the_films_of_the_period(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    with database.read() as connection:
        (row,) = page(connection, select("devices"), limit=10).rows
        none = page(connection, select("devices", since="2026-01-02T13:00+00:00"), limit=10).rows
        filtered = page(connection, select("devices", "not_analysed_percent>50"), limit=10).rows
        by_station = page(connection, select("devices", f"station_name={row['station_name'] or 'none'}"), limit=10).rows
    assert (row["calling_ae_title"], row["films"], row["not_analysed"], row["failed"]) == ("DX1", 5, 1, 0)
    assert row["not_analysed_percent"] == pytest.approx(20)
    assert (none, filtered) == ([], [])
    assert [device["films"] for device in by_station] == [5]
    assert row["device"].startswith("DX1 / ")


@pytest.mark.parametrize(
    ("presences", "ratio", "verdict", "result"),
    [
        ((Presence.PRESENT, Presence.ABSENT), 0.4, Verdict.ABNORMAL, "abnormal"),
        ((Presence.UNDETERMINED, Presence.ABSENT), 0.56, Verdict.UNCERTAIN, "undetermined"),
        ((Presence.ABSENT,), 0.4, Verdict.NORMAL, "normal"),
        ((Presence.ABSENT,), 0.499, Verdict.NORMAL, "normal"),
        ((Presence.ABSENT,), 0.5, Verdict.RATIO_ABOVE_NORMAL, "ratio_above_normal"),
        ((), 0.4, Verdict.NO_TARGETS, "no_targets"),
    ],
)
def test_the_result_of_a_study_is_the_verdict_of_its_report(
    database: Database, tmp_path: Path, presences: tuple[Presence, ...], ratio: float, verdict: Verdict, result: str
) -> None:
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())
    node.turn(Stage.READ)
    with database.write() as transaction:
        film = film_rows.get(transaction.connection, 1)
        reading = readings.latest(transaction.connection, 1, film.identity)
        readings.write(transaction, 1, _changed(reading, presences, ratio), now=node.clock.now)
    node.work()

    (report,) = node.pacs.reports()
    lines = "".join(text for _, text in tree.lines(report))
    assert getattr(ENGLISH.phrases, f"verdict_{verdict.value}") in lines
    with database.read() as connection:
        (row,) = page(connection, select("studies"), limit=2).rows
    assert row["result_state"] == result


def _changed(reading: Reading | None, presences: tuple[Presence, ...], ratio: float) -> Reading:
    """Return a reading of a PA film with findings of these presences and a cardiothoracic ratio."""
    assert reading is not None
    assert reading.prediction is not None
    assert reading.geometry is not None
    (finding,) = reading.prediction.findings
    findings = tuple(
        replace(finding, key=f"{finding.key}{number}", presence=presence) for number, presence in enumerate(presences)
    )
    ratio_of_film = Measurement(
        key=concepts.CARDIOTHORACIC_RATIO.value, code=concepts.CARDIOTHORACIC_RATIO, value=ratio, unit=concepts.RATIO,
        line=((0.0, 0.0), (1.0, 0.0)), provenance="by a test",
    )  # fmt: skip
    prediction = replace(reading.prediction, findings=findings)
    geometry = replace(reading.geometry, view=View.PA)
    return replace(reading, prediction=prediction, measurements=(ratio_of_film,), geometry=geometry)


def test_the_delivery_of_a_study_is_that_of_its_worst_job(database: Database, tmp_path: Path) -> None:
    node = busy(database, tmp_path)

    def states() -> dict[object, tuple[object, object]]:
        with database.read() as connection:
            rows = page(connection, select("studies"), limit=10).rows
        return {row["study_id"]: (row["result_state"], row["delivery_state"]) for row in rows}

    assert states() == {
        1: ("abnormal", "delivered"),
        2: ("not_analysed", "delivered"),
        3: ("abnormal", "delivered"),
        4: ("abnormal", "failed"),
        5: ("waiting", "waiting"),
    }

    def away() -> None:
        raise DestinationUnreachable("the connection is refused")

    node.pacs.before_send = away
    node.work()
    assert states()[5] == ("abnormal", "unreachable")
    with database.write() as transaction:
        destination_troubles.clear(transaction, "pacs")
        job_ids = [job.job_id for job in node.jobs(Stage.DELIVER) if job.state == "failed"]
        dismissals.dismiss_jobs(transaction, job_ids, detail="", actor="person/kim", now=node.clock.now)
    assert states()[4] == ("abnormal", "dismissed")
    assert states()[5] == ("abnormal", "waiting")


def test_a_study_for_no_destination_is_not_routed(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, condition=Condition(calling_ae_titles=("OTHER",)))
    node.accept(films.dx())
    node.work()

    assert keys(database, "studies", "delivery_state=not_routed") == [1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SelectionText(where=("patient_key=1",)), "the table of films has no column 'patient_key'; it has film_id,"),
        (SelectionText(where=("state",)), "'state': expected COLUMN=VALUE, such as state=failed"),
        (SelectionText(where=("film_id=x",)), "'x' is not valid; expected a whole number"),
        (SelectionText(where=("film_id=9223372036854775808",)), "is not valid; expected a whole number"),
        (SelectionText(where=("film_id~1",)), "~ does not apply to a whole number"),
        (SelectionText(where=("film_id>none",)), "> does not apply to none"),
        (SelectionText(where=("state=a\x00",)), "is not valid; expected a text"),
        (SelectionText(since="tomorrow"), "'tomorrow' is not a time"),
        (SelectionText(since="999999w"), "is not a time"),
        (SelectionText(order="film"), "has no column 'film'"),
        (SelectionText(columns=("film_id", "name")), "has no column 'name'"),
    ],
)
def test_a_wrong_selection_is_refused_with_a_sentence(text: SelectionText, sentence: str) -> None:
    with pytest.raises(InvalidSelection) as refused:
        parse_selection(TABLES["films"], text, now=LATER, sees_films=True)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "place",
    [
        "", "x", "[]", "[1]", "[1, 2, 3]", "[null, 1]", '["2026-01-02", 1]', '["2026-01-02T12:00:00+00:00", "1"]',
        '["2026-01-02T12:00:00+00:00", null]', "[1e999, 1]", f'["0001-01-01T00:00:00+23:00", {10**30}]', "[" * 5000,
    ],
)  # fmt: skip
def test_a_wrong_place_is_refused(place: str) -> None:
    with pytest.raises(InvalidSelection, match="is no place in this table"):
        parse_cursor(select("films"), place)


def test_places_are_read_as_they_were_written() -> None:
    cursor = Cursor(value=NOON, key=7)

    assert parse_cursor(select("films"), cursor.text) == cursor
    assert parse_cursor(select("films", order="view"), Cursor(value=None, key=7).text) == Cursor(value=None, key=7)


def test_people_without_film_access_select_by_no_uid() -> None:
    for text in (SelectionText(where=("study_instance_uid~1.2%",)), SelectionText(order="sop_instance_uid")):
        with pytest.raises(InvalidSelection, match="has no column"):
            parse_selection(TABLES["jobs"], text, now=LATER, sees_films=False)


def test_all_rows_come_in_pieces_of_a_query_each(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    pieces = list(chunks(database.read, select("films"), size=2))

    assert [[row["film_id"] for row in piece] for piece in pieces] == [[5, 4], [3, 2], [1]]
    assert list(chunks(database.read, select("films", "film_id=9"), size=2)) == [[]]


def test_presets_are_selections_of_their_table() -> None:
    for table in TABLES.values():
        for preset in table.presets:
            assert parse_selection(table, text_of(preset), now=LATER, sees_films=True).conditions


def test_values_of_the_newest_rows_are_offered(database: Database, tmp_path: Path) -> None:
    busy(database, tmp_path)

    with database.read() as connection:
        offered = offered_values(connection, TABLES["films"], now=LATER)
    assert offered["calling_ae_title"] == ["DX1"]
    assert offered["reason"] == ["VIEW"]
    assert offered["model_name"] == ["test"]
