"""Commitment handler: sends the result of a storage commitment request to its requester (PS3.4 annex J)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from cxr_node import pipeline
from cxr_node.archive.store import Archive
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.deliver.circuit_breaker import CircuitBreakers
from cxr_node.deliver.commitment import send_result
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable
from cxr_node.deliver.peer import Peer
from cxr_node.deliver.slots import PeerSlots
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import ANY_REQUESTER, CommitmentLimits
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import RULES
from cxr_node.records import commitments
from cxr_node.records.commitments import CommitmentRequest
from cxr_node.work import completion
from cxr_node.work.completion import Completion
from cxr_node.work.handlers.one_job import OneJobHandler

_RELEASED_FOR = timedelta(seconds=5)
"""Delay of a result whose peer has as many as it may, or is not to be probed yet."""


class CommitmentHandler(OneJobHandler):
    """Sends N-EVENT-REPORT to `peers`, by calling AE title of the request.

    `limits_of` returns what a requester may have read, by its AE title and network address. A peer that does not answer
    is probed by one request at a time, as a destination is.
    """

    stage = Stage.COMMIT
    retry = RULES[Stage.COMMIT]

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        peers: Mapping[str, Peer],
        limits_of: Callable[[str, str], CommitmentLimits] = lambda *_: ANY_REQUESTER,
        clock: Clock,
    ) -> None:
        self._database = database
        self._archive = archive
        self._peers = peers
        self._limits_of = limits_of
        self._clock = clock
        self._breakers = CircuitBreakers(clock)
        self._slots = PeerSlots()

    def run_one(self, claim: Claim) -> Completion:
        """Answer the claimed request, unless it was answered on the association of the request."""
        with self._database.read() as connection:
            request = commitments.get(connection, claim.subject_id)
        if request.is_reported:
            return self._completion(claim, "answered on the association of the request")
        title = request.calling_ae_title
        peer = self._peers.get(title)
        if peer is None:
            # Anybody may ask and hang up: that is no fault for a person to look at.
            return self._expired(
                claim, f"expired: {title} ended its association, and has no address in [[receive.commitment_peers]]"
            )
        if not self._slots.enter(title):
            return self._release(claim, f"{title} has as many results under way as it may")
        try:
            if not self._breakers.enter(title):
                return self._release(claim, f"{title} is unreachable")
            return self._answer(claim, request, peer)
        finally:
            self._slots.leave(title)

    def _release(self, claim: Claim, detail: str) -> Completion:
        return completion.release_unattempted(claim, due_at=self._clock() + _RELEASED_FOR, detail=detail)

    def _answer(self, claim: Claim, request: CommitmentRequest, peer: Peer) -> Completion:
        title = request.calling_ae_title
        try:
            result = pipeline.commit(
                request.transaction_uid,
                request.instances,
                archive=self._archive,
                database=self._database,
                limits=self._limits_of(title, request.address),
            )
        except Exception:  # does not show whether the peer is reachable
            self._breakers.unsure(title)
            raise
        try:
            send_result(peer, result)
        except DestinationUnreachable:
            self._breakers.failed(title)
            raise
        except DeliveryRejected as error:
            self._breakers.succeeded(title)
            return self.give_up(claim, str(error))
        except Exception:
            self._breakers.succeeded(title)
            raise
        self._breakers.succeeded(title)
        return self._completion(claim, f"{len(result.committed)} committed, {len(result.failed)} not")

    @staticmethod
    def _expired(claim: Claim, detail: str) -> Completion:
        """End the job without a result: the requester is not told, and may request again."""
        return lambda transaction, now: queue.finish(transaction, claim, now=now, detail=detail)

    @staticmethod
    def _completion(claim: Claim, detail: str) -> Completion:
        def record(transaction: Transaction, now: datetime) -> None:
            commitments.mark_reported(transaction, claim.subject_id, now=now)
            queue.finish(transaction, claim, now=now, detail=detail)

        return record
