"""`cxr-node run`: run the node in the foreground."""

import json
import logging
import sys
import threading
from collections.abc import Sequence
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.archive import space
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.config import ConfigurationError, Loaded
from cxr_node.db.database import DatabaseDamaged, DatabaseUnavailable, WrongDatabase
from cxr_node.db.url import is_postgresql
from cxr_node.ops import logs, preflight
from cxr_node.ops.single_instance import AlreadyRunning
from cxr_node.service import supervisor
from cxr_node.settings.root import Settings
from cxr_node.wiring.role_names import Role

_log = logging.getLogger(__name__)


def run(
    path: ConfigOption = DEFAULT_CONFIG,
    roles: Annotated[str, typer.Option(help="Roles to run on this host, separated by commas.")] = ",".join(Role),
    as_json: JsonOption = False,
) -> None:
    """Run the node until SIGTERM or Ctrl-C. The database schema is upgraded first."""
    with reporting_errors():
        loaded = config.read(path)
        settings = loaded.settings
        logs.configure(settings.log.level)
        wanted = _roles(roles)
        _check(loaded, wanted)
        try:
            progress = _Progress(settings, wanted)
            supervisor.run(settings, path, wanted, on_ready=_print_ready_json if as_json else progress.note_ready)
        except ConfigurationError as error:
            raise ConfigurationError([loaded.places.add(problem) for problem in error.problems]) from None
        except AlreadyRunning as error:
            raise CommandError(str(error)) from None
        except (WrongDatabase, DatabaseDamaged):
            raise
        except (DatabaseUnavailable, OSError) as error:
            if isinstance(error, DatabaseUnavailable) and is_postgresql(settings.database_url):
                fault = "database.url: the server gives no response, or refuses the user or the database"
                remedy = "start it, or correct the URL; `cxr-node doctor` checks it"
                raise ConfigurationError([loaded.places.add(f"{fault}; {remedy}")]) from error
            # SQLite and the system name a full disk in many ways, as that a file cannot be opened or written.
            if sentence := space.full_disk(settings.node.data_folder):
                raise CommandError(sentence) from error
            raise


def _check(loaded: Loaded, roles: Sequence[Role]) -> None:
    """Raise ConfigurationError for settings that keep a role from starting, and log findings that no bundle has."""
    problems = preflight.faults(loaded.settings, roles)
    if problems:
        raise ConfigurationError([loaded.places.add(problem) for problem in problems])
    for problem in preflight.unknown_findings(loaded.settings):
        _log.warning("configuration: %s", loaded.places.add(problem))


def _roles(text: str) -> list[Role]:
    try:
        return [Role(name.strip()) for name in text.split(",")]
    except ValueError:
        raise ConfigurationError([f"--roles: {text!r} is not valid; expected some of {', '.join(Role)}"]) from None


class _Progress:
    """Prints each role that is ready and, once all are, where films and people are received."""

    def __init__(self, settings: Settings, roles: Sequence[Role]) -> None:
        self._ae_title = settings.receive.ae_title
        self._waiting = {role for role in roles if role is not Role.SHADOW or settings.read.shadow}
        self._addresses: dict[Role, str] = {}
        self._lock = threading.Lock()

    def note_ready(self, role: Role, address: str) -> None:
        """Print that a role is ready."""
        with self._lock:
            _write_line(f"{role} is ready{f' at {address}' if address else ''}")
            self._addresses[role] = address
            if role in self._waiting:
                self._waiting.discard(role)
                if not self._waiting:
                    _write_line(self._summary())

    def _summary(self) -> str:
        places = []
        if address := self._addresses.get(Role.RECEIVE):
            places.append(f"films to {self._ae_title}@{address}")
        if address := self._addresses.get(Role.ADMIN):
            places.append(f"page at http://{address}")
        return f"ready{': ' if places else ''}{', '.join(places)}"


def _print_ready_json(role: Role, address: str) -> None:
    _write_line(json.dumps({"role": role, "address": address}))


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
