"""Response times of pages, views and questions with many films, and their effect on claims of the queue.

python -m benchmarks.database --films 1000000                                   # SQLite, in a temporary folder
python -m benchmarks.database --films 1000000 --url postgresql://user@host/empty
"""

import argparse
import gc
import json
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, text

from benchmarks.load.tables import markdown
from benchmarks.queries.pages import pages
from benchmarks.queries.processor_time import processor_clock
from benchmarks.queueing.queues import Ours
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.domain.clock import utc_now
from cxr_node.queries import browse, identifiers, overview, view_rows
from cxr_node.queries.grouping import GroupBy
from cxr_node.queries.metrics import films_not_analysed
from cxr_node.queries.search import search
from cxr_node.queries.study_status import study_status
from cxr_node.queries.tables import paging
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import SelectionText, parse_selection, text_of
from cxr_node.queries.trends import trends
from cxr_node.queries.views.registry import VIEWS
from cxr_node.web.charts import charts_of

_EVERY_S = 60
_WAITING = 5000
_CLAIMS = 1500
_BOUND_S = 0.3
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :films)"
_NOW = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || ((:films - i) * {every} - ({plus})) || ' seconds')",
    "postgresql": "now() - (((:films - i) * {every} - ({plus})) || ' seconds')::interval",
}
_UID = "'2.25.' || (100000000000 + {root} * 10000000000 + i)"
_HEX = {
    "sqlite": "lower(hex(zeroblob(28))) || printf('%08x', i)",
    "postgresql": "lpad(to_hex(i), 64, '0')",
}
_GEOMETRY = (
    '\'{"rows": 3000, "columns": 2500, "spacing": null, "aspect_ratio": 1.0, "view": "PA", '
    '"view_source": "nowhere", "patient_orientation": null}\''
)


