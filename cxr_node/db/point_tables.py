"""Tables of the points and embeddings of a reading."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, LargeBinary, String, UniqueConstraint

from cxr_node.db.tables import RowId, coded_columns, model_columns, numbered_table

# A named point. The model columns are empty for the model of the reading, as in `finding`.
point = numbered_table(
    "point",
    Column("reading_id", RowId, ForeignKey("reading.id"), nullable=False),
    *coded_columns(),
    Column("laterality", String(16)),
    Column("column_px", Float, nullable=False),
    Column("row_px", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("least_confidence", Float, nullable=False),
    Column("is_visible", Boolean, nullable=False),
    *model_columns(),
    UniqueConstraint("reading_id", "key"),
)

# Feature vector by one model: 32-bit floats, little-endian. Written if `read.keep_embeddings`; retention deletes it.
embedding = numbered_table(
    "embedding",
    Column("reading_id", RowId, ForeignKey("reading.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    *model_columns(),
    UniqueConstraint("reading_id", "ordinal"),
)
