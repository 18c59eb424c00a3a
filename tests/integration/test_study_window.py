"""Study window: what becomes of a compose job while the films of its study are read."""

from pathlib import Path

import pytest

from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from tests.support import films
from tests.support.node import QUIET_S, InProcessNode
from tests.support.queue import claim_one

pytestmark = pytest.mark.ci_on_postgresql


def test_no_job_waits_for_a_film_that_was_read_meanwhile(database: Database, tmp_path: Path) -> None:
    """A compose job that saw an unread film ends if that film was read before the job returned to the queue."""
    node = InProcessNode(database, tmp_path)
    node.accept(films.dx())
    node.accept(films.cr())
    node.turn(Stage.READ)
    node.clock.advance(seconds=QUIET_S)
    claim = claim_one(node.database, Stage.COMPOSE, now=node.clock.now)
    (waits_for_films,) = node.workers[Stage.COMPOSE]._handler.run([claim])

    node.turn(Stage.READ)
    with node.database.write() as transaction:
        waits_for_films(transaction, node.clock.now)

    assert [job.state for job in node.jobs(Stage.COMPOSE)] == [State.DONE, State.WAITING]
    node.work()
    assert len(node.pacs.received) == 1
    assert {job.state for job in node.jobs(Stage.COMPOSE)} == {State.DONE}