def fill(database: Database, films: int, *, every_s: int = _EVERY_S, waiting: int = _WAITING) -> None:
    """Write studies of one film, one each `every_s` seconds until now; a tenth not analysed, the last `waiting`."""
    kind = database.engine.dialect.name

    def at(plus: float) -> str:
        return _NOW[kind].format(every=every_s, plus=plus)

    def uid(root: int) -> str:
        return _UID.format(root=root)

    true, false = ("1", "0") if kind == "sqlite" else ("true", "false")
    read = f"i <= :films - {waiting}"
    good = f"{read} AND i % 10 <> 0"
    statements = (
        f"INSERT INTO study (id, study_instance_uid, first_received_at) {_NUMBERS} SELECT i, {uid(1)}, {at(0)} FROM n",
        f"""INSERT INTO film (id, study_id, sop_class_uid, sop_instance_uid, series_instance_uid, transfer_syntax_uid,
            patient_key, digest, archive_key, size_bytes, calling_ae_title, called_ae_title, address, received_at,
            is_original, modality, manufacturer, manufacturer_model_name, station_name) {_NUMBERS}
            SELECT i, i, '1.2.840.10008.5.1.4.1.1.1.1', {uid(2)}, {uid(3)},
            '1.2.840.10008.1.2.1', {_HEX[kind]}, {_HEX[kind]}, 'films/' || i, 15000000, 'DX' || (i % 7), 'CXRNODE',
            '10.0.7.1', {at(0)}, {true}, CASE WHEN i % 3 = 0 THEN 'CR' ELSE 'DX' END, 'Test Films', 'Made ' || (i % 5),
            'ROOM ' || (i % 11) FROM n""",
        f"""INSERT INTO film_identifiers (film_id, accession_number, patient_id, study_date, study_description)
            {_NUMBERS} SELECT i, 'A' || i, CASE WHEN i % 10 = 3 THEN 'UNKNOWN' ELSE 'P' || (i % 100000) END,
            '2026-01-31', 'Chest' FROM n""",
        f"""INSERT INTO reading (id, film_id, read_at, not_analysed, detail, notes, geometry, grayscale, model_name,
            model_version, weights_digest) {_NUMBERS} SELECT i, i, {at(3)},
            CASE WHEN i % 10 = 0 THEN CASE WHEN i % 20 = 0 THEN 'VIEW' ELSE 'AGE' END END, '', '[]',
            {_GEOMETRY}, 'linear', 'chest', '1.0.0', {_HEX[kind].replace("i", "1") if kind == "postgresql" else "'0'"}
            FROM n WHERE {read}""",
        *(
            f"""INSERT INTO finding (reading_id, key, code_value, code_scheme, code_meaning, score, operating_point,
            presence, calibrated, regions) {_NUMBERS} SELECT i, '{key}', '{code}', 'DCM', '{key}',
            (i * {prime} % 1000) / 1000.0, 0.5,
            CASE WHEN i * {prime} % 1000 >= 500 THEN 'present' ELSE 'absent' END, {false}, '[]' FROM n WHERE {good}"""
            for key, code, prime in (("lung_opacity", "112001", 7), ("pleural_effusion", "60046008", 11))
        ),
        f"""INSERT INTO measurement
            (reading_id, key, code_value, code_scheme, code_meaning, value, unit, line, provenance)
            {_NUMBERS} SELECT i, 'CTR', 'x', 'SCT', 'ratio', 0.4 + (i % 20) / 100.0,
            '{{"value": "1"}}', '[]', '' FROM n WHERE {good}""",
        f"""INSERT INTO job (id, stage, of_study_id, film_id, state, priority, attempts, crashes, due_at, reason,
            detail, created_at,
            queued_at, ended_at) {_NUMBERS} SELECT i, 'read', i, i,
            CASE WHEN NOT ({read}) THEN 'waiting' WHEN i % 10 = 0 THEN 'not_analysed' ELSE 'done' END, 0, 1, 0, {at(0)},
            CASE WHEN {read} AND i % 10 = 0 THEN CASE WHEN i % 20 = 0 THEN 'VIEW' ELSE 'AGE' END END, '',
            {at(0)}, {at(0)}, CASE WHEN {read} THEN {at(3)} END FROM n""",
        f"""INSERT INTO job (id, stage, of_study_id, study_id, state, priority, attempts, crashes, due_at, detail,
            created_at,
            queued_at, ended_at) {_NUMBERS} SELECT :films + i, 'compose', i, i, 'done', 0, 1, 0, {at(3)}, '', {at(3)},
            {at(3)}, {at(6)} FROM n WHERE {read}""",
        f"""INSERT INTO result (id, study_id, kind, version, sop_class_uid, sop_instance_uid, series_instance_uid,
            transfer_syntax_uid, patient_key, digest, archive_key, size_bytes, composed_at) {_NUMBERS}
            SELECT i, i, 'TID1500', 1, '1.2.840.10008.5.1.4.1.1.88.34', {uid(4)}, {uid(5)}, '1.2.840.10008.1.2.1',
            {_HEX[kind]}, {_HEX[kind]}, 'results/' || i, 20000, {at(6)} FROM n WHERE {read}""",
        f"""INSERT INTO delivery (id, result_id, destination, created_at, delivered_at, status) {_NUMBERS}
            SELECT i, i, 'pacs', {at(6)}, CASE WHEN i % 5000 <> 1 THEN {at(7)} END, 0 FROM n WHERE {read}""",
        f"""INSERT INTO job (id, stage, of_study_id, delivery_id, state, priority, attempts, crashes, due_at, detail,
            created_at,
            queued_at, ended_at) {_NUMBERS} SELECT 2 * :films + i, 'deliver', i, i,
            CASE WHEN i % 5000 = 1 THEN 'failed' ELSE 'done' END, 0, 1, 0, {at(6)}, '', {at(6)}, {at(6)}, {at(7)}
            FROM n WHERE {read}""",
        f"""INSERT INTO job_event (job_id, at, event, state, actor, detail) {_NUMBERS}
            SELECT i, {at(1)}, 'claimed', 'running', 'cxr-node/read/1', '' FROM n WHERE {read}""",
        f"""INSERT INTO job_event (job_id, at, event, state, actor, detail) {_NUMBERS}
            SELECT i, {at(3)}, 'finished', 'done', 'cxr-node/read/1', '' FROM n WHERE {read}""",
    )
    for statement in statements:
        with database.write() as transaction:
            transaction.connection.execute(text(statement), {"films": films})
    if kind == "postgresql":
        tables = ("study", "film", "reading", "job", "result", "delivery")
        with database.write() as transaction:
            for table in tables:
                transaction.connection.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
                )
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")  # as autovacuum does later


def _uid_of(root: int, number: int) -> str:
    return f"2.25.{100_000_000_000 + root * 10_000_000_000 + number}"


