"""Tables of drift monitoring, shadow mode, constancy checks and periodic jobs."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
)

from cxr_node.db.tables import (
    AE_TITLE,
    CODE,
    DIGEST,
    JSON_VALUE,
    UID_TEXT,
    RowId,
    UtcDateTime,
    film,
    metadata,
    numbered_table,
)

_DAY = String(10)

# A model; another version, preprocessing or set of operating points is another model.
model = numbered_table(
    "model",
    Column("name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("weights_digest", DIGEST, nullable=False),
    Column("preparation", Text, nullable=False),
    Column("operating_points", Text, nullable=False),
    # When it first read a film; statistics leave out films received before.
    Column("since", UtcDateTime, nullable=False),
    UniqueConstraint("weights_digest", "preparation", "operating_points", "name", "version", name="uq_model_identity"),
)


def of_model() -> Column[int]:
    """Return the foreign key column of a model."""
    return Column("model_id", RowId, ForeignKey("model.id"), nullable=False)


def _statistic_columns() -> tuple[Column[str], ...]:
    """Return the columns that name a statistic of one device and UTC day."""
    return (
        Column("day", _DAY, nullable=False),
        Column("calling_ae_title", AE_TITLE, nullable=False),
        Column("kind", String(16), nullable=False),
        Column("key", String(64), nullable=False),
    )


# One statistic of one device, UTC day and model; computed again when films of the day are read.
daily_statistic = numbered_table(
    "daily_statistic",
    of_model(),
    *_statistic_columns(),
    Column("films", Integer, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("total", Float, nullable=False),
    Column("histogram", JSON_VALUE, nullable=False),
    UniqueConstraint("model_id", "kind", "calling_ae_title", "day", "key"),
    Index("ix_daily_statistic_day", "day"),
)

# Number of the last reading that the daily statistics include.
daily_statistic_progress = numbered_table("daily_statistic_progress", Column("reading_id", RowId, nullable=False))

drift = numbered_table(
    "drift",
    of_model(),
    *_statistic_columns(),
    Column("reference_from", _DAY, nullable=False),
    Column("reference_until", _DAY, nullable=False),
    Column("window_from", _DAY, nullable=False),
    Column("reference_films", Integer, nullable=False),
    Column("films", Integer, nullable=False),
    Column("reference_value", Float, nullable=False),
    Column("value", Float, nullable=False),
    Column("effect", Float, nullable=False),
    Column("p_value", Float, nullable=False),
    Column("adjusted_p", Float, nullable=False),
    Column("is_drift", Boolean, nullable=False),
    Column("evaluated_at", UtcDateTime, nullable=False),
    UniqueConstraint("day", "calling_ae_title", "kind", "key", "model_id"),
)

# Evaluated days, also those with nothing to compare.
drift_evaluation = numbered_table(
    "drift_evaluation",
    Column("day", _DAY, nullable=False, unique=True),
    Column("evaluated_at", UtcDateTime, nullable=False),
)

# Number of the last reading whose film the model has read, and attempts at the next one.
shadow_progress = numbered_table(
    "shadow_progress",
    of_model(),
    Column("reading_id", RowId, nullable=False),
    Column("attempts", Integer, nullable=False),
    UniqueConstraint("model_id"),
)

shadow = numbered_table(
    "shadow",
    of_model(),
    Column("film_id", RowId, ForeignKey("film.id"), nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    Column("not_analysed", CODE),
    Column("detail", Text, nullable=False),
    UniqueConstraint("film_id", "model_id"),
    Index("ix_shadow_model_id_read_at", "model_id", "read_at"),
)

shadow_finding = numbered_table(
    "shadow_finding",
    Column("shadow_id", RowId, ForeignKey("shadow.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("score", Float, nullable=False),
    Column("operating_point", Float, nullable=False),
    Column("presence", String(16), nullable=False),
    UniqueConstraint("shadow_id", "key"),
)

constancy_run = numbered_table(
    "constancy_run",
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("model_id", RowId, ForeignKey("model.id")),
    Column("engine", String(128), nullable=False, server_default=""),
)

# Written before the phantom is sent. Only the first film received under this UID belongs to the check.
constancy_film = numbered_table(
    "constancy_film",
    Column("run_id", RowId, ForeignKey("constancy_run.id"), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("sop_instance_uid", UID_TEXT, nullable=False, unique=True),
    Column("registered_at", UtcDateTime, nullable=False),
    Column("film_id", RowId, ForeignKey("film.id"), unique=True),
    Index("ix_constancy_film_run_id", "run_id"),
)

constancy_value = numbered_table(
    "constancy_value",
    Column("run_id", RowId, ForeignKey("constancy_run.id"), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key", String(64), nullable=False),
    Column("value", Float, nullable=False),
    Column("expected", Float),
    Column("tolerance", Float),
    # Empty for the model of the run; set for another model of a cascade.
    Column("model_id", RowId, ForeignKey("model.id")),
    UniqueConstraint("run_id", "seed", "kind", "key"),
)

constancy_baseline = numbered_table(
    "constancy_baseline",
    of_model(),
    Column("engine", String(128), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key", String(64), nullable=False),
    Column("value", Float, nullable=False),
    Column("run_id", RowId, ForeignKey("constancy_run.id"), nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("accepted_by", String(64), nullable=False),
    UniqueConstraint("model_id", "engine", "seed", "kind", "key"),
)

# Last run of each periodic job on each host and role.
periodic_job = Table(
    "periodic_job",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("host", String(64), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("next_at", UtcDateTime),
)

# Rejections of each host by calling AE title and reason, as the receiving process counts them; a row is no rejection.
rejection = numbered_table(
    "rejection",
    Column("host", String(64), nullable=False),
    Column("calling_ae_title", AE_TITLE, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("rejections", BigInteger, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    UniqueConstraint("host", "calling_ae_title", "reason"),
    Index("ix_rejection_last_at", "last_at"),
)


def is_not_constancy_film() -> ColumnElement[bool]:
    """Return the condition that a film is of no constancy check."""
    return ~select(constancy_film.c.id).where(constancy_film.c.film_id == film.c.id).exists()
