"""Tables of users of the web page, their sessions, and API tokens."""

from sqlalchemy import Boolean, Column, Index, String, Text, false

from cxr_node.db.tables import DIGEST, UtcDateTime, numbered_table

_NAME = String(64)
_ACTOR = String(128)


def _sees_identifiers() -> Column[bool]:
    return Column("sees_identifiers", Boolean, nullable=False, server_default=false())


# A user of the page beside those of the settings. A locked one cannot log in.
web_user = numbered_table(
    "web_user",
    Column("name", _NAME, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("sees_films", Boolean, nullable=False),
    _sees_identifiers(),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", _ACTOR, nullable=False),
    Column("password_changed_at", UtcDateTime, nullable=False),
    Column("locked_at", UtcDateTime),
)

# A session, by the digest of the token in its cookie; also of users of the settings and of an OpenID Provider.
web_session = numbered_table(
    "web_session",
    Column("user_name", String(128), nullable=False),
    Column("token_digest", DIGEST, nullable=False, unique=True),
    Column("address", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_web_session_user_name", "user_name"),
    Index("ix_web_session_expires_at", "expires_at"),
)

# A token of a program that uses the API, by its digest.
api_token = numbered_table(
    "api_token",
    Column("name", _NAME, nullable=False, unique=True),
    Column("token_digest", DIGEST, nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("sees_films", Boolean, nullable=False),
    _sees_identifiers(),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", _ACTOR, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)
