"""Tables of the search for prior films at other archives: searches, their sources, and fetched films, in no list."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Text, UniqueConstraint, literal_column

from cxr_node.db.comparison_tables import compared_columns
from cxr_node.db.tables import AE_TITLE, DIGEST, JSON_VALUE, UID_TEXT, RowId, UtcDateTime, numbered_table

# A film that was fetched to be compared with. It is no received film: it has no study, no job and no results. Its
# reading is what a comparison needs of it. Bytes and reading are removed after `expires_at`.
fetched_film = numbered_table(
    "fetched_film",
    Column("source", String(64), nullable=False),
    Column("sop_class_uid", UID_TEXT, nullable=False),
    Column("sop_instance_uid", UID_TEXT, nullable=False),
    Column("series_instance_uid", UID_TEXT, nullable=False),
    Column("study_instance_uid", UID_TEXT, nullable=False),
    Column("transfer_syntax_uid", UID_TEXT, nullable=False),
    Column("patient_key", DIGEST, nullable=False),
    Column("digest", DIGEST, nullable=False),
    Column("archive_key", String(200), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("removed_at", UtcDateTime),
    # Attempts to read it; a film whose reading ended the process is not tried for ever.
    Column("attempts", Integer, nullable=False),
    Column("read_at", UtcDateTime),
    Column("reading", JSON_VALUE),
    UniqueConstraint("sop_instance_uid", "digest"),
    Index("ix_fetched_film_expires_at", "expires_at"),
)
# The condition is a note, as in `tables`.
Index("ix_fetched_film_unread", fetched_film.c.id, info={"where": "read_at IS NULL AND removed_at IS NULL"})

# The search for the prior film of a film that was read: it ends at `until`, whatever came of it.
prior_search = numbered_table(
    "prior_search",
    Column("film_id", RowId, ForeignKey("film.id"), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("fetched_film_id", RowId, ForeignKey("fetched_film.id")),
    # SOP Instance UIDs that were fetched and are no prior of this film.
    Column("unsuitable", JSON_VALUE, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("source", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_prior_search_fetched_film_id", "fetched_film_id"),
    Index("ix_prior_search_created_at", "created_at"),
)
Index("ix_prior_search_due", prior_search.c.due_at, info={"where": "state = 'waiting'"})

# Whether a source answered when it was last asked, since when, and why not.
prior_source_state = numbered_table(
    "prior_source_state",
    Column("source", String(64), nullable=False, unique=True),
    # Empty while it answers.
    Column("detail", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
)

IS_WAITING = prior_search.c.state == literal_column("'waiting'", String)
IS_UNREAD = fetched_film.c.read_at.is_(None) & fetched_film.c.removed_at.is_(None)
"""Conditions of the partial indexes: literals, as only then do the planners use them."""

# A measurement or score of a film beside that of its fetched prior film, as `compared_value` has them of received ones.
fetched_compared_value = numbered_table(
    "fetched_compared_value",
    Column("film_id", RowId, ForeignKey("film.id"), nullable=False),
    Column("fetched_film_id", RowId, ForeignKey("fetched_film.id"), nullable=False),
    *compared_columns(),
    UniqueConstraint("film_id", "key"),
    Index("ix_fetched_compared_value_fetched_film_id", "fetched_film_id"),
)


# A film that an archive was asked to send to this node (C-MOVE): when it comes from that AE title, it is no received
# film. The row is removed when the search has taken it, or a day later.
moved_film = numbered_table(
    "moved_film",
    Column("sop_instance_uid", UID_TEXT, nullable=False, unique=True),
    Column("calling_ae_title", AE_TITLE, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("arrived_at", UtcDateTime),
    Column("archive_key", String(200)),
    Column("digest", DIGEST),
    Index("ix_moved_film_requested_at", "requested_at"),
)
