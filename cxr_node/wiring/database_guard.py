"""The database held against the kept films: at the start, and while the node runs."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cxr_node.archive.store import is_film_key
from cxr_node.db.database import WrongDatabase
from cxr_node.domain.clock import local_time
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.files import replace_whole
from cxr_node.queries import archived
from cxr_node.queries.archived import NewestFilm
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process

_log = logging.getLogger(__name__)

_NEXT_STEP = "restore a backup, or run `cxr-node adopt` to read the kept films into this database; then start the node"


def check_start(process: Process) -> None:
    """Check that the database is whole and records the kept films.

    Raises
    ------
    DatabaseDamaged
        If its pages do not fit together.
    WrongDatabase
        If it is empty or older than the kept films.
    """
    process.database.check_pages()
    has_schema, newest = _newest_film(process)
    stamp = read_stamp(process.settings)
    if not has_schema and (stamp is not None or any(is_film_key(key) for key in process.archive.stored_keys())):
        raise WrongDatabase(f"the database is empty, but films are kept: {_NEXT_STEP}")
    _check_age(newest, stamp)


def read_stamp(settings: Settings) -> NewestFilm | None:
    """Return the newest film that this host has seen in the database; None before the first."""
    path = _path(settings)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return NewestFilm(int(content["film"]), datetime.fromisoformat(content["received_at"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        _log.warning("%s cannot be read: whether the database is the newest is not checked", path)
        return None


def write_stamp(settings: Settings, newest: NewestFilm) -> None:
    """Write the newest film of the database beside the archive, durably."""
    path = _path(settings)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {"film": newest.film_id, "received_at": newest.received_at.astimezone(UTC).isoformat()}
    replace_whole(path, json.dumps(content).encode() + b"\n")


def reset_stamp(settings: Settings, newest: NewestFilm | None) -> None:
    """Take the newest film of the database as the newest there was, also if it is older than the stamp."""
    if newest is None:
        _path(settings).unlink(missing_ok=True)
    else:
        write_stamp(settings, newest)


class DatabaseGuard:
    """Checks of the supervisor while the node runs: its file at each check, its newest film at each tick."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stamp = read_stamp(process.settings)
        self._every = timedelta(seconds=process.settings.schedule.tick_s)
        self._due_at = process.clock()

    def check(self) -> None:
        """Raise WrongDatabase if the database was removed, replaced, emptied or put back to an older state."""
        process = self._process
        process.database.check_file()
        now = process.clock()
        if now < self._due_at and self._due_at - now <= self._every:
            return
        self._due_at = now + self._every
        try:
            _, newest = _newest_film(process)
        except WrongDatabase:
            raise
        except RetryLater:  # the roles say so
            return
        _check_age(newest, self._stamp)
        if newest is None or newest == self._stamp:
            return
        try:
            write_stamp(process.settings, newest)
        except OSError as error:
            _log.warning("the newest film is not written beside the archive: %s", error.strerror)
            return
        self._stamp = newest


def save_open_database(process: Process, error: WrongDatabase) -> WrongDatabase:
    """Copy a SQLite file that lost its name while it was open; return the error with the place of the copy.

    Call after the roles have ended.
    """
    copy = process.settings.node.data_folder / f"saved-{process.clock():%Y%m%dT%H%M%S}.db"
    if process.database.save_open_file(copy):
        copy.chmod(0o600)
        return WrongDatabase(f"{error}. All its rows are in {copy}: give it the name of the database")
    copy.unlink(missing_ok=True)
    return error


def _newest_film(process: Process) -> tuple[bool, NewestFilm | None]:
    """Return whether the database has tables, and its newest film."""
    with process.database.read() as connection:
        has_schema = archived.has_schema(connection)
        return has_schema, archived.newest_film(connection) if has_schema else None


def _check_age(newest: NewestFilm | None, stamp: NewestFilm | None) -> None:
    if stamp is None or (newest is not None and newest.film_id >= stamp.film_id):
        return
    number = 0 if newest is None else newest.film_id
    raise WrongDatabase(
        f"the database is older than the kept films: its newest film is number {number}, and number {stamp.film_id} "
        f"was received on {local_time(stamp.received_at)}: {_NEXT_STEP}"
    )


def _path(settings: Settings) -> Path:
    return settings.node.data_folder / "archive" / "newest_film.json"
