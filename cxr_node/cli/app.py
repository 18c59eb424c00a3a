"""Command line application. A command's module is imported when the command is run, so that each starts quickly."""

import importlib
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

RUN, LOOK, ACT = "Run", "Look", "Act"
MODELS, SET_UP, TRY = "Models", "Set up", "Try and test"

COMMANDS: dict[str, tuple[str, str]] = {
    "run": (RUN, "run:run"),
    "status": (LOOK, "status:status"),
    "study": (LOOK, "studies:study"),
    "jobs": (LOOK, "jobs:app"),
    "deliveries": (LOOK, "deliveries:deliveries"),
    "explain": (LOOK, "explain:explain"),
    "senders": (LOOK, "senders:senders"),
    "turnaround": (LOOK, "turnaround:turnaround"),
    "report": (LOOK, "reports:app"),
    "film": (LOOK, "films:app"),
    "query": (LOOK, "query:query"),
    "drift": (LOOK, "drift:drift"),
    "retry": (ACT, "deliveries:retry"),
    "requeue": (ACT, "deliveries:requeue"),
    "reissue": (ACT, "reissue:reissue"),
    "purge": (ACT, "purge:purge"),
    "backup": (ACT, "backup:backup"),
    "restore": (ACT, "backup:restore"),
    "adopt": (ACT, "adopt:adopt"),
    "reconcile": (ACT, "reconcile:reconcile"),
    "scrub": (ACT, "scrub:scrub"),
    "bundle": (MODELS, "bundle_group:app"),
    "compare": (MODELS, "compare:compare"),
    "replay": (MODELS, "replay:replay"),
    "embeddings": (MODELS, "embeddings:app"),
    "constancy": (MODELS, "constancy:app"),
    "config": (SET_UP, "settings:app"),
    "db": (SET_UP, "schema:app"),
    "doctor": (SET_UP, "doctor:doctor"),
    "route": (SET_UP, "route:app"),
    "echo": (SET_UP, "send:echo"),
    "try": (TRY, "try_films:try_films"),
    "demo": (TRY, "demo:demo"),
    "send": (TRY, "send:send"),
    "phantom": (TRY, "phantom:app"),
    "selftest": (TRY, "selftest:app"),
}
"""Section of the help, and module of this package with the function or group, of each command."""


class CommandGroup(TyperGroup):
    """Group that imports a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # as in the base class
        """Return the names of all commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of this name."""
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            self.commands[cmd_name] = _load(cmd_name)
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    cls=CommandGroup,
    name="cxr-node",
    help="A DICOM node that reads chest radiographs and sends Structured Reports. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _load(name: str) -> Any:
    section, place = COMMANDS[name]
    module, _, attribute = place.partition(":")
    target = getattr(importlib.import_module(f"cxr_node.cli.{module}"), attribute)
    command: Any
    if isinstance(target, typer.Typer):
        command = typer.main.get_group(target)
    else:
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name)(target)
        command = typer.main.get_command(single)
    command.name, command.rich_help_panel = name, section
    return command


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
