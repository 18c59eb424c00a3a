"""Migrations in tests: a database brought to a revision, and the chain with a second migration made for tests."""

import shutil
from pathlib import Path

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from cxr_node.db import migrate, schema_version
from cxr_node.db.database import Database
from tests.support.films import ROOT

MADE = "9000"
"""Revision of the migration made for tests."""


def with_test_migrations(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Use the package's migrations in this process, followed by those of tests/migration/versions."""
    chain = folder / "migrations"
    shutil.copytree(ROOT / "migrations", chain)
    for migration in (ROOT / "tests" / "migration" / "versions").glob("*.py"):
        shutil.copy(migration, chain / "versions")
    monkeypatch.setattr(schema_version, "migrations_folder", lambda: chain)
    monkeypatch.setattr(migrate, "migrations_folder", lambda: chain)


def revisions() -> list[str]:
    """Return the revisions, the oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(migrate._config()).walk_revisions()][::-1]


def bring_to(database: Database, revision: str) -> None:
    """Upgrade or downgrade to a revision."""
    with database.write() as transaction:
        config = migrate._config()
        config.attributes["connection"] = transaction.connection
        present = MigrationContext.configure(transaction.connection).get_current_revision() or ""
        is_newer = revision == "base" or present > revision
        (command.downgrade if is_newer else command.upgrade)(config, revision)
