"""Base of handlers that run one job at a time, at one commit each."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from cxr_node.queue.claiming import Claim
from cxr_node.work import completion
from cxr_node.work.completion import Completion
from cxr_node.work.handler import GROUP_COMMIT, NOTHING_EXCLUDED, Exclusions

CRASH_LIMIT = 5
"""Deaths of a process during a job after which it fails. One death counts against every job that the process ran."""


class OneJobHandler(ABC):
    """Excludes nothing, and fails a job permanently once its retries are exhausted."""

    batching = GROUP_COMMIT
    crash_limit = CRASH_LIMIT

    @abstractmethod
    def run_one(self, claim: Claim) -> Completion:
        """Run a claimed job; raises as `Handler.run`."""

    def run(self, claims: Sequence[Claim]) -> list[Completion]:
        """Run claimed jobs, one after the other."""
        return [self.run_one(claim) for claim in claims]

    def excluded(self) -> Exclusions:
        """Return nothing."""
        return NOTHING_EXCLUDED

    def before_wait(self) -> None:  # noqa: B027  # most handlers hold nothing
        """Hold nothing."""

    def give_up(self, claim: Claim, detail: str) -> Completion:
        """Return the completion of a job that fails until an operator retries it."""
        return completion.fail_permanently(claim, None, detail)
