"""Claim order for any sequence of arrivals and priority boosts: it is kept, and no job starves."""

import contextlib
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from cxr_node.db.claim_order import claim_key
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import job, study
from cxr_node.queue import claiming, queue
from tests.support.queue import LEASE, NOON

LARGEST_BOOST_S = 600
BOOSTS = st.sampled_from((0, 30, LARGEST_BOOST_S))
GAPS = st.integers(0, 400)


@dataclass(frozen=True)
class Arrive:
    gap_s: int
    priority_boost_s: int


@dataclass(frozen=True)
class Boost:
    study: int
    priority_boost_s: int


@dataclass(frozen=True)
class ClaimJobs:
    limit: int


STEPS = st.lists(
    st.one_of(
        st.builds(Arrive, gap_s=GAPS, priority_boost_s=BOOSTS),
        st.builds(Boost, study=st.integers(0, 9), priority_boost_s=BOOSTS),
        st.builds(ClaimJobs, limit=st.integers(1, 3)),
    ),
    min_size=4,
    max_size=14,
)


class _Rollback(Exception):
    """Rolls a transaction back."""


@pytest.mark.slow
def test_no_job_waits_longer_than_the_largest_boost(database: Database) -> None:
    @settings(max_examples=20, deadline=None, database=None)
    @given(steps=STEPS)
    def check(steps: list[Arrive | Boost | ClaimJobs]) -> None:
        with contextlib.suppress(_Rollback), database.write() as transaction:
            _Model(transaction).run(steps)
            _roll_back()

    check()


def _roll_back() -> None:
    raise _Rollback


class _Model:
    """The queue beside a model of its waiting compose jobs."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.now = NOON
        self.studies: list[int] = []
        self.waiting: dict[int, tuple[timedelta, int]] = {}

    def run(self, steps: list[Arrive | Boost | ClaimJobs]) -> None:
        before: dict[int, int] = {}
        for step in steps:
            match step:
                case Arrive():
                    self._arrive(step)
                case Boost() if self.studies:
                    self._boost(step)
                case ClaimJobs():
                    self._claim(step.limit)
            after = self._priorities()
            assert all(after[job_id] >= priority for job_id, priority in before.items())
            assert {job_id: after[job_id] for job_id in self.waiting} == {
                job_id: priority for job_id, (_, priority) in self.waiting.items()
            }
            before = after
        while self.waiting:
            self._claim(3)

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

    def _boost(self, step: Boost) -> None:
        study_id = self.studies[step.study % len(self.studies)]
        queue.boost_study(self.transaction, study_id, step.priority_boost_s)
        query = select(job.c.id).where(job.c.study_id == study_id)
        for job_id in self.transaction.connection.execute(query).scalars():
            if job_id in self.waiting:
                due, priority_boost_s = self.waiting[job_id]
                self.waiting[job_id] = (due, max(priority_boost_s, step.priority_boost_s))

    def _claim(self, limit: int) -> None:
        claims = claiming.claim(self.transaction, Stage.COMPOSE, owner="o", lease=LEASE, now=self.now, limit=limit)
        keys = {
            job_id: claim_key(NOON + due, priority_boost_s) for job_id, (due, priority_boost_s) in self.waiting.items()
        }
        expected = sorted(keys, key=lambda job_id: (keys[job_id], job_id))[:limit]
        assert [claim.job_id for claim in claims] == expected
        claimed = [self.waiting.pop(job_id) for job_id in expected]
        for due, _ in claimed:
            for waiting_due, _ in self.waiting.values():
                assert due <= waiting_due + timedelta(seconds=LARGEST_BOOST_S)

    def _priorities(self) -> dict[int, int]:
        return {row.id: row.priority for row in self.transaction.connection.execute(select(job.c.id, job.c.priority))}
