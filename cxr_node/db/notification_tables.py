"""Table of notifications: what a rule states of a study, and whether its receivers were notified of it."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Text, UniqueConstraint

from cxr_node.db.tables import JSON_VALUE, RowId, UtcDateTime, numbered_table

# One row for a study and a rule that it met once. It is due while the receivers were told something else.
notification = numbered_table(
    "notification",
    Column("study_id", RowId, ForeignKey("study.id"), nullable=False),
    Column("rule", String(64), nullable=False),
    # Whether the present readings meet the rule, and by which findings they last did.
    Column("is_active", Boolean, nullable=False),
    Column("findings", JSON_VALUE, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    # Whether the last message that a receiver accepted was of a finding; false also before the first.
    Column("is_notified", Boolean, nullable=False),
    Column("notified_at", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("study_id", "rule"),
)
# The condition is a note, as in `tables`.
Index("ix_notification_due", notification.c.due_at, info={"where": "is_active <> is_notified"})
