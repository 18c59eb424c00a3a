"""Notes of unreachable destinations: written by several senders at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select

from cxr_node.db.database import Database
from cxr_node.db.tables import destination_trouble
from cxr_node.records import destination_troubles
from tests.support.queue import NOON

ROUNDS, SENDERS = 20, 2


def test_senders_of_one_destination_note_its_trouble_side_by_side(database: Database, database_url: str) -> None:
    """A sender that failed for it ended its whole role."""
    start = threading.Barrier(SENDERS)

    def send(other: Database) -> None:
        for number in range(ROUNDS):
            start.wait(60)
            with other.write() as transaction:
                destination_troubles.note(transaction, f"pacs {number}", "refused", now=NOON)

    others = [Database(database_url) for _ in range(SENDERS)]
    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(send, other) for other in others]
        assert [sender.exception() for sender in senders] == [None] * SENDERS
    for other in others:
        other.close()
    with database.read() as connection:
        assert len(connection.execute(select(destination_trouble.c.destination)).all()) == ROUNDS


def test_the_time_of_the_first_failure_is_kept(database: Database) -> None:
    for minutes in (0, 5):
        with database.write() as transaction:
            destination_troubles.note(transaction, "pacs", f"{minutes}", now=NOON + timedelta(minutes=minutes))

    with database.read() as connection:
        (row,) = connection.execute(select(destination_trouble)).all()
    assert (row.detail, row.since, row.failed_at) == ("5", NOON, NOON + timedelta(minutes=5))
