"""Tables of films, readings, results and jobs. A test compares them with what `migrations/` creates."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

from cxr_node.db.claim_order import ClaimOrder
from cxr_node.db.states import Stage, State

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware time in UTC. SQLite stores no time zone: it is removed on writing and added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # its signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite only numbers rows by itself in a column typed INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")
UID_TEXT = String(64)
AE_TITLE = String(16)
HEADER_TEXT = String(64)
DIGEST = String(64)
CODE = String(16)
JSON_VALUE = JSON(none_as_null=True)


def numbered_table(name: str, *items: SchemaItem) -> Table:
    """Return a table of columns, constraints and indexes whose primary key is a number of the row."""
    return Table(name, metadata, Column("id", RowId, primary_key=True, autoincrement=True), *items)


def _reference(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, RowId, ForeignKey(f"{target}.id"), nullable=nullable)


def coded_columns() -> tuple[Column[str], ...]:
    """Return the columns of the key and code of a finding or measurement."""
    return (
        Column("key", String(64), nullable=False),
        Column("code_value", CODE, nullable=False),
        Column("code_scheme", CODE, nullable=False),
        Column("code_meaning", String(64), nullable=False),
    )


def _archived() -> tuple[Column[Any], ...]:
    """Return the columns of an instance in the archive, beside its UIDs."""
    return (
        Column("patient_key", DIGEST, nullable=False),
        Column("digest", DIGEST, nullable=False),
        Column("archive_key", String(200), nullable=False),
        Column("size_bytes", BigInteger, nullable=False),
    )


def model_columns() -> tuple[Column[str], ...]:
    """Return the columns of a model's identity, all of them empty or none."""
    return (
        Column("model_name", String(64)),
        Column("model_version", String(64)),
        Column("model_manufacturer", String(64)),
        Column("weights_digest", DIGEST),
        Column("preparation", Text),
        Column("operating_points", Text),
    )


def _partial_index(name: str, *columns: ColumnElement[Any], where: str, unique: bool = False) -> Index:
    """Return an index of the rows that meet a condition.

    The condition is a note: as an option it would import the dialect of each database. Migrations create the indexes.
    """
    return Index(name, *columns, unique=unique, info={"where": where})


study = numbered_table(
    "study",
    Column("study_instance_uid", UID_TEXT, nullable=False, unique=True),
    Column("first_received_at", UtcDateTime, nullable=False),
    # The largest priority boost of its films in seconds; present and future jobs of the study have it.
    Column("priority", Integer, nullable=False, server_default="0"),
    Index("ix_study_first_received_at", "first_received_at"),
)

film = numbered_table(
    "film",
    _reference("study_id", "study"),
    Column("sop_class_uid", UID_TEXT, nullable=False),
    Column("sop_instance_uid", UID_TEXT, nullable=False),
    Column("series_instance_uid", UID_TEXT, nullable=False),
    Column("transfer_syntax_uid", UID_TEXT, nullable=False),
    *_archived(),
    Column("calling_ae_title", AE_TITLE, nullable=False),
    Column("called_ae_title", AE_TITLE, nullable=False),
    Column("address", String(64), nullable=False),
    # Identifier of the association of the sender; empty if it was not recorded.
    Column("association", String(32), nullable=False, server_default=""),
    Column("received_at", UtcDateTime, nullable=False),
    # True for one film of each SOP Instance UID: the first received, or a corrected copy that a person accepted.
    Column("is_original", Boolean, nullable=False),
    # When the film was received again, from which retention counts; when its bytes were removed.
    Column("received_again_at", UtcDateTime),
    Column("removed_at", UtcDateTime),
    # Equipment by the header, NULL where it has none; the modality is NULL while the header was not read.
    Column("modality", CODE),
    Column("manufacturer", HEADER_TEXT),
    Column("manufacturer_model_name", HEADER_TEXT),
    Column("station_name", HEADER_TEXT),
    UniqueConstraint("sop_instance_uid", "digest"),
    Index("ix_film_study_id", "study_id"),
    Index("ix_film_series_instance_uid", "series_instance_uid"),
    Index("ix_film_patient_key", "patient_key"),
    # These two, and others on a time or a state, serve the views.
    Index("ix_film_received_at", "received_at"),
    Index("ix_film_calling_ae_title_received_at", "calling_ae_title", "received_at"),
)
_partial_index("uq_film_original", film.c.sop_instance_uid, where="is_original", unique=True)
_partial_index("ix_film_unread", film.c.id, where="modality IS NULL AND removed_at IS NULL")

