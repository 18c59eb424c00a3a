"""What leaves the node: results to destinations, and answers to those who ask what is kept."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cxr_node import pipeline
from cxr_node.archive.store import Archive
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.deliver.circuit_breaker import CircuitBreakers
from cxr_node.deliver.commitment import DeliveryVerifier, report_result
from cxr_node.deliver.destination import DeliveryRejected, Destination, DestinationUnreachable
from cxr_node.deliver.peer import Peer
from cxr_node.domain.commitment import CommitmentResult, FailureReason
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid, new_uid
from cxr_node.queue import queue
from cxr_node.queue.queue import Claim
from cxr_node.queue.retry import RULES, RetryRule, due_again
from cxr_node.records import commitment_requests, commitments, results
from cxr_node.records.results import Delivery
from cxr_node.work.handlers.read import Clock, Completion, ComposeHandler, ReadHandler, fail_permanently

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRule:
    """How a destination is asked whether it has what it took; asked again `again_s` later if it does not say."""

    confirms: DeliveryVerifier
    again_s: float


class DeliverHandler:
    """Delivers results. To a destination in `confirmations` one is delivered when the destination vouches for it.

    Sending, asking and hearing the answer are turns of one job: no worker waits while an archive makes up its mind.
    """

    stage = Stage.DELIVER

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        destinations: Mapping[str, Destination],
        confirmations: Mapping[str, VerificationRule] | None = None,
        clock: Clock,
        new_uid: Callable[[], Uid] = new_uid,
        rule: RetryRule = RULES[Stage.DELIVER],
    ) -> None:
        self._database = database
        self._archive = archive
        self._destinations = destinations
        self._confirmations = confirmations or {}
        self._clock = clock
        self._new_uid = new_uid
        self.rule = rule
        self._breakers = CircuitBreakers(clock)

    def held(self) -> tuple[frozenset[str], datetime | None]:
        """Return the destinations that are away, and when the first of them is tried again."""
        return self._breakers.held()

    def run(self, claim: Claim) -> Completion:
        """Send the claimed delivery's result, or see to it that the destination has it."""
        with self._database.read() as connection:
            delivery = results.get_delivery(connection, claim.subject_id)
        if delivery.destination not in self._destinations:
            return self.give_up(claim, f"destination {delivery.destination!r} is not configured: add it, then retry")
        if not self._breakers.enter(delivery.destination):
            return _put_back(claim, delivery.destination, self._clock() + _PROBED_WITHIN)
        try:
            ending = self._turn(claim, delivery)
        except DestinationUnreachable as error:
            return self._probe_again(claim, self._breakers.failed(delivery.destination), error)
        except RetryLater:
            self._note_back(delivery.destination)
            raise
        except Exception:  # a fault of ours says nothing about the destination
            self._breakers.unsure(delivery.destination)
            raise
        self._note_back(delivery.destination)
        return ending

    def _probe_again(self, claim: Claim, probe_at: datetime, error: DestinationUnreachable) -> Completion:
        """Put a delivery back until its destination is probed next, which is sooner than it would be due by itself.

        Or after days a destination that is back would be found out only when the hourly try of one of its deliveries
        comes round.
        """
        now = self._clock()
        if due_again(self.rule, attempts=1, queued_at=claim.queued_at, now=now, jitter=1.0) is None:
            raise error
        _log.warning("deliver job %d again at %s: %s", claim.job_id, probe_at.isoformat(), error)

        def record(transaction: Transaction, now: datetime) -> None:
            queue.retry(transaction, claim, due_at=probe_at, detail=str(error), now=now)

        return record

    def _turn(self, claim: Claim, delivery: Delivery) -> Completion:
        confirmation = self._confirmations.get(delivery.destination)
        try:
            # A person who lets it run again wants it sent again.
            if confirmation is None or not delivery.is_delivered or claim.attempts == 1:
                return self._send(claim, delivery, confirmation)
            return self._confirm(claim, delivery, confirmation)
        except DeliveryRejected as error:
            return self.give_up(claim, str(error))

    def _note_back(self, destination: str) -> None:
        if self._breakers.succeeded(destination):
            _log.info("%s is back", destination)
            with suppress(RetryLater), self._database.write() as transaction:
                queue.make_deliveries_due(transaction, destination, now=self._clock())

    def give_up(self, claim: Claim, detail: str) -> Completion:
        """Leave the claimed delivery for a person."""
        return fail_permanently(claim, None, detail)

    def _send(self, claim: Claim, delivery: Delivery, confirmation: VerificationRule | None) -> Completion:
        receipt = pipeline.deliver(delivery, archive=self._archive, destinations=self._destinations)

        def record(transaction: Transaction, now: datetime) -> None:
            results.mark_delivered(transaction, delivery.delivery_id, status=receipt.status, now=now)
            if confirmation is None:
                queue.finish(transaction, claim, now=now, detail=receipt.comment)
            else:
                detail = f"taken, to be vouched for {receipt.comment}".rstrip()
                queue.retry(transaction, claim, due_at=now, detail=detail, now=now)

        return record

    def _confirm(self, claim: Claim, delivery: Delivery, confirmation: VerificationRule) -> Completion:
        report: CommitmentResult | None = None
        if not delivery.is_confirmed and delivery.failure_reason is None:
            transaction_uid = self._new_uid()
            with self._database.write() as transaction:
                # Before it is asked: the answer may come to another process before this one goes on.
                commitment_requests.add(transaction, delivery.delivery_id, transaction_uid, now=self._clock())
            report = confirmation.confirms.verify(transaction_uid, delivery.result.identity)

        def record(transaction: Transaction, now: datetime) -> None:
            if report is not None:
                commitment_requests.settle(transaction, report, now=now)
            said = results.get_delivery(transaction.connection, delivery.delivery_id)
            _record_said(transaction, claim, said, rule=self.rule, again_s=confirmation.again_s, now=now)

        return record


