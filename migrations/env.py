"""Runs migrations on the connection it is given, or on the one that CXR_NODE_DATABASE_URL names."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from cxr_node.db import constancy_tables, monitoring_tables, shadow_tables  # noqa: F401  # they belong to the metadata
from cxr_node.db.tables import metadata


def run(connection: Connection) -> None:
    """Apply the requested migrations on an open connection."""
    # SQLite cannot alter most of a table in place: a batch copies it.
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(os.environ["CXR_NODE_DATABASE_URL"]).begin() as opened:
        run(opened)