reading = numbered_table(
    "reading",
    _reference("film_id", "film"),
    Column("read_at", UtcDateTime, nullable=False),
    Column("not_analysed", CODE),
    Column("detail", Text, nullable=False),
    Column("notes", JSON_VALUE, nullable=False),
    Column("geometry", JSON_VALUE),
    Column("grayscale", Text, nullable=False),
    Column("analysed_area", JSON_VALUE),
    Column("structures", JSON_VALUE),
    Column("appearance", JSON_VALUE),
    Column("observations", JSON_VALUE),
    *model_columns(),
    Index("ix_reading_film_id", "film_id"),
)
_partial_index("ix_reading_not_analysed", reading.c.not_analysed, reading.c.film_id, where="not_analysed IS NOT NULL")

finding = numbered_table(
    "finding",
    _reference("reading_id", "reading"),
    *coded_columns(),
    Column("site", JSON_VALUE),
    Column("score", Float, nullable=False),
    Column("operating_point", Float, nullable=False),
    Column("presence", String(16), nullable=False),
    Column("calibrated", Boolean, nullable=False),
    Column("laterality", String(16)),
    Column("regions", JSON_VALUE, nullable=False),
    # Empty for the model of the reading; all set for another model of a cascade.
    *model_columns(),
    UniqueConstraint("reading_id", "key"),
)

# Heat map of a finding. It has its own table because queries over findings do not need it; retention deletes it.
heat_map = numbered_table(
    "heat_map",
    _reference("finding_id", "finding"),
    Column("rows", Integer, nullable=False),
    Column("columns", Integer, nullable=False),
    Column("area", JSON_VALUE, nullable=False),
    Column("levels", LargeBinary, nullable=False),
    UniqueConstraint("finding_id"),
)

measurement = numbered_table(
    "measurement",
    _reference("reading_id", "reading"),
    *coded_columns(),
    Column("value", Float, nullable=False),
    Column("unit", JSON_VALUE, nullable=False),
    Column("line", JSON_VALUE, nullable=False),
    Column("provenance", Text, nullable=False),
    Column("topic", String(16), nullable=False, server_default="proportions"),
    Column("site", JSON_VALUE),
    Column("laterality", String(16)),
    UniqueConstraint("reading_id", "key"),
)

