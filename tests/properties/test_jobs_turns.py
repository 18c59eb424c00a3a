"""Whatever comes, however urgent: jobs are claimed in the order of their turns, and none is kept waiting for long."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from cxr_node.db.claim_order import claim_key
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import job, study
from cxr_node.queue import claiming, queue
from tests.support.queue import LEASE, NOON

LONGEST_S = 600
HEAD_STARTS = st.sampled_from((0, 30, LONGEST_S))
GAPS = st.integers(0, 400)


@dataclass(frozen=True)
class Arrive:
    gap_s: int
    priority_boost_s: int


@dataclass(frozen=True)
class Urge:
    which: int
    priority_boost_s: int


@dataclass(frozen=True)
class Take:
    limit: int


STEPS = st.lists(
    st.one_of(
        st.builds(Arrive, gap_s=GAPS, priority_boost_s=HEAD_STARTS),
        st.builds(Urge, which=st.integers(0, 9), priority_boost_s=HEAD_STARTS),
        st.builds(Take, limit=st.integers(1, 3)),
    ),
    min_size=4,
    max_size=14,
)


class _Undo(Exception):
    """Ends a transaction without a trace."""


def test_nothing_waits_longer_than_the_longest_head_start_and_no_priority_falls(database: Database) -> None:
    @settings(max_examples=20, deadline=None, database=None)
    @given(steps=STEPS)
    def held(steps: list[Arrive | Urge | Take]) -> None:
        with contextlib.suppress(_Undo), database.write() as transaction:
            _Held(transaction).through(steps)
            _undo()

    held()


def _undo() -> None:
    raise _Undo


class _Held:
    """The queue beside a list of what waits: studies that are to be composed."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.now = NOON
        self.studies: list[int] = []
        self.waiting: dict[int, tuple[timedelta, int]] = {}

    def through(self, steps: list[Arrive | Urge | Take]) -> None:
        before: dict[int, int] = {}
        for step in steps:
            match step:
                case Arrive():
                    self._arrive(step)
                case Urge() if self.studies:
                    self._urge(step)
                case Take():
                    self._take(step.limit)
            after = self._priorities()
            assert all(after[job_id] >= priority for job_id, priority in before.items())
            assert {each: after[each] for each in self.waiting} == {each: at[1] for each, at in self.waiting.items()}
            before = after
        while self.waiting:
            self._take(3)

    def _arrive(self, step: Arrive) -> None:
        self.now += timedelta(seconds=step.gap_s)
        study_id = self.transaction.connection.execute(
            insert(study)
            .values(study_instance_uid=f"2.25.{len(self.studies)}", first_received_at=self.now)
            .returning(study.c.id)
        ).scalar_one()
        queue.boost_study(self.transaction, study_id, step.priority_boost_s)
        job_id = queue.add(self.transaction, Stage.COMPOSE, study_id, of_study=study_id, due_at=self.now, now=self.now)
        self.studies.append(study_id)
        self.waiting[job_id] = (self.now - NOON, step.priority_boost_s)

    def _urge(self, step: Urge) -> None:
        study_id = self.studies[step.which % len(self.studies)]
        queue.boost_study(self.transaction, study_id, step.priority_boost_s)
        of_it = select(job.c.id).where(job.c.study_id == study_id)
        for job_id in self.transaction.connection.execute(of_it).scalars():
            if job_id in self.waiting:
                due, priority_boost_s = self.waiting[job_id]
                self.waiting[job_id] = (due, max(priority_boost_s, step.priority_boost_s))

    def _take(self, limit: int) -> None:
        claims = claiming.claim(self.transaction, Stage.COMPOSE, owner="o", lease=LEASE, now=self.now, limit=limit)
        turns = {
            each: claim_key(NOON + due, priority_boost_s) for each, (due, priority_boost_s) in self.waiting.items()
        }
        expected = sorted(turns, key=lambda each: (turns[each], each))[:limit]
        assert [claim.job_id for claim in claims] == expected
        taken = [self.waiting.pop(each) for each in expected]
        for due, _ in taken:
            for still, _ in self.waiting.values():
                assert due <= still + timedelta(seconds=LONGEST_S)

    def _priorities(self) -> dict[int, int]:
        return {row.id: row.priority for row in self.transaction.connection.execute(select(job.c.id, job.c.priority))}
