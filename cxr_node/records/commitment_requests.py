"""Storage commitment requests to destinations, and their results (PS3.4 annex J)."""

from datetime import datetime

from sqlalchemy import insert, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.states import Stage
from cxr_node.db.tables import commitment_request, delivery, result
from cxr_node.domain.commitment import CommitmentResult
from cxr_node.domain.identifiers import Uid
from cxr_node.queue import queue


def add(transaction: Transaction, delivery_id: int, transaction_uid: Uid, *, now: datetime) -> None:
    """Write a request for a delivery before it is sent; the report names the transaction."""
    transaction.connection.execute(
        insert(commitment_request).values(delivery_id=delivery_id, transaction_uid=transaction_uid, requested_at=now)
    )


def settle(transaction: Transaction, report: CommitmentResult, *, now: datetime) -> bool:
    """Write the reported result of a delivery; return False for an unknown transaction. A late report counts too."""
    row = transaction.connection.execute(
        select(delivery.c.id, delivery.c.confirmed_at, result.c.sop_instance_uid)
        .join(commitment_request, commitment_request.c.delivery_id == delivery.c.id)
        .join(result, delivery.c.result_id == result.c.id)
        .where(commitment_request.c.transaction_uid == report.transaction_uid)
    ).first()
    if row is None:
        return False
    delivery_id, confirmed_at, sop_instance_uid = row
    statement = update(delivery).where(delivery.c.id == delivery_id)
    failure_reason = [reason for reference, reason in report.failed if reference.sop_instance_uid == sop_instance_uid]
    if any(reference.sop_instance_uid == sop_instance_uid for reference in report.committed):
        transaction.connection.execute(statement.values(confirmed_at=now, failure_reason=None))
    elif failure_reason and confirmed_at is None:
        transaction.connection.execute(statement.values(failure_reason=failure_reason[0]))
    queue.make_due(transaction, Stage.DELIVER, delivery_id, now=now)
    return True
