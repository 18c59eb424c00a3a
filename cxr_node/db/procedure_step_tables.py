"""Tables of Unified Procedure Steps that this node has claimed, or tried to, and of the worklists that were asked."""

from sqlalchemy import Column, Index, Integer, String, Text, UniqueConstraint

from cxr_node.db.tables import CODE, UID_TEXT, UtcDateTime, numbered_table

# The Transaction UID locks the step at its manager, which never returns it: without this row nobody could end the step.
procedure_step = numbered_table(
    "procedure_step",
    Column("worklist", String(64), nullable=False),
    Column("sop_instance_uid", UID_TEXT, nullable=False),
    Column("transaction_uid", UID_TEXT, nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    # Empty until the manager has answered what the step is.
    Column("study_instance_uid", UID_TEXT, nullable=False),
    Column("films", Integer, nullable=False),
    Column("held_films", Integer, nullable=False),
    # Percentage that was last sent to the manager.
    Column("progress", Integer, nullable=False),
    # Code value of the reason of a cancellation (PS3.16 CID 9300).
    Column("reason", CODE),
    Column("detail", Text, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("claimed_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("worklist", "sop_instance_uid"),
    Index("ix_procedure_step_requested_at", "requested_at"),
)
# Whether the manager of a worklist answered when it was last asked, since when, and why not.
worklist_state = numbered_table(
    "worklist_state",
    Column("worklist", String(64), nullable=False, unique=True),
    # Empty while it answers.
    Column("detail", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
)
# The condition is a note, as in `tables`.
Index("ix_procedure_step_open", procedure_step.c.id, info={"where": "ended_at IS NULL"})
