"""Tables of drift monitoring: models, daily statistics, drift results."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from cxr_node.db.tables import AE_TITLE, DIGEST, JSON_VALUE, RowId, UtcDateTime, metadata, row_id

_DAY = String(10)

# A model; another version, preprocessing or set of operating points is another model.
model = Table(
    "model",
    metadata,
    row_id(),
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
daily_statistic = Table(
    "daily_statistic",
    metadata,
    row_id(),
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
daily_statistic_progress = Table(
    "daily_statistic_progress", metadata, row_id(), Column("reading_id", RowId, nullable=False)
)

drift = Table(
    "drift",
    metadata,
    row_id(),
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
drift_evaluation = Table(
    "drift_evaluation",
    metadata,
    row_id(),
    Column("day", _DAY, nullable=False, unique=True),
    Column("evaluated_at", UtcDateTime, nullable=False),
)
