"""`cxr-node user`: users of the web page, and their sessions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer

from cxr_node.cli.database import read_write, read_write_or_new
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import (
    DEFAULT_CONFIG,
    CommandError,
    ConfigOption,
    JsonOption,
    read_password,
    reporting_errors,
)
from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.ops import operator_log
from cxr_node.ops.users import UserAdministration, UserProblem, UserStatus
from cxr_node.records.web_sessions import Session

app = typer.Typer(help="Users of the web page.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="User name.")]
IdentifiersOption = Annotated[
    bool, typer.Option("--sees-identifiers", help="Permit accession numbers and Patient IDs; needs --sees-films.")
]
RoleOption = Annotated[PageRole, typer.Option(help="viewer reads; operator may also change the node and its work.")]


@app.command("add")
def add(
    name: NameArgument,
    path: ConfigOption = DEFAULT_CONFIG,
    role: RoleOption = PageRole.VIEWER,
    sees_films: Annotated[bool, typer.Option("--sees-films", help="Permit films and their readings.")] = False,
    sees_identifiers: IdentifiersOption = False,
) -> None:
    """Add a user. The password is prompted for, or read from standard input. The node may run, or not yet exist."""
    with _administration(path, may_be_new=True) as users:
        users.add(
            name, read_password(), Permissions(role=role, sees_films=sees_films, sees_identifiers=sees_identifiers)
        )
    typer.echo(f"user {name} can log in")


@app.command("password")
def password(name: NameArgument, path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Set the password of a user, and end the user's sessions."""
    with _administration(path) as users:
        users.set_password(name, read_password())
    typer.echo(f"the password of {name} is changed, and sessions of {name} have ended")


@app.command("role")
def role(
    name: NameArgument,
    path: ConfigOption = DEFAULT_CONFIG,
    role: Annotated[PageRole | None, typer.Option(help="viewer or operator; without it, unchanged.")] = None,
    sees_films: Annotated[
        bool | None, typer.Option("--sees-films/--sees-no-films", help="Films and readings; without it, unchanged.")
    ] = None,
    sees_identifiers: Annotated[
        bool | None,
        typer.Option(
            "--sees-identifiers/--sees-no-identifiers",
            help="Accession numbers and Patient IDs of films; without it, unchanged.",
        ),
    ] = None,
) -> None:
    """Change the permissions of a user, and end the user's sessions."""
    with _administration(path) as users:
        before = users.user(name).permissions
        after = Permissions(
            role=before.role if role is None else role,
            sees_films=before.sees_films if sees_films is None else sees_films,
            sees_identifiers=before.sees_identifiers if sees_identifiers is None else sees_identifiers,
        )
        users.set_permissions(name, after)
    typer.echo(f"{name}: {after}")


@app.command("lock")
def lock(name: NameArgument, path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Refuse logins of a user, and end the user's sessions."""
    with _administration(path) as users:
        users.lock(name)
    typer.echo(f"{name} is locked")


@app.command("unlock")
def unlock(name: NameArgument, path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Accept logins of a user again."""
    with _administration(path) as users:
        users.unlock(name)
    typer.echo(f"{name} can log in")


@app.command("list")
def list_users(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """List users, of the settings and of the database."""
    with _administration(path) as users:
        rows = [_row(status) for status in users.statuses()]
        none = "no users: `cxr-node user add NAME --role operator` adds one"
        print_rows(rows, _USER_COLUMNS, none=none, as_json=as_json, as_csv=as_csv)


@app.command("sessions")
def sessions(
    name: Annotated[str | None, typer.Argument(help="Only sessions of this user.")] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List open sessions, the newest first."""
    with _administration(path) as users:
        rows = [asdict(row) for row in users.sessions(name)]
        columns = tuple(column.name for column in fields(Session))
        print_rows(rows, columns, none="no sessions", as_json=as_json, as_csv=as_csv)


@app.command("end-sessions")
def end_sessions(name: NameArgument, path: ConfigOption = DEFAULT_CONFIG) -> None:
    """End every session of a user, who may log in again."""
    with _administration(path) as users:
        ended = users.end_sessions(name)
    typer.echo(f"{ended} sessions of {name} have ended")


@contextmanager
def _administration(path: Path, *, may_be_new: bool = False) -> Iterator[UserAdministration]:
    opened = read_write_or_new if may_be_new else read_write
    with reporting_errors(), opened(path) as process:
        try:
            yield UserAdministration(process=process, by=operator_log.operator_name())
        except UserProblem as error:
            raise CommandError(str(error)) from None


def _row(status: UserStatus) -> dict[str, object]:
    user = status.user
    return {
        "name": user.name,
        "role": user.permissions.role,
        "sees_films": user.permissions.sees_films,
        "sees_identifiers": user.permissions.sees_identifiers,
        "locked_at": user.locked_at,
        "last_login": status.last_login,
        "open_sessions": len(status.sessions),
        "defined_in": "settings" if user.is_of_settings else "database",
    }


_USER_COLUMNS = (
    "name",
    "role",
    "sees_films",
    "sees_identifiers",
    "locked_at",
    "last_login",
    "open_sessions",
    "defined_in",
)
