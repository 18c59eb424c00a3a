"""`cxr-node config`: check settings, print an example, hash a password."""

import secrets

import typer

from cxr_node import config
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, read_password, reporting_errors
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.ops import example_config

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.command("check")
def config_check(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check the settings; with --json, print all of them, without secrets."""
    with reporting_errors():
        loaded = config.read(path)
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
