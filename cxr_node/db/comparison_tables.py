"""Table of comparisons of films with prior films."""

from typing import Any

from sqlalchemy import Column, Float, ForeignKey, Index, String, UniqueConstraint

from cxr_node.db.tables import CODE, JSON_VALUE, RowId, coded_columns, numbered_table


def compared_columns() -> tuple[Column[Any], ...]:
    """Return the columns of a compared value, beside those of its films."""
    return (
        *coded_columns(),
        Column("site", JSON_VALUE),
        Column("laterality", String(16)),
        Column("unit", CODE, nullable=False),
        Column("value", Float, nullable=False),
        Column("prior_value", Float, nullable=False),
        Column("repeatability_limit", Float),
        Column("change", String(16), nullable=False),
    )


# A measurement or score of a film beside that of its prior film, as the newest results of the study state it. The limit
# of repeatability is empty where none was measured.
compared_value = numbered_table(
    "compared_value",
    Column("film_id", RowId, ForeignKey("film.id"), nullable=False),
    Column("prior_film_id", RowId, ForeignKey("film.id"), nullable=False),
    *compared_columns(),
    UniqueConstraint("film_id", "key"),
    Index("ix_compared_value_prior_film_id", "prior_film_id"),
)
