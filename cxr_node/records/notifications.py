"""Notifications of studies by rule: what the present readings say, and what receivers were notified of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from cxr_node.db.database import Transaction
from cxr_node.db.notification_tables import notification
from cxr_node.db.tables import study
from cxr_node.domain.identifiers import Uid

Findings = Sequence[Mapping[str, Any]]

_DUE = notification.c.is_active != notification.c.is_notified


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification that is due: of a finding if it `is_active`, else its retraction."""

    notification_id: int
    study_id: int
    study_instance_uid: Uid
    rule: str
    is_active: bool
    findings: Findings
    changed_at: datetime
    attempts: int


def settle(transaction: Transaction, study_id: int, rule: str, findings: Findings, *, now: datetime) -> None:
    """Store by which findings a study meets a rule at present, none if it does not; a change is due at once.

    What was not sent yet states the findings of the present readings. A study that never met the rule has no row.
    """
    connection = transaction.connection
    of_study = (notification.c.study_id == study_id, notification.c.rule == rule)
    row = connection.execute(
        select(notification.c.id, notification.c.is_active, notification.c.is_notified).where(*of_study)
    ).first()
    if row is None and findings:
        values = {"is_notified": False, "changed_at": now, **_due(findings, now)}
        connection.execute(insert(notification).values(study_id=study_id, rule=rule, **values))
    elif row is not None and row.is_active != bool(findings):
        unchanged = {} if findings else {"findings": notification.c.findings}
        values = {**_due(findings, now), **unchanged, "changed_at": now}
        connection.execute(update(notification).where(notification.c.id == row.id).values(values))
    elif row is not None and row.is_active and not row.is_notified:
        connection.execute(update(notification).where(notification.c.id == row.id).values(findings=list(findings)))


def withdraw(transaction: Transaction, study_id: int, *, now: datetime) -> None:
    """Retract the notifications of a study at once, as its results are withdrawn; one not sent yet is not sent.

    What the study's films say then is settled anew.
    """
    values = {"is_active": False, "changed_at": now, "attempts": 0, "due_at": now, "detail": ""}
    of_study = (notification.c.study_id == study_id, notification.c.is_active.is_(True))
    transaction.connection.execute(update(notification).where(*of_study).values(values))


def due(connection: Connection, *, now: datetime, limit: int) -> list[Notification]:
    """Return the notifications that are due, the oldest first."""
    rows = connection.execute(
        select(
            notification.c.id.label("notification_id"),
            notification.c.study_id,
            study.c.study_instance_uid,
            notification.c.rule,
            notification.c.is_active,
            notification.c.findings,
            notification.c.changed_at,
            notification.c.attempts,
        )
        .join(study, study.c.id == notification.c.study_id)
        .where(_DUE, notification.c.due_at <= now)
        .order_by(notification.c.due_at, notification.c.id)
        .limit(limit)
    )
    return [Notification(**row) for row in rows.mappings()]


def mark_notified(transaction: Transaction, sent: Notification, *, now: datetime) -> None:
    """Record that the receivers accepted a notification; what changed meanwhile stays due."""
    values = {"is_notified": sent.is_active, "notified_at": now, "detail": ""}
    is_it = notification.c.id == sent.notification_id
    transaction.connection.execute(update(notification).where(is_it).values(values))


def mark_failed(transaction: Transaction, failed: Notification, detail: str, *, due_at: datetime) -> None:
    """Record why a notification could not be sent, and when it is due again; what changed meanwhile is due at once."""
    values = {"attempts": failed.attempts + 1, "detail": detail, "due_at": due_at}
    is_it = (
        notification.c.id == failed.notification_id,
        notification.c.is_active == failed.is_active,
        notification.c.changed_at == failed.changed_at,
    )
    transaction.connection.execute(update(notification).where(*is_it).values(values))


def waiting_since(connection: Connection) -> dict[str, tuple[datetime, str]]:
    """Return the rules of which a notification failed at least once and is due: since when, and why the last failed."""
    oldest = (
        select(notification.c.rule, func.min(notification.c.changed_at), func.max(notification.c.detail))
        .where(_DUE, notification.c.attempts > 0)
        .group_by(notification.c.rule)
    )
    return {rule: (since, detail) for rule, since, detail in connection.execute(oldest)}


def _due(findings: Findings, now: datetime) -> dict[str, Any]:
    return {"is_active": bool(findings), "findings": list(findings), "attempts": 0, "due_at": now, "detail": ""}