result = numbered_table(
    "result",
    _reference("study_id", "study"),
    Column("kind", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sop_class_uid", UID_TEXT, nullable=False),
    Column("sop_instance_uid", UID_TEXT, nullable=False, unique=True),
    Column("series_instance_uid", UID_TEXT, nullable=False),
    Column("transfer_syntax_uid", UID_TEXT, nullable=False),
    *_archived(),
    Column("composed_at", UtcDateTime, nullable=False),
    # When a later result took its place.
    Column("superseded_at", UtcDateTime),
    Column("removed_at", UtcDateTime),
    UniqueConstraint("study_id", "kind", "version"),
    Index("ix_result_series_instance_uid", "series_instance_uid"),
)

delivery = numbered_table(
    "delivery",
    _reference("result_id", "result"),
    Column("destination", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # When the destination accepted the result, last and first: a delivery can be sent again.
    Column("delivered_at", UtcDateTime),
    Column("first_delivered_at", UtcDateTime),
    Column("status", Integer),
    # Storage commitment: when the destination confirmed it, or the Failure Reason (0008,1197).
    Column("confirmed_at", UtcDateTime),
    Column("failure_reason", Integer),
    UniqueConstraint("result_id", "destination"),
    Index("ix_delivery_created_at", "created_at"),
    Index("ix_delivery_destination_delivered_at", "destination", "delivered_at"),
)

# Storage commitment requests (N-ACTION) to destinations. A report may come late and names the transaction only.
commitment_request = numbered_table(
    "commitment_request",
    _reference("delivery_id", "delivery"),
    Column("transaction_uid", UID_TEXT, nullable=False, unique=True),
    Column("requested_at", UtcDateTime, nullable=False),
    Index("ix_commitment_request_delivery_id", "delivery_id"),
)

# Storage commitment requests of peers; instances are pairs of SOP Class and SOP Instance UID.
commitment = numbered_table(
    "commitment",
    Column("transaction_uid", UID_TEXT, nullable=False),
    Column("calling_ae_title", AE_TITLE, nullable=False),
    Column("address", String(64), nullable=False),
    Column("instances", JSON_VALUE, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("reported_at", UtcDateTime),
    UniqueConstraint("calling_ae_title", "transaction_uid"),
)

SUBJECTS = {
    Stage.READ: "film_id",
    Stage.COMPOSE: "study_id",
    Stage.DELIVER: "delivery_id",
    Stage.COMMIT: "commitment_id",
}


def _one_subject() -> str:
    return " OR ".join(
        f"(stage = '{stage}' AND "
        + " AND ".join(f"{column} IS {'NOT ' if column == subject else ''}NULL" for column in SUBJECTS.values())
        + ")"
        for stage, subject in SUBJECTS.items()
    )


job = numbered_table(
    "job",
    Column("stage", String(16), nullable=False),
    _reference("film_id", "film", nullable=True),
    _reference("study_id", "study", nullable=True),
    _reference("delivery_id", "delivery", nullable=True),
    _reference("commitment_id", "commitment", nullable=True),
    Column("state", String(16), nullable=False),
    # Priority boost in seconds: the job is claimed before jobs that fell due up to so much earlier.
    Column("priority", Integer, nullable=False),
    # Claims since the job was last queued, and how many of them ended with the death of the worker.
    Column("attempts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_owner", String(128)),
    Column("lease_until", UtcDateTime),
    Column("reason", CODE),
    Column("detail", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("queued_at", UtcDateTime, nullable=False),
    # When it ended last; and first, if it was queued again after that.
    Column("ended_at", UtcDateTime),
    Column("first_ended_at", UtcDateTime),
    # The study of the subject, at any stage, so that one index finds all jobs of a study; empty for commit jobs.
    Column("of_study_id", RowId),
    UniqueConstraint("film_id"),
    UniqueConstraint("delivery_id"),
    UniqueConstraint("commitment_id"),
    CheckConstraint(_one_subject(), name="one_subject"),
    Index("ix_job_study_id", "study_id"),
    Index("ix_job_of_study_id", "of_study_id"),
    Index("ix_job_state", "state", "id"),
    Index("ix_job_stage", "stage", "id"),
    Index("ix_job_ended_at", "ended_at"),
    Index("ix_job_created_at", "created_at"),
)
# Done jobs outnumber pending ones by far. With these partial indexes the queue's cost depends on pending jobs only.
_WAITING = f"state = '{State.WAITING}'"
_partial_index("ix_job_claim_order", job.c.stage, ClaimOrder(job.c.due_at, job.c.priority), job.c.id, where=_WAITING)
_partial_index("ix_job_due", job.c.stage, job.c.due_at, where=_WAITING)
_partial_index("ix_job_running", job.c.lease_until, where=f"state = '{State.RUNNING}'")
_partial_index("ix_job_not_analysed", job.c.reason, where="film_id IS NOT NULL AND reason IS NOT NULL")

job_event = numbered_table(
    "job_event",
    _reference("job_id", "job"),
    Column("at", UtcDateTime, nullable=False),
    Column("event", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_job_event_job_id", "job_id"),
)

# Presentation contexts that a destination accepted when last negotiated: SOP Class to transfer syntaxes.
destination_capabilities = numbered_table(
    "destination_capabilities",
    Column("destination", String(64), nullable=False, unique=True),
    Column("peer", Text, nullable=False),
    Column("accepted", JSON_VALUE, nullable=False),
    Column("negotiated_at", UtcDateTime, nullable=False),
)

# Destinations that could not be reached when last tried; the row is removed once one can.
destination_trouble = numbered_table(
    "destination_trouble",
    Column("destination", String(64), nullable=False, unique=True),
    Column("detail", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("failed_at", UtcDateTime, nullable=False),
)

# Work that a person has paused: deliveries to a destination, or reading, whose destination is empty.
pause = numbered_table(
    "pause",
    Column("stage", String(16), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("paused_by", String(128), nullable=False),
    Column("paused_at", UtcDateTime, nullable=False),
    UniqueConstraint("stage", "destination"),
)

# Activated bundle: the newest row. Without an archive key each host uses the bundle of its settings.
bundle_activation = numbered_table(
    "bundle_activation",
    Column("name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("digest", DIGEST),
    Column("archive_key", String(200)),
    Column("activated_by", String(128), nullable=False),
    Column("activated_at", UtcDateTime, nullable=False),
)

# Whether each host uses the activated bundle or has rejected it.
bundle_use = numbered_table(
    "bundle_use",
    Column("host", String(64), nullable=False, unique=True),
    _reference("activation_id", "bundle_activation"),
    Column("is_rejected", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
