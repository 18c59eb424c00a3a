"""Tables of corrections: withdrawn results, issues of studies, rejection notes, and films that are hidden."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint

from cxr_node.db.tables import AE_TITLE, CODE, DIGEST, UID_TEXT, RowId, UtcDateTime, numbered_table

# Number of times that all results of a study were withdrawn; those composed afterwards have other UIDs.
study_issue = numbered_table(
    "study_issue",
    Column("study_id", RowId, ForeignKey("study.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("withdrawn_at", UtcDateTime, nullable=False),
    UniqueConstraint("study_id"),
)

# A withdrawn result. `note_id` is the result that is its rejection note, empty until that is composed.
withdrawal = numbered_table(
    "withdrawal",
    Column("result_id", RowId, ForeignKey("result.id"), nullable=False),
    Column("title", CODE, nullable=False),
    Column("detail", Text, nullable=False),
    Column("withdrawn_by", String(128), nullable=False),
    Column("withdrawn_at", UtcDateTime, nullable=False),
    Column("note_id", RowId, ForeignKey("result.id")),
    UniqueConstraint("result_id"),
    Index("ix_withdrawal_note_id", "note_id"),
)

# A received rejection note, with its bytes, which are empty once retention has removed them.
rejection_note = numbered_table(
    "rejection_note",
    Column("sop_instance_uid", UID_TEXT, nullable=False),
    Column("digest", DIGEST, nullable=False),
    Column("title", CODE, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("calling_ae_title", AE_TITLE, nullable=False),
    Column("address", String(64), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    UniqueConstraint("sop_instance_uid", "digest"),
)

# An instance that a note names, or a person rejected: then without a note. `only_from` is the sender whose films alone
# are meant, empty for those of any. `applied_at` is empty until such a film of this UID is here; one that a person
# `lifted_at` says nothing any more.
rejected_instance = numbered_table(
    "rejected_instance",
    Column("note_id", RowId, ForeignKey("rejection_note.id")),
    Column("sop_instance_uid", UID_TEXT, nullable=False),
    Column("study_instance_uid", UID_TEXT, nullable=False),
    Column("title", CODE, nullable=False),
    Column("detail", Text, nullable=False),
    Column("rejected_by", String(128), nullable=False),
    Column("rejected_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime),
    Column("lifted_at", UtcDateTime),
    Column("only_from", AE_TITLE),
    Index("ix_rejected_instance_sop_instance_uid", "sop_instance_uid"),
    Index("ix_rejected_instance_study_instance_uid", "study_instance_uid"),
)
# The condition is a note, as in `tables`.
Index(
    "ix_rejected_instance_pending",
    rejected_instance.c.sop_instance_uid,
    info={"where": "applied_at IS NULL AND lifted_at IS NULL"},
)

# An HL7 message that concerns kept films: what it did is done once. `films` were corrected, none if all stated already
# what it says.
patient_message = numbered_table(
    "patient_message",
    Column("sender", String(128), nullable=False),
    Column("control_id", String(128), nullable=False),
    Column("digest", DIGEST, nullable=False),
    Column("event", CODE, nullable=False),
    Column("films", Integer, nullable=False),
    Column("address", String(64), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    UniqueConstraint("sender", "control_id"),
    Index("ix_patient_message_received_at", "received_at"),
)

# A film that the node made of another by a message: its copy with the corrected patient.
corrected_copy = numbered_table(
    "corrected_copy",
    Column("film_id", RowId, ForeignKey("film.id"), nullable=False),
    Column("message_id", RowId, ForeignKey("patient_message.id"), nullable=False),
    UniqueConstraint("film_id"),
    Index("ix_corrected_copy_message_id", "message_id"),
)

# A film that is hidden: it is in no result.
rejected_film = numbered_table(
    "rejected_film",
    Column("film_id", RowId, ForeignKey("film.id"), nullable=False),
    Column("title", CODE, nullable=False),
    Column("rejected_by", String(128), nullable=False),
    Column("rejected_at", UtcDateTime, nullable=False),
    UniqueConstraint("film_id"),
)