def _search(connection: Connection, text: str) -> object:
    outcome = search(connection, text)
    if not outcome.hits:
        raise RuntimeError(f"nothing is found by {text}")
    return identifiers.of_studies(connection, {hit.study_id for hit in outcome.hits if hit.study_id is not None})


def questions(films: int) -> dict[str, Callable[[Connection], object]]:
    """Return the queries to time: those of each page, each view, the questions of docs/reference/database.md."""
    now = utc_now()
    week, month = now - timedelta(days=7), now - timedelta(days=31)
    middle = films // 2
    queries: dict[str, Callable[[Connection], object]] = {
        "page queue": lambda connection: (
            overview.overview(connection, now=now),
            browse.newest_films(connection, limit=8),
        ),
        "page study": lambda connection: _study(connection, middle),
        "page film": lambda connection: (
            browse.film_detail(connection, middle),
            browse.results_of(connection, middle),
        ),
        "page trends, 7 days": lambda connection: trends(connection, days=7, by=GroupBy.SENDER, now=now),
        "page trends, 7 days by station": lambda connection: trends(connection, days=7, by=GroupBy.STATION, now=now),
        "page trends, charts of 7 days": lambda connection: charts_of(connection, days=7, now=now),
        "metrics, films not analysed": films_not_analysed,
        "metrics, last hour": lambda connection: overview.turnaround(connection, since=now - timedelta(hours=1)),
    }
    texts = {
        "a study UID": _uid_of(1, middle),
        "a SOP Instance UID": _uid_of(2, middle),
        "a series UID": _uid_of(3, middle),
        "a result's UID": _uid_of(4, middle),
        "an accession number": f"A{middle}",
        "a Patient ID": f"P{middle % 100_000}",
        "the Patient ID of a tenth of the films": "UNKNOWN",
        "a number": str(middle),
    }
    for name, value in texts.items():
        queries[f"search for {name}"] = partial(_search, text=value)
    for name, view in VIEWS.items():
        queries[f"{name}, newest 100"] = partial(view_rows.rows, view=view, limit=100)
        queries[f"{name}, 100 of a week"] = partial(view_rows.rows, view=view, since=week, limit=100)
    queries.update(_tables(films))
    document = (Path(__file__).parent.parent / "docs" / "reference" / "database.md").read_text(encoding="utf-8")
    for number, sql in re.findall(r"\*\*(\d+)\. .*?\*\*.*?```sql\n(.*?)```", document, re.DOTALL):
        statement = sql.replace("2.25.1'", f"2.25.{110000000000 + middle}'")
        for day, at in (("2026-01-01", week), ("2026-01-08", now), ("2026-02-01", now)):
            statement = statement.replace(f"'{day}'", f"'{at:%Y-%m-%d %H:%M}'")
        for day, at in (("2025-12-30", month), ("2026-01-02", now - timedelta(days=1)), ("2026-01-03", now)):
            statement = statement.replace(f"'{day}'", f"'{at:%Y-%m-%d %H:%M}'")
        queries[f"question {number}"] = partial(_run_sql, sql=statement)
    return queries


