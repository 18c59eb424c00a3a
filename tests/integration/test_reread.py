"""Films that are read again with the present bundle."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.priority import BACKGROUND_BOOST_S
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import reading
from cxr_node.domain.clock import utc_now
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction, Presence
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import bundles
from cxr_node.records.bundles import ArchivedBundle
from tests.support import films
from tests.support.node import InProcessNode, StubNetwork
from tests.support.running_node import opened, settings_file
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql


SECOND = Digest("1" * 64)


def second_version(batch: Sequence[Radiograph]) -> tuple[Prediction, ...]:
    """Return predictions of version 2 of the bundle, in which every finding is absent."""
    return tuple(
        replace(
            one,
            model=replace(one.model, version="2", weights_digest=SECOND),
            findings=tuple(replace(f, score=0.25, presence=Presence.ABSENT) for f in one.findings),
        )
        for one in prediction(batch)
    )


class Rereading:
    """A node with three films of two studies that version 1 read, and version 2 activated."""

    def __init__(self, config: Path, node: InProcessNode) -> None:
        self.config = config
        self.node = node

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run `cxr-node reread` and return its output."""
        command = ["reread", *arguments, "--config", str(self.config)]
        ended = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert ended.exit_code == exit_code, ended.output
        return ended.output

    def turnarounds(self) -> list[object]:
        """Return the seconds from film to report of each film."""
        with self.node.database.read() as connection:
            rows = view_rows.rows(connection, VIEWS["v1_turnaround"], order="film_id")
        return [row["total_s"] for row in rows]


@pytest.fixture
def rereading(tmp_path: Path, database_url: str) -> Iterator[Rereading]:
    config = settings_file(tmp_path / "node", database_url=database_url, is_tiny=True)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        node = InProcessNode(database, settings.node.data_folder)
        node.clock.now = utc_now() - timedelta(hours=3)
        first = films.dx(seed=1, changes={"AccessionNumber": "A123"})
        for film in (
            first,
            films.dx(seed=2, changes={"AccessionNumber": "A123", "StudyInstanceUID": first.StudyInstanceUID}),
            films.dx(seed=3, changes={"AccessionNumber": "B456"}),
        ):
            node.accept(film)
        node.work()
        yield Rereading(config, node)


def with_second_version(rereading: Rereading) -> None:
    """Activate version 2."""
    node = rereading.node
    node.reader = StubNetwork(answer=second_version)
    second = ArchivedBundle(name="test", version="2", digest=SECOND, archive_key="bundles/2")
    with node.database.write() as transaction:
        bundles.activate(transaction, second, by="person/kim", now=utc_now())


def test_films_read_again_give_new_versions_of_their_reports(rereading: Rereading) -> None:
    node, earlier, turnarounds = rereading.node, rereading.node.pacs.reports(), rereading.turnarounds()
    with_second_version(rereading)

    counted = rereading.run("--since", "24h", "--dry-run")
    rereading.run("--since", "24h")
    waiting = [job.priority for job in node.jobs(Stage.READ) if job.state is State.WAITING]
    twice = rereading.run("--since", "24h", exit_code=1)
    node.clock.now = utc_now()
    node.work()
    rest = json.loads(rereading.run("--since", "24h", "--others-only", "--dry-run", "--json"))

    assert counted.splitlines() == [
        "3 films of 2 studies by test 2 would be read again",
        "3 read by test 1",
        "up to 2 new versions of results would be sent to pacs",
    ]
    assert waiting == [BACKGROUND_BOOST_S] * 3
    assert "not read again: 3 films waiting to be read already" in twice
    reports = node.pacs.reports()[len(earlier) :]
    predecessors = [
        str(report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
            .ReferencedSOPInstanceUID) for report in reports
    ]  # fmt: skip
    assert sorted(predecessors) == sorted(str(report.SOPInstanceUID) for report in earlier)
    assert (rest["films"], rest["present"]) == (0, ["test@2"])
    assert rereading.turnarounds() == turnarounds


def test_films_of_one_study_are_read_again(rereading: Rereading) -> None:
    assert rereading.run("--study", "B456").startswith("1 film of 1 study by ")
    assert "name a study" in rereading.run(exit_code=2)
    assert "no film matches" in rereading.run("--since", "24h", "--sender", "NOBODY", exit_code=1)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_sample_shows_which_calls_differ_and_stores_nothing(rereading: Rereading) -> None:
    with rereading.node.database.read() as connection:
        before = connection.execute(select(func.count(), func.max(reading.c.id))).one()

    sample = json.loads(rereading.run("--since", "24h", "--sample", "2", "--json"))

    assert (sample["films"], sample["differing_films"]) == (2, 2)
    assert {change["finding"] for change in sample["changes"]}
    with rereading.node.database.read() as connection:
        assert connection.execute(select(func.count(), func.max(reading.c.id))).one() == before
    assert not [job for job in rereading.node.jobs() if job.state is State.WAITING]
