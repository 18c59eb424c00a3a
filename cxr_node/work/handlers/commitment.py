"""Commitment handler: sends the result of a storage commitment request to its requester (PS3.4 annex J)."""

from collections.abc import Callable, Mapping
from datetime import datetime

from cxr_node import pipeline
from cxr_node.archive.store import Archive
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.deliver.commitment import send_result
from cxr_node.deliver.destination import DeliveryRejected
from cxr_node.deliver.peer import Peer
from cxr_node.domain.commitment import ANY_REQUESTER, CommitmentLimits
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import RULES
from cxr_node.records import commitments
from cxr_node.work.completion import Completion
from cxr_node.work.handlers.one_job import OneJobHandler


class CommitmentHandler(OneJobHandler):
    """Sends N-EVENT-REPORT to `peers`, by calling AE title of the request.

    `limits_of` returns what a requester may have read, by its AE title and network address.
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
    ) -> None:
        self._database = database
        self._archive = archive
        self._peers = peers
        self._limits_of = limits_of

    def run_one(self, claim: Claim) -> Completion:
        """Answer the claimed request, unless it was answered on the association of the request."""
        with self._database.read() as connection:
            request = commitments.get(connection, claim.subject_id)
        if request.is_reported:
            return self._completion(claim, "answered on the association of the request")
        peer = self._peers.get(request.calling_ae_title)
        if peer is None:
            title = request.calling_ae_title
            # Anybody may ask and hang up: that is no fault for a person to look at.
            return self._expired(
                claim, f"expired: {title} ended its association, and has no address in [[receive.commitment_peers]]"
            )
        result = pipeline.commit(
            request.transaction_uid,
            request.instances,
            archive=self._archive,
            database=self._database,
            limits=self._limits_of(request.calling_ae_title, request.address),
        )
        try:
            send_result(peer, result)
        except DeliveryRejected as error:
            return self.give_up(claim, str(error))
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
