"""Batching of jobs: how many a handler runs at once, and which of their commits are shared."""

from dataclasses import dataclass


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
