"""Command line application. A command's module is imported when the command is run, so that each starts quickly."""

import gc
import importlib
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

RUN, LOOK, ACT = "Run", "Look", "Act"
MODELS, SET_UP, TRY = "Models", "Set up", "Try and test"


class Entry(NamedTuple):
    """A command or group: its section of the help, where it is defined, and the first sentence of its help."""

    section: str
    place: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "run": Entry(RUN, "run:run", "Run the node until SIGTERM or Ctrl-C."),
    "status": Entry(LOOK, "status:status", "Show problems, queues, destinations, senders and turnaround."),
    "find": Entry(LOOK, "find:find_text", "Find studies, films and jobs, the newest first."),
    "study": Entry(
        LOOK, "studies:study", "Show the films, jobs and deliveries of a study and, if it has no report yet, why."
    ),
    "jobs": Entry(LOOK, "jobs:app", "Jobs: waiting, running, done, not analysed, failed, dismissed."),
    "deliveries": Entry(
        LOOK, "deliveries:deliveries", "List deliveries, newest first, with the last response of each destination."
    ),
    "explain": Entry(LOOK, "explain:explain", "Explain a code of the node: what is so, what it means, what to do."),
    "senders": Entry(
        LOOK,
        "senders:senders",
        "List senders by films not analysed, most first, with the reasons; of the last 7 days by default.",
    ),
    "turnaround": Entry(
        LOOK,
        "turnaround:turnaround",
        "Show seconds from film to report, by day (UTC), sender or equipment; of the last 7 days by default.",
    ),
    "scores": Entry(
        LOOK,
        "scores:scores",
        "Show how often each finding is present, and its scores from 0 to 100; of the last 7 days by default.",
    ),
    "report": Entry(LOOK, "reports:app", "Reports."),
    "film": Entry(LOOK, "films:app", "Single films."),
    "query": Entry(LOOK, "query:query", "Query a view of the database, which is opened read-only."),
    "drift": Entry(
        LOOK,
        "drift:drift",
        "Compare each device's scores, rates, films not analysed and turnaround with their reference.",
    ),
    "destination": Entry(ACT, "pauses:destinations", "Destinations: list, pause and resume deliveries."),
    "reading": Entry(ACT, "pauses:reading", "Reading: pause and resume."),
    "retry": Entry(ACT, "deliveries:retry", "Queue ended jobs again: the same as `cxr-node jobs retry`."),
    "requeue": Entry(
        ACT, "deliveries:requeue", "Queue all matching ended jobs again, such as failed deliveries to one destination."
    ),
    "resend": Entry(
        ACT,
        "resend:resend",
        "Send delivered results to a destination again, such as after it lost them: the same instances.",
    ),
    "reread": Entry(
        ACT,
        "reread:reread",
        "Read films again with the present bundle, and send new versions of their results.",
    ),
    "reissue": Entry(
        ACT,
        "reissue:reissue",
        "Withdraw the results of a study at each destination, and issue them anew under other UIDs.",
    ),
    "withdraw": Entry(
        ACT,
        "withdraw:withdraw",
        "Hide the films of a study, and withdraw the results that they are in at each destination that has them.",
    ),
    "export": Entry(
        ACT,
        "export:export",
        "Export films without identifiers, and their results composed anew, to a folder or a destination.",
    ),
    "purge": Entry(ACT, "purge:purge", "Remove films and results of delivered studies from the archive."),
    "backup": Entry(ACT, "backup:backup", "Back up database, films, results and installed bundles; the node may run."),
    "restore": Entry(
        ACT, "backup:restore", "Restore a backup into an empty node, and check each file against its digest."
    ),
    "adopt": Entry(
        ACT,
        "adopt:adopt",
        "Read kept films without a row into the database, after it was lost or put back to an older state.",
    ),
    "reconcile": Entry(ACT, "reconcile:reconcile", "Account for every received film."),
    "scrub": Entry(ACT, "scrub:scrub", "Verify every archived film and result against its digest."),
    "bundle": Entry(MODELS, "bundle_group:app", "Bundles (models): built-in and installed."),
    "compare": Entry(
        MODELS,
        "compare:compare",
        "Compare a shadow bundle with the reading bundle: kappa, agreement, shift of scores, differing films.",
    ),
    "replay": Entry(
        MODELS,
        "replay:replay",
        "Read a film again with the same network: exit status 0 if every score is bit-identical, 1 if not.",
    ),
    "embeddings": Entry(MODELS, "embeddings:app", "Embeddings of films."),
    "constancy": Entry(MODELS, "constancy:app", "Constancy checks with phantoms."),
    "init": Entry(SET_UP, "init:init", "Write the settings of a new node after six questions, and add the first user."),
    "config": Entry(SET_UP, "settings:app", "Settings."),
    "user": Entry(SET_UP, "users:app", "Users of the web page."),
    "token": Entry(SET_UP, "tokens:app", "API tokens of programs."),
    "db": Entry(SET_UP, "schema:app", "Job database."),
    "doctor": Entry(
        SET_UP,
        "doctor:doctor",
        "Check folders, database, jobs, bundle, GPU, certificates, ports and destinations; print what to do.",
    ),
    "route": Entry(SET_UP, "route:app", "Routing of results."),
    "echo": Entry(SET_UP, "send:echo", "Verify a node by C-ECHO."),
    "try": Entry(
        TRY,
        "try_films:try_films",
        "Try films with the settings of a node: which are read, which are not and why, findings and times.",
    ),
    "demo": Entry(TRY, "demo:demo", "Start a node, a simulated PACS and a modality; send films and show the results."),
    "send": Entry(TRY, "send:send", "Send films to a node by C-STORE."),
    "phantom": Entry(TRY, "phantom:app", "Synthetic films of a thorax with known anatomy."),
    "selftest": Entry(TRY, "selftest:app", "Test this installation."),
}
"""Commands in the order of the help. `place` is a module of this package with the function or group."""


class CommandGroup(TyperGroup):
    """Group that imports a command when it is asked for; its help lists the table without importing any."""

    _is_listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with the commands of the table."""
        self._is_listing = True
        super().format_help(ctx, formatter)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # as in the base class
        """Return the names of all commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of this name."""
        if self._is_listing and cmd_name in COMMANDS:
            entry = COMMANDS[cmd_name]
            return TyperCommand(cmd_name, help=entry.summary, rich_help_panel=entry.section)
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
    entry = COMMANDS[name]
    module, _, attribute = entry.place.partition(":")
    target = getattr(importlib.import_module(f"cxr_node.cli.{module}"), attribute)
    if not gc.isenabled():
        # As `cxr_node.__main__` has disabled it. The modules stay until the process ends, and a collection at its end
        # would visit all their objects.
        gc.freeze()
        gc.enable()
    command: Any
    if isinstance(target, typer.Typer):
        command = typer.main.get_group(target)
    else:
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name)(target)
        command = typer.main.get_command(single)
    command.name, command.rich_help_panel = name, entry.section
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
