"""`cxr-node config`: check and show settings, undo an edit, print an example, hash a password."""

import secrets
from dataclasses import asdict
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli.rows import CsvOption, print_rows
from cxr_node.cli.terminal import (
    DEFAULT_CONFIG,
    CommandError,
    ConfigOption,
    JsonOption,
    read_password,
    reporting_errors,
)
from cxr_node.config import ConfigurationError
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.ops import example_config, operator_log, preflight, settings_list
from cxr_node.wiring.role_names import Role

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.command("check")
def config_check(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check the settings, and that files and bundles that they name can be used; with --json, print all of them.

    Secrets are not shown.
    """
    with reporting_errors():
        loaded = config.read(path)
        if problems := [*preflight.faults(loaded.settings, tuple(Role)), *preflight.unknown_findings(loaded.settings)]:
            raise ConfigurationError([loaded.places.add(problem) for problem in problems])
    settings = loaded.settings
    if as_json:
        typer.echo(settings.model_dump_json(indent=2))
        return
    names = ", ".join(destination.name for destination in settings.deliver.destinations)
    typer.echo(f"{path} is valid")
    for key, source in loaded.places.sources.items():
        typer.echo(f"{key} is from {source}")
    typer.echo(
        f"results are delivered to {names}" if names else "results are not delivered: [[deliver.destinations]] is empty"
    )


@app.command("show")
def config_show(
    text: Annotated[str, typer.Argument(help="Only settings whose name, value or meaning contains this.")] = "",
    path: ConfigOption = DEFAULT_CONFIG,
    show_all: Annotated[bool, typer.Option("--all", help="Also settings with their default.")] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Show what differs from the defaults, with its place; secrets are hidden. With a text, search all settings."""
    with reporting_errors():
        loaded = config.read(path)
        tables = settings_list.tables(loaded.settings, loaded, text=text, only_changed=not (show_all or text))
        rows = [asdict(row) for table in tables for row in table.rows]
        none = f"no setting contains {text!r}" if text else "every setting has its default"
        print_rows(rows, _COLUMNS, shown=_COLUMNS[:4], none=none, as_json=as_json, as_csv=as_csv)


@app.command("undo")
def config_undo(
    path: ConfigOption = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Undo it; without it, only show the difference.")] = False,
) -> None:
    """Undo the last edit of the settings file by the page, unless the file was changed otherwise since."""
    # Most commands of this group need none of these.
    from cxr_node.ops.settings_edit import proposal
    from cxr_node.ops.settings_edit.settings_file import EditRefused
    from cxr_node.wiring.process import Process

    with reporting_errors():
        loaded = config.read(path)
        with Process.open(loaded.settings, loaded=loaded) as process:
            file = proposal.file_of(process.settings, loaded)
            try:
                undo = proposal.propose_undo(file)
                typer.echo(undo.diff)
                if yes:
                    proposal.apply(process, file, undo, by=operator_log.operator_name(), is_undo=True)
            except EditRefused as error:
                raise CommandError(str(error)) from None
    restart = f"; after a restart: {', '.join(undo.restart_keys)}" if undo.restart_keys else ""
    typer.echo(f"undone{restart}" if yes else "nothing was written: --yes undoes it")


_COLUMNS = ("key", "value", "default", "place", "description", "is_default")


@app.command("example")
def config_example() -> None:
    """Print every setting with its default and description."""
    typer.echo(example_config.text(), nl=False)


@app.command("password")
def config_password() -> None:
    """Print the hash of a password, for receive.users and web.users of the settings. `cxr-node user` needs no hash.

    The password is prompted for, or read from standard input.
    """
    with reporting_errors():
        password = read_password()
    typer.echo(str(PasswordHash.from_password(password, salt=secrets.token_bytes(16))))
