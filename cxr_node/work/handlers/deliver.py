"""Deliver handler: sends results to destinations, behind a circuit breaker, and verifies that they are stored."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from cxr_node import pipeline
from cxr_node.archive.integrity import Damaged
from cxr_node.archive.store import Archive
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage
from cxr_node.deliver.circuit_breaker import CircuitBreakers
from cxr_node.deliver.destination import DeliveryRejected, Destination, DestinationUnreachable, VerificationRule
from cxr_node.deliver.held_associations import HeldAssociations
from cxr_node.deliver.slots import PeerSlots
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import CommitmentResult, FailureReason
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid, new_uid
from cxr_node.domain.rejection_titles import NOTE_KIND
from cxr_node.queue import queue
from cxr_node.queue.claiming import Claim
from cxr_node.queue.retry import RULES, RetryRule, due_again
from cxr_node.records import commitment_requests, destination_troubles, results, retention
from cxr_node.records.results import Delivery
from cxr_node.work import completion
from cxr_node.work.completion import Completion
from cxr_node.work.handler import Exclusions
from cxr_node.work.handlers.one_job import OneJobHandler

_log = logging.getLogger(__name__)

_PROBED_WITHIN = timedelta(seconds=1)
"""Delay of a delivery that was claimed just when its destination was excluded: by its circuit breaker, or its bound."""

_CONFIGURED_WITHIN = timedelta(minutes=2)
"""Age of a delivery up to which its destination may be one that this host has not taken up yet, and another has."""
_CONFIGURED_AGAIN = timedelta(seconds=10)

_COMPOSED_WITHIN = timedelta(seconds=30)
"""Delay of a delivery whose result is composed again."""
_COMPOSED_AGAIN = 3
"""How often a damaged result is composed again."""

_TRANSIENT = frozenset({0x0110, 0x0213})
"""Failure Reasons after which the request is repeated: processing failure, resource limitation (PS3.3 C.14.1.1)."""


class DeliverHandler(OneJobHandler):
    """Delivers results. A destination with a verification rule must confirm that it stored a result.

    Sending, requesting and the result are separate attempts of one job: no worker waits for a slow archive.
    """

    stage = Stage.DELIVER

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        destinations: Mapping[str, Destination],
        verification: Mapping[str, VerificationRule] | None = None,
        associations: HeldAssociations | None = None,
        clock: Clock,
        new_uid: Callable[[], Uid] = new_uid,
        retry: RetryRule = RULES[Stage.DELIVER],
    ) -> None:
        self._database = database
        self._archive = archive
        self._destinations = destinations
        self._verification = verification or {}
        self._associations = associations or HeldAssociations()
        self._clock = clock
        self._new_uid = new_uid
        self.retry = retry
        self._breakers = CircuitBreakers(clock)
        self._slots = PeerSlots()
        self._thread = threading.local()
        self._damaged: Counter[int] = Counter()

    def excluded(self) -> Exclusions:
        """Return the destinations that have as many deliveries as they may, or an open circuit breaker.

        With the latter, when the first of them is probed. This thread may have a delivery to the destination of the
        association that it holds.
        """
        destinations, probe_at = self._breakers.held()
        full = self._slots.full() - {self._held_destination}
        return Exclusions(destinations=destinations | full, probe_at=probe_at)

    def run_one(self, claim: Claim) -> Completion:
        """Send the result of the claimed delivery, or verify that the destination stored it."""
        with self._database.read() as connection:
            delivery = results.get_delivery(connection, claim.subject_id)
        destination = delivery.destination
        if delivery.is_withdrawn:
            return completion.finish(claim, "withdrawn: not sent any more")
        if destination not in self._destinations:
            return self._not_configured(claim, destination)
        if not self._enter(destination):
            return self._release(claim, f"{destination} has as many deliveries as it may")
        try:
            if not self._breakers.enter(destination):
                return self._release(claim, f"{destination} is unreachable")
            return self._deliver(claim, delivery)
        finally:
            self._leave(destination)

    def before_wait(self) -> None:
        """Release the association that this thread holds: there is no delivery for it."""
        self._associations.release()
        held, self._thread.destination = self._held_destination, ""
        if held:
            self._slots.leave(held)

    @property
    def _held_destination(self) -> str:
        """Destination of the association that this thread holds, and of the delivery that it counts as; "" for none."""
        return getattr(self._thread, "destination", "")

    def _enter(self, destination: str) -> bool:
        """Whether another delivery to a destination may begin; an association with another one is released before."""
        if self._held_destination == destination:
            return True
        self.before_wait()
        return self._slots.enter(destination)

    def _leave(self, destination: str) -> None:
        """Note the end of a delivery; while this thread holds an association it counts as one."""
        self._thread.destination = destination if self._associations.is_holding else ""
        if not self._associations.is_holding:
            self._slots.leave(destination)

    def note_changed(self, destination: str) -> None:
        """Try a destination whose settings have changed at once, whatever the outcome of earlier attempts."""
        self._breakers.succeeded(destination)
        with suppress(RetryLater), self._database.write() as transaction:
            destination_troubles.clear(transaction, destination)
            queue.make_deliveries_due(transaction, destination, now=self._clock())

    def _not_configured(self, claim: Claim, destination: str) -> Completion:
        now = self._clock()
        if now - claim.queued_at < _CONFIGURED_WITHIN:
            detail = f"destination {destination!r} is not configured on this host yet"
            return completion.release_unattempted(claim, due_at=now + _CONFIGURED_AGAIN, detail=detail)
        return self.give_up(claim, f"destination {destination!r} is not configured: add it, then retry")

    def _release(self, claim: Claim, detail: str) -> Completion:
        return completion.release_unattempted(claim, due_at=self._clock() + _PROBED_WITHIN, detail=detail)

    def _deliver(self, claim: Claim, delivery: Delivery) -> Completion:
        destination = delivery.destination
        try:
            completed = self._send_or_verify(claim, delivery)
        except DestinationUnreachable as error:
            probe_at = self._breakers.failed(destination, at_least_s=error.retry_after_s)
            return self._probe_again(claim, destination, probe_at, error)
        except Damaged as damaged:
            self._breakers.unsure(destination)
            return self._compose_again(claim, delivery, damaged)
        except RetryLater:
            self._close_breaker(destination)
            raise
        except Exception:  # a fault of the node does not show whether the destination is reachable
            self._breakers.unsure(destination)
            raise
        self._close_breaker(destination)
        return completed

    def _compose_again(self, claim: Claim, delivery: Delivery, damaged: Damaged) -> Completion:
        """Have a result composed again whose archived bytes are damaged, and send it then."""
        self._damaged[delivery.delivery_id] += 1
        if self._damaged[delivery.delivery_id] > _COMPOSED_AGAIN:
            detail = f"{damaged.detail}; it could not be composed again: a newer result may say the same"
            return completion.fail_permanently(claim, damaged.reason, detail)
        _log.error("deliver job %d waits until its result is composed again: %s", claim.job_id, damaged.detail)

        def record(transaction: Transaction, now: datetime) -> None:
            queue.add_compose(transaction, delivery.result.study_id, due_at=now, now=now)
            detail = f"{damaged.detail}; to be composed again"
            queue.retry(transaction, claim, due_at=now + _COMPOSED_WITHIN, detail=detail, now=now)

        return record

    def _probe_again(
        self, claim: Claim, destination: str, probe_at: datetime, error: DestinationUnreachable
    ) -> Completion:
        """Retry a delivery at the next probe of its destination instead of its own, growing retry delay.

        After days of outage that delay is an hour, and the destination's return would be noticed that late.
        """
        now = self._clock()
        if due_again(self.retry, attempts=1, queued_at=claim.queued_at, now=now, jitter=1.0) is None:
            raise error
        _log.warning("deliver job %d again at %s: %s", claim.job_id, probe_at.isoformat(), error)
        retry = completion.retry(claim, due_at=probe_at, detail=str(error))

        def record(transaction: Transaction, now: datetime) -> None:
            destination_troubles.note(transaction, destination, str(error), now=now)
            retry(transaction, now)

        return record

    def _close_breaker(self, destination: str) -> None:
        if self._breakers.succeeded(destination):
            _log.info("%s is reachable again", destination)
            with suppress(RetryLater), self._database.write() as transaction:
                destination_troubles.clear(transaction, destination)
                queue.make_deliveries_due(transaction, destination, now=self._clock())

    def _send_or_verify(self, claim: Claim, delivery: Delivery) -> Completion:
        rule = self._verification.get(delivery.destination)
        try:
            # The first attempt after an operator's retry sends again.
            if rule is None or not delivery.is_delivered or claim.attempts == 1:
                return self._send(claim, delivery, rule)
            self._associations.release()  # the verification opens its own
            return self._verify(claim, delivery, rule)
        except DeliveryRejected as error:
            return self.give_up(claim, str(error))

    def _send(self, claim: Claim, delivery: Delivery, rule: VerificationRule | None) -> Completion:
        receipt = pipeline.deliver(delivery, archive=self._archive, destinations=self._destinations)

        def record(transaction: Transaction, now: datetime) -> None:
            results.mark_delivered(transaction, delivery.delivery_id, status=receipt.status, now=now)
            if rule is None:
                _after_delivery(transaction, delivery, now=now)
                queue.finish(transaction, claim, now=now, detail=receipt.comment)
            else:
                detail = f"sent, commitment to be requested {receipt.comment}".rstrip()
                queue.retry(transaction, claim, due_at=now, detail=detail, now=now)

        return record

    def _verify(self, claim: Claim, delivery: Delivery, rule: VerificationRule) -> Completion:
        result: CommitmentResult | None = None
        if not delivery.is_confirmed and delivery.failure_reason is None:
            transaction_uid = self._new_uid()
            with self._database.write() as transaction:
                # Before the request: its result may reach another process first.
                commitment_requests.add(transaction, delivery.delivery_id, transaction_uid, now=self._clock())
            result = rule.verifier.verify(transaction_uid, delivery.result.identity, digest=delivery.result.digest)

        def record(transaction: Transaction, now: datetime) -> None:
            if result is not None:
                commitment_requests.settle(transaction, result, now=now)
            current = results.get_delivery(transaction.connection, delivery.delivery_id)
            self._record_verification(transaction, claim, current, again_s=rule.retry_after_s, now=now)

        return record

    def _record_verification(
        self, transaction: Transaction, claim: Claim, delivery: Delivery, *, again_s: float, now: datetime
    ) -> None:
        destination = delivery.destination
        if delivery.is_confirmed:
            _after_delivery(transaction, delivery, now=now)
            queue.finish(transaction, claim, now=now, detail=f"committed by {destination}")
            return
        due_at = due_again(self.retry, attempts=claim.attempts, queued_at=claim.queued_at, now=now, jitter=1.0)
        detail = f"commitment requested from {destination}, no result yet"
        if delivery.failure_reason is not None:
            detail = f"{destination} did not commit (Failure Reason 0x{delivery.failure_reason:04X})"
        if delivery.failure_reason == FailureReason.NO_SUCH_OBJECT_INSTANCE:
            detail = f"{destination} accepted the instance and does not have it: to be sent again"
            results.mark_undelivered(transaction, delivery.delivery_id)
        elif delivery.failure_reason in _TRANSIENT:
            results.clear_failure_reason(transaction, delivery.delivery_id)
        elif delivery.failure_reason is not None:
            due_at = None
        if due_at is None:
            completion.fail_permanently(claim, None, detail)(transaction, now)
        else:
            due_at = max(due_at, now + timedelta(seconds=again_s))
            queue.retry(transaction, claim, due_at=due_at, detail=detail, now=now)


def _after_delivery(transaction: Transaction, delivery: Delivery, *, now: datetime) -> None:
    """Have the file of a delivered rejection note removed if retention has expired: the compose job does so.

    The study is locked before the delivery's own job, as in `boost_study`.
    """
    result = delivery.result
    if result.kind == NOTE_KIND and retention.is_note_of_expired(transaction.connection, result.result_id):
        queue.add_compose(transaction, result.study_id, due_at=now, now=now)
