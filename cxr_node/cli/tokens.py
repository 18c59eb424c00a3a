"""`cxr-node token`: API tokens of programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cxr_node.cli.database import read_write
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, err, reporting_errors
from cxr_node.cli.users import IdentifiersOption
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.ops import operator_log
from cxr_node.ops.tokens import TokenAdministration, TokenProblem
from cxr_node.records.api_tokens import ApiToken

app = typer.Typer(help="API tokens of programs.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="Name of the token, such as that of the program.")]


@app.command("add")
def add(
    name: NameArgument,
    path: ConfigOption = DEFAULT_CONFIG,
    role: Annotated[PageRole, typer.Option(help="viewer reads; operator may also change things.")] = PageRole.VIEWER,
    sees_films: Annotated[bool, typer.Option("--sees-films", help="Permit films and their readings.")] = False,
    sees_identifiers: IdentifiersOption = False,
    days: Annotated[float, typer.Option(help="Days until the token expires.")] = 90,
) -> None:
    """Make a token and print it. It is shown only now, and only its digest is stored."""
    with _administration(path) as tokens:
        permissions = Permissions(role=role, sees_films=sees_films, sees_identifiers=sees_identifiers)
        secret = tokens.add(name, permissions, days=days)
    err.print(f"valid for {days:g} days; send it with each request: Authorization: Bearer TOKEN", markup=False)
    typer.echo(secret)


@app.command("list")
def list_tokens(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """List tokens, the newest first; also those that have expired or were revoked."""
    with _administration(path) as tokens:
        rows = [_row(token) for token in tokens.tokens()]
        none = "no tokens: `cxr-node token add NAME` makes one"
        print_rows(rows, _COLUMNS, shown=_SHOWN, none=none, as_json=as_json, as_csv=as_csv)


@app.command("revoke")
def revoke(name: NameArgument, path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Revoke a token: from the next request on it is not accepted."""
    with _administration(path) as tokens:
        tokens.revoke(name)
    typer.echo(f"token {name} is revoked")


@contextmanager
def _administration(path: Path) -> Iterator[TokenAdministration]:
    with reporting_errors(), read_write(path) as process:
        try:
            yield TokenAdministration(process=process, by=operator_log.operator_name())
        except TokenProblem as error:
            raise CommandError(str(error)) from None


def _row(token: ApiToken) -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.permissions.role,
        "sees_films": token.permissions.sees_films,
        "sees_identifiers": token.permissions.sees_identifiers,
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "last_used_at": token.last_used_at,
    }


_PERMISSIONS = ("name", "role", "sees_films", "sees_identifiers")
_COLUMNS = (*_PERMISSIONS, "created_at", "created_by", "expires_at", "revoked_at", "last_used_at")
_SHOWN = (*_PERMISSIONS, "expires_at", "revoked_at", "last_used_at")