def _put_back(claim: Claim, destination: str, due_at: datetime) -> Completion:
    def record(transaction: Transaction, now: datetime) -> None:
        queue.release_unattempted(transaction, claim, due_at=due_at, detail=f"{destination} is away", now=now)

    return record


_PROBED_WITHIN = timedelta(seconds=1)
"""When a delivery is looked at again that was claimed in the moment in which its destination was found away."""

_PASSING = frozenset({0x0110, 0x0213})
"""Failure Reasons for which it is worth asking again: processing failure, resource limitation."""


def _record_said(
    transaction: Transaction, claim: Claim, said: Delivery, *, rule: RetryRule, again_s: float, now: datetime
) -> None:
    """Record what a destination says of a delivery that it took."""
    if said.is_confirmed:
        queue.finish(transaction, claim, now=now, detail=f"{said.destination} vouches for it")
        return
    due_at = due_again(rule, attempts=claim.attempts, queued_at=claim.queued_at, now=now, jitter=1.0)
    detail = f"{said.destination} was asked to vouch for it and has not answered yet"
    if said.failure_reason is not None:
        detail = f"{said.destination} does not vouch for it (Failure Reason 0x{said.failure_reason:04X})"
    if said.failure_reason == FailureReason.NO_SUCH_OBJECT_INSTANCE:
        detail = f"{said.destination} took it and does not have it: to be sent again"
        results.mark_undelivered(transaction, said.delivery_id)
    elif said.failure_reason in _PASSING:
        results.clear_failure_reason(transaction, said.delivery_id)
    elif said.failure_reason is not None:
        due_at = None
    if due_at is None:
        _log.error("deliver job %d is left for a person: %s", claim.job_id, detail)
        queue.give_up(transaction, claim, reason=None, detail=detail, now=now)
    else:
        due_at = max(due_at, now + timedelta(seconds=again_s))
        queue.retry(transaction, claim, due_at=due_at, detail=detail, now=now)


class CommitmentHandler:
    """Tells peers which of the instances that they asked about are kept; `peers` has where each is told."""

    stage = Stage.COMMIT

    def __init__(self, *, database: Database, archive: Archive, peers: Mapping[str, Peer]) -> None:
        self._database = database
        self._archive = archive
        self._peers = peers

    def run(self, claim: Claim) -> Completion:
        """Answer the claimed request, unless that was done on the association it came on."""
        with self._database.read() as connection:
            request = commitments.get(connection, claim.subject_id)
        if request.is_reported:
            return self._ending(claim, "answered on the association of the request")
        peer = self._peers.get(request.calling_ae_title)
        if peer is None:
            title = request.calling_ae_title
            return self.give_up(
                claim, f"where {title} is told is not known: add it to [[receive.commitment_peers]], then retry"
            )
        report = pipeline.commit(
            request.transaction_uid, request.instances, archive=self._archive, database=self._database
        )
        try:
            report_result(peer, report)
        except DeliveryRejected as error:
            return self.give_up(claim, str(error))
        return self._ending(claim, f"{len(report.kept)} vouched for, {len(report.failed)} not")

    def give_up(self, claim: Claim, detail: str) -> Completion:
        """Leave the claimed request for a person."""
        return fail_permanently(claim, None, detail)

    def _ending(self, claim: Claim, detail: str) -> Completion:
        def record(transaction: Transaction, now: datetime) -> None:
            commitments.mark_reported(transaction, claim.subject_id, now=now)
            queue.finish(transaction, claim, now=now, detail=detail)

        return record


AnyHandler = ReadHandler | ComposeHandler | DeliverHandler | CommitmentHandler
