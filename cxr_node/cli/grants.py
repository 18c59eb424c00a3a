"""`cxr-node db grant-reader`: read permission on the views for a PostgreSQL role."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.audit.events import SECURITY_CONFIGURATION
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, reporting_errors
from cxr_node.db import schema_version
from cxr_node.db.url import read_only_url
from cxr_node.ops import operator_log
from cxr_node.queries import grants
from cxr_node.wiring.process import Process


def grant_reader(
    role: Annotated[str, typer.Argument(help="An existing PostgreSQL role.")],
    path: ConfigOption = DEFAULT_CONFIG,
    at_most_s: Annotated[int, typer.Option("--at-most", min=1, help="Statement timeout of the role, in seconds.")] = 60,
    with_identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Grant v1_film_identifiers too; without, revoke it.")
    ] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Only print the SQL.")] = False,
) -> None:
    """Grant a PostgreSQL role read access to the views only; for SQLite, print the read-only URL.

    Looks at identifiers by SQL are not in the audit trail: grant them to a role of one person each.
    """
    with reporting_errors(), Process.open(config.load(path)) as process:
        if process.database.engine.dialect.name == "sqlite":
            url = read_only_url(process.settings.database_url)
            raise CommandError(f"SQLite has no roles: open it as {url}, and restrict access by file permissions")
        with process.database.write() as transaction:
            connection = transaction.connection
            if why_not := schema_version.why_not(connection):
                raise CommandError(why_not)
            statements = grants.statements(connection, role, timeout_s=at_most_s, with_identifiers=with_identifiers)
            if only_print:
                typer.echo(";\n".join(statements) + ";")
                return
            if not grants.exists(connection, role):
                raise CommandError(f"there is no role {role!r}: create it first, such as with CREATE ROLE {role} LOGIN")
            denied = grants.run(connection, statements)
            if any(statement.startswith(("GRANT", "REVOKE")) for statement in denied):
                raise CommandError(f"nothing was granted: {_needed(denied, 'the owner of the database')}")
        what = f"role {role} may read the views{', with identifiers' if with_identifiers else ''}"
        operator_log.record(process, what, subject="database", kind=SECURITY_CONFIGURATION)
    views = "the views" if with_identifiers else "the views without identifiers"
    typer.echo(f"{role} may read {views}, and nothing else")
    if denied:
        typer.echo(f"Its read-only transactions and time-outs are not set: {_needed(denied, 'a role with CREATEROLE')}")


def _needed(statements: Sequence[str], who: str) -> str:
    """Return a sentence with the statements that another role must run."""
    lines = "".join(f"\n{statement};" for statement in statements)
    return f"the node's database role lacks the privilege. Run this as {who}, such as with psql -U postgres:{lines}"
