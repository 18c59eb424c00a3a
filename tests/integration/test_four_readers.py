"""Four readers on one PostgreSQL: no film is read twice, and a lost reader costs only speed."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from cxr_node import pipeline
from cxr_node.archive.objects import Bucket, ObjectArchive
from cxr_node.db.database import Database
from cxr_node.db.states import Event, Stage, State
from cxr_node.db.tables import job, job_event, reading
from cxr_node.domain.clock import utc_now
from tests.support import films, tiny_bundles
from tests.support.node import received
from tests.support.peers import until
from tests.support.queue import SENDER
from tests.support.running_node import running, settings_file

FILMS = 24
LEASE_S = 10
SOON_S = 240.0


@pytest.fixture
def database_kind() -> str:
    return "postgresql"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_four_readers_share_the_films_and_two_may_be_lost(
    database: Database, database_url: str, bucket: Bucket, tmp_path: Path
) -> None:
    """Two hosts with two readers each; one host is killed while it reads."""
    model = tiny_bundles.bundle(tmp_path / "model")
    hosts = [_host(tmp_path / name, database_url, bucket, model) for name in ("a", "b")]
    archive = ObjectArchive(bucket)
    with (
        running(hosts[0], wait_for=("read",), roles=("read",)),
        running(hosts[1], wait_for=("read",), roles=("read",)) as lost,
    ):
        for seed in range(FILMS):
            film = received(films.dx(seed=seed, rows=300, columns=280))
            pipeline.accept(film, SENDER, archive=archive, database=database, clock=utc_now)
        until(lambda: _finished(database) >= FILMS // 4, what="the first films", timeout_s=SOON_S)
        lost.kill()
        until(lambda: _read(database) == FILMS, what="the end of reading", timeout_s=SOON_S)

    with database.read() as connection:
        times = select(func.count()).select_from(reading).group_by(reading.c.film_id)
        assert list(connection.execute(times).scalars()) == [1] * FILMS
        ended = select(job_event.c.actor).join(job, job.c.id == job_event.c.job_id)
        owners = set(
            connection.execute(ended.where(job_event.c.event == Event.FINISHED, job.c.stage == Stage.READ)).scalars()
        )
        crashes = connection.execute(select(func.max(job.c.crashes)).where(job.c.stage == Stage.READ)).scalar_one()
    assert _finished(database) == FILMS
    assert len(owners) >= 3
    assert crashes <= 1


def _host(folder: Path, database_url: str, bucket: Bucket, model: Path) -> Path:
    path = settings_file(folder, database_url=database_url, more=f'[node]\nhost = "{folder.name}"')
    text = path.read_text(encoding="utf-8")
    changes = {
        "reserve_bytes = 0": f'reserve_bytes = 0\nbucket = "{bucket.name}"\nbucket_endpoint = "{bucket.endpoint}"',
        "[read]": f'[read]\nbundle = "{model}"\nlease_s = {LEASE_S}\ndevices = ["cpu", "cpu"]',
    }
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def _finished(database: Database) -> int:
    condition = (job.c.id == job_event.c.job_id, job.c.stage == Stage.READ, job_event.c.event == Event.FINISHED)
    with database.read() as connection:
        return connection.execute(
            select(func.count()).select_from(job_event).join(job, condition[0]).where(*condition)
        ).scalar_one()


def _read(database: Database) -> int:
    with database.read() as connection:
        query = select(func.count()).select_from(job).where(job.c.stage == Stage.READ, job.c.state == State.DONE)
        return connection.execute(query).scalar_one()
