"""Handler protocol: everything the worker knows about a stage, and how its jobs are batched."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cxr_node.db.states import Stage
from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import RetryRule
from cxr_node.work.completion import Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """Up to `size` jobs are run as one batch; the first waits up to `wait_s` for the others.

    With `group_commit`, a completion is recorded in the transaction that claims the next job.
    """

    size: int = 1
    wait_s: float = 0.0
    group_commit: bool = False


ONE_JOB = Batching()
GROUP_COMMIT = Batching(group_commit=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """Jobs not to be claimed now: deliveries to `destinations`, the first of which is probed at `probe_at`.

    With `until`, no job of the stage is claimed before that time.
    """

    destinations: frozenset[str] = frozenset()
    probe_at: datetime | None = None
    until: datetime | None = None


NOTHING_EXCLUDED = Exclusions()


class Handler(Protocol):
    """Runs the jobs of one stage. A job whose process died `crash_limit` times is given up, not run again."""

    stage: Stage
    retry: RetryRule
    batching: Batching
    crash_limit: int

    def excluded(self) -> Exclusions:
        """Return the jobs not to be claimed now."""

    def before_wait(self) -> None:
        """Release what the worker's thread holds for its next job: it had none to run, and waits."""

    def run(self, claims: Sequence[Claim]) -> list[Completion]:
        """Run claimed jobs, at most `batching.size`, and return the completion of each.

        Raises
        ------
        GiveUp
            If a retry cannot help. Several jobs are then run one at a time.
        ProcessDied
            If the process that ran them died, or was ended at a limit: it counts as a crash.
        RetryLater
            If they are to be retried.
        """

    def give_up(self, claim: Claim, detail: str) -> Completion:
        """Return the completion of a job whose retries are exhausted, or whose process died too often."""