def _tables(films: int) -> Iterator[tuple[str, Callable[[Connection], object]]]:
    """Yield pages of each table: the first, one far back, each preset, and a week sorted by a column without index."""
    now = utc_now()
    far_back = json.dumps([(now - timedelta(seconds=_EVERY_S * films / 2)).isoformat(), films // 2])
    for name, table in TABLES.items():
        texts = {"first page": SelectionText(), **{preset.label: text_of(preset) for preset in table.presets}}
        texts[f"sorted by {table.shown[-1]}"] = SelectionText(order=table.shown[-1])
        for words, selection_text in texts.items():
            selection = parse_selection(table, selection_text, now=now, sees_films=True)
            yield f"table {name}, {words}", partial(paging.page, selection=selection, limit=50)
        if not table.order:  # by time
            ever = parse_selection(table, SelectionText(since="all"), now=now, sees_films=True)
            yield f"table {name}, far back", partial(paging.page, selection=ever, limit=50, after=far_back)


def _run_sql(connection: Connection, sql: str) -> object:
    return connection.execute(text(sql)).all()


def _study(connection: Connection, study_id: int) -> object:
    uid = browse.study_uid(connection, study_id)
    return study_status(connection, uid or "")


def timed(query: Callable[[], object], *, times: int, clocks: Sequence[Callable[[], float]]) -> list[list[float]]:
    """Return the seconds of `times` runs by each clock, the shortest first, after one run to warm up."""
    query()
    runs = []
    for _ in range(times):
        started = [clock() for clock in clocks]
        query()
        runs.append([clock() - start for clock, start in zip(clocks, started, strict=True)])
    return [sorted(seconds) for seconds in zip(*runs, strict=True)]


def run_query(reader: Database, query: Callable[[Connection], object]) -> None:
    """Run a query in its own transaction."""
    with reader.read() as connection:
        query(connection)


def query_forever(url: str, films: int) -> None:
    """Run all queries in a loop with pauses of 0.25 s, until this process is terminated."""
    reader = Database(url, read_only=True)
    while True:
        for query in questions(films).values():
            run_query(reader, query)
            time.sleep(0.25)


@contextmanager
def concurrent_queries(url: str, films: int) -> Iterator[None]:
    """Run queries in another process during the block."""
    process = multiprocessing.get_context("spawn").Process(target=query_forever, args=(url, films), daemon=True)
    process.start()
    time.sleep(3.0)  # start-up
    try:
        yield
    finally:
        process.terminate()
        process.join()


def table_of(
    queries: dict[str, Callable[[], object]], *, times: int, processor_time: Callable[[], float]
) -> Iterator[Sequence[str]]:
    """Yield a line for each query: p50 and p95 of elapsed and of processor time, in ms, and which p95 is too long."""
    for name, query in queries.items():
        quantiles = [
            (seconds[len(seconds) // 2], seconds[-1 - len(seconds) // 20])
            for seconds in timed(query, times=times, clocks=(time.perf_counter, processor_time))
        ]
        over = [kind for kind, (_, p95) in zip(("elapsed", "processor"), quantiles, strict=True) if p95 > _BOUND_S]
        cells = [f"{1000 * value:.1f}" for pair in quantiles for value in pair]
        yield name, *cells, f"{' and '.join(over)} over 300 ms" if over else ""


def claims(database: Database, url: str, *, films: int, rounds: int) -> Iterator[Sequence[str]]:
    """Yield claims a second of each round, alone and while another process runs queries."""
    worker = Ours(database)
    worker.put(_CLAIMS * (3 * rounds + 1))
    worker.work(_CLAIMS)
    ratios = []
    for number in range(rounds):
        # The speed of the machine varies: measure alone before and after.
        before = _CLAIMS / worker.work(_CLAIMS)
        with concurrent_queries(url, films):
            beside = _CLAIMS / worker.work(_CLAIMS)
        after = _CLAIMS / worker.work(_CLAIMS)
        alone = (before + after) / 2
        ratios.append(beside / alone)
        yield str(number + 1), f"{alone:.0f}", f"{beside:.0f}", f"{ratios[-1]:.2f}"
    ratios.sort()
    yield "median", "", "", f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def main() -> None:
    """Fill a database, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, or one filled by this program")
    parser.add_argument("--times", type=int, default=20, help="runs of each query")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of claims, alone and with queries")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{folder}/node.db"
        database = Database(url)
        started = time.perf_counter()
        migrate.upgrade(database)
        with database.read() as connection:
            is_empty = connection.execute(text("SELECT id FROM film LIMIT 1")).first() is None
        if is_empty:
            fill(database, arguments.films)
        kind, took_s = database.engine.dialect.name, time.perf_counter() - started
        print(f"{kind}: {arguments.films} films, {took_s:.0f} s to write\n")
        reader = Database(url, read_only=True)
        with pages(url, Path(folder), films=arguments.films) as served:
            queries = {name: partial(run_query, reader, query) for name, query in questions(arguments.films).items()}
            headings = ("query", "p50 ms", "p95 ms", "processor p50 ms", "processor p95 ms", "")
            clock = processor_clock(reader)
            gc.freeze()  # as each role does after its start
            for line in markdown(headings, table_of(served | queries, times=arguments.times, processor_time=clock)):
                print(line, flush=True)
        print()
        of_rounds = ("round", "claims/s alone", "with queries", "ratio")
        for line in markdown(of_rounds, claims(database, url, films=arguments.films, rounds=arguments.rounds)):
            print(line, flush=True)
        reader.close()
        database.close()


if __name__ == "__main__":
    main()
