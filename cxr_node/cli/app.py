"""Command line application: `run`, `config`, `db`, and registration of the other commands."""

import json
import secrets
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli import (
    backup,
    bundle_activate,
    bundle_import,
    bundle_import_onnx,
    bundles,
    compare,
    constancy,
    deliveries,
    demo,
    doctor,
    drift,
    embeddings,
    films,
    grants,
    jobs,
    phantom,
    purge,
    query,
    reconcile,
    reissue,
    replay,
    reports,
    route,
    scrub,
    selftest,
    send,
    senders,
    status,
    studies,
    turnaround,
)
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.config import ConfigurationError
from cxr_node.db import migrate
from cxr_node.domain.password_hash import PasswordHash
from cxr_node.ops import example_config, logs
from cxr_node.ops.single_instance import AlreadyRunning
from cxr_node.records import backfill
from cxr_node.service import supervisor
from cxr_node.wiring.process import Process
from cxr_node.wiring.roles import Role

app = typer.Typer(
    name="cxr-node",
    help="A DICOM node that reads chest radiographs and sends Structured Reports. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Settings.", no_args_is_help=True)
database_app = typer.Typer(help="Job database.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(database_app, name="db")
app.add_typer(jobs.app, name="jobs")
app.add_typer(films.app, name="film")
app.add_typer(route.app, name="route")
app.add_typer(bundles.app, name="bundle")
app.add_typer(selftest.app, name="selftest")
app.add_typer(phantom.app, name="phantom")
app.add_typer(constancy.app, name="constancy")
database_app.command("grant-reader")(grants.grant_reader)
bundles.app.command("import-xrv")(bundle_import.import_xrv)
bundles.app.command("import-chexnet")(bundle_import.import_chexnet)
bundles.app.command("import-onnx")(bundle_import_onnx.import_onnx)
bundles.app.command("pull")(bundle_import.pull)
bundles.app.command("activate")(bundle_activate.activate)
bundles.app.command("deactivate")(bundle_activate.deactivate)
bundles.app.command("uses")(bundle_activate.uses)
app.command("send")(send.send)
app.command("echo")(send.echo)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("query")(query.query)
app.command("drift")(drift.drift)
app.command("compare")(compare.compare)
app.command("status")(status.status)
app.command("study")(studies.study)
app.command("senders")(senders.senders)
app.command("turnaround")(turnaround.turnaround)
app.command("deliveries")(deliveries.deliveries)
app.command("retry")(deliveries.retry)
app.command("requeue")(deliveries.requeue)
app.command("purge")(purge.purge)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(reports.app, name="report")
app.add_typer(embeddings.app, name="embeddings")
app.command("reconcile")(reconcile.reconcile)
app.command("reissue")(reissue.reissue)
app.command("replay")(replay.replay)
app.command("scrub")(scrub.scrub)


def _print_version(is_set: bool) -> None:
    if is_set:
        typer.echo(f"cxr-node {version('cxr-node')}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    path: ConfigOption = DEFAULT_CONFIG,
    roles: Annotated[str, typer.Option(help="Roles to run on this host, separated by commas.")] = ",".join(Role),
    as_json: JsonOption = False,
) -> None:
    """Run the node until SIGTERM or Ctrl-C. The database schema is upgraded first."""
    with reporting_errors():
        settings = config.load(path)
        logs.configure(settings.log.level)
        try:
            supervisor.run(settings, path, _roles(roles), on_ready=_print_ready_json if as_json else _print_ready)
        except AlreadyRunning as error:
            raise CommandError(str(error)) from None


@config_app.command("check")
def config_check(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check the settings; with --json, print all of them, without secrets."""
    with reporting_errors():
        settings = config.load(path)
    if as_json:
        typer.echo(settings.without_secrets().model_dump_json(indent=2))
        return
    names = ", ".join(destination.name for destination in settings.deliver.destinations)
    typer.echo(f"{path} is valid")
    typer.echo(
        f"results are delivered to {names}" if names else "results are not delivered: [[deliver.destinations]] is empty"
    )


@config_app.command("example")
def config_example() -> None:
    """Print every setting with its default and description."""
    typer.echo(example_config.text(), nl=False)


@config_app.command("password")
def config_password() -> None:
    """Prompt for a password and print its hash, for [[receive.users]] and [[web.users]]."""
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    typer.echo(str(PasswordHash.from_password(password, salt=secrets.token_bytes(16))))


@database_app.command("upgrade")
def database_upgrade(path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Upgrade the database to the schema of this version. `run` does so at its start."""
    with reporting_errors(), Process.open(config.load(path)) as process:
        migrate.upgrade(process.database)
        backfill.fill_all(process.database)
    typer.echo("the database schema is up to date")


def _roles(text: str) -> list[Role]:
    try:
        return [Role(name.strip()) for name in text.split(",")]
    except ValueError:
        raise ConfigurationError([f"--roles: {text!r} is not valid; expected some of {', '.join(Role)}"]) from None


def _print_ready(role: Role, address: str) -> None:
    _write_line(f"{role} is ready{f' at {address}' if address else ''}")


def _print_ready_json(role: Role, address: str) -> None:
    _write_line(json.dumps({"role": role, "address": address}))


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
