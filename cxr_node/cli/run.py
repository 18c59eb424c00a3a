"""`cxr-node run`: run the node in the foreground."""

import json
import sys
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.archive import space
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.config import ConfigurationError
from cxr_node.db.database import DatabaseDamaged, DatabaseUnavailable, WrongDatabase
from cxr_node.ops import logs, preflight
from cxr_node.ops.single_instance import AlreadyRunning
from cxr_node.service import supervisor
from cxr_node.wiring.role_names import Role


def run(
    path: ConfigOption = DEFAULT_CONFIG,
    roles: Annotated[str, typer.Option(help="Roles to run on this host, separated by commas.")] = ",".join(Role),
    as_json: JsonOption = False,
) -> None:
    """Run the node until SIGTERM or Ctrl-C. The database schema is upgraded first."""
    with reporting_errors():
        settings = config.load(path)
        logs.configure(settings.log.level)
        wanted = _roles(roles)
        problems = preflight.faults(settings, wanted)
        if problems:
            raise ConfigurationError([f"{problem} (in {path})" for problem in problems])
        try:
            supervisor.run(settings, path, wanted, on_ready=_print_ready_json if as_json else _print_ready)
        except AlreadyRunning as error:
            raise CommandError(str(error)) from None
        except (WrongDatabase, DatabaseDamaged):
            raise
        except (DatabaseUnavailable, OSError) as error:
            # SQLite and the system name a full disk in many ways, as that a file cannot be opened or written.
            if sentence := space.full_disk(settings.node.data_folder):
                raise CommandError(sentence) from error
            raise


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
