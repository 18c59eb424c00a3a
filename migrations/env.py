"""Alembic environment: migrates the connection in the attributes, or the database of CXR_NODE_DATABASE_URL."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from cxr_node.db import (  # noqa: F401  # they add to the metadata
    account_tables,
    cascade_tables,
    comparison_tables,
    correction_tables,
    export_tables,
    identifier_tables,
    monitoring_tables,
    point_tables,
    prior_tables,
    procedure_step_tables,
)
from cxr_node.db.tables import metadata


def run(connection: Connection) -> None:
    """Apply the requested migrations on an open connection."""
    # SQLite cannot alter most of a table in place: batch mode copies it.
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:
    with create_engine(os.environ["CXR_NODE_DATABASE_URL"]).begin() as own_connection:
        run(own_connection)
