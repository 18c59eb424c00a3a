"""Statements of a film: the results of a study, their deliveries and their jobs take one statement each."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Insert, Select, Update, event, select

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.db.tables import delivery, job, result
from cxr_node.report.kinds import basic_text, secondary_capture, tid1500
from tests.support import films
from tests.support.node import InProcessNode

KINDS = (tid1500.REPORT, basic_text.TEXT, secondary_capture.PICTURE)

pytestmark = pytest.mark.ci_on_postgresql


@contextmanager
def counting(database: Database) -> Iterator[Counter[str]]:
    """Count executions of statements by verb and table. SQLite runs one for many rows row by row."""
    counts: Counter[str] = Counter()

    def note(_connection: Any, statement: Any, *_: Any) -> None:
        if isinstance(statement, Insert | Update):
            counts[f"{type(statement).__name__} {statement.table}"] += 1
        if isinstance(statement, Select):
            counts["Select"] += 1

    event.listen(database.engine, "before_execute", note)
    try:
        yield counts
    finally:
        event.remove(database.engine, "before_execute", note)


def test_results_deliveries_and_jobs_take_one_statement_each(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, kinds=KINDS)
    node.accept(films.dx())
    node.turn(Stage.READ)
    node.clock.advance(seconds=60)
    with counting(database) as counts:
        node.turn(Stage.COMPOSE)

    inserted = {name: count for name, count in counts.items() if name.startswith("Insert")}
    # Events: the job is claimed, others are created, it ends.
    assert inserted == {"Insert result": 1, "Insert delivery": 1, "Insert job": 1, "Insert job_event": 3}
    with database.read() as connection:
        assert len(connection.execute(select(result.c.id)).all()) == len(KINDS)


def test_results_are_delivered_in_the_order_of_composing(database: Database, tmp_path: Path) -> None:
    """Ids of results, deliveries and jobs ascend together: a delivery waits for the earlier results of its study."""
    node = InProcessNode(database, tmp_path, kinds=KINDS)
    node.accept(films.dx())
    node.work()

    with database.read() as connection:
        rows = connection.execute(
            select(result.c.sop_instance_uid, delivery.c.id, job.c.id, job.c.of_study_id, job.c.priority)
            .join(delivery, delivery.c.result_id == result.c.id)
            .join(job, job.c.delivery_id == delivery.c.id)
            .order_by(result.c.id)
        ).all()
    assert [uid for uid, *_ in rows] == [report.SOPInstanceUID for report in node.pacs.reports()]
    for ids in ([row[1] for row in rows], [row[2] for row in rows]):
        assert ids == sorted(set(ids))
    assert {(study_id, priority) for *_, study_id, priority in rows} == {(1, 0)}


def test_a_first_composing_asks_nothing_about_earlier_results(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, kinds=KINDS)
    node.accept(films.dx(seed=1))
    node.turn(Stage.READ)
    node.clock.advance(seconds=60)
    with counting(database) as first:
        node.turn(Stage.COMPOSE)
    second = films.dx(seed=2)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate"):
        setattr(second, keyword, films.dx(seed=1)[keyword].value)
    node.accept(second)
    node.turn(Stage.READ)
    node.clock.advance(seconds=60)
    with counting(database) as again:
        node.turn(Stage.COMPOSE)

    assert again["Update result"] == 1  # the earlier ones are superseded, all by one statement
    assert first["Select"] < again["Select"]
