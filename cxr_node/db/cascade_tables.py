"""Tables of what each bundle of a cascade contributed to a reading."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, String, Text, UniqueConstraint

from cxr_node.db.tables import CODE, JSON_VALUE, RowId, coded_columns, model_columns, numbered_table

# One bundle of a cascade for one reading, by its place in the cascade; none for a reading by a single bundle.
cascade_step = numbered_table(
    "cascade_step",
    Column("reading_id", RowId, ForeignKey("reading.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", CODE),
    Column("detail", Text, nullable=False),
    Column("analysed_area", JSON_VALUE),
    Column("gives_structures", Boolean, nullable=False),
    *model_columns(),
    UniqueConstraint("reading_id", "ordinal"),
)

# A finding that an earlier bundle of the cascade had offered.
second_opinion = numbered_table(
    "second_opinion",
    Column("step_id", RowId, ForeignKey("cascade_step.id"), nullable=False),
    *coded_columns(),
    Column("site", JSON_VALUE),
    Column("score", Float, nullable=False),
    Column("operating_point", Float, nullable=False),
    Column("presence", String(16), nullable=False),
    Column("calibrated", Boolean, nullable=False),
    UniqueConstraint("step_id", "key"),
)
