"""Databases that are lost with films kept: removed, emptied, replaced, put back to an older state, damaged."""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy.engine import make_url

from cxr_node.db import migrate
from cxr_node.db.database import DatabaseDamaged, WrongDatabase
from cxr_node.db.url import sqlite_file
from cxr_node.faults import ledger_check, scratch
from cxr_node.faults.context import FaultContext
from cxr_node.faults.group_run import GroupRun
from cxr_node.faults.outcome import GroupResult, LedgerResult, total
from cxr_node.faults.scratch import ScratchNode
from cxr_node.faults.scratch_network import ScratchNetwork
from cxr_node.ops import adoption
from cxr_node.records import dump
from cxr_node.simulators.clock import SimulatedClock
from cxr_node.simulators.node import wired_node
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.wiring.database_guard import DatabaseGuard, save_open_database
from cxr_node.wiring.process import Process

GROUP = "database removed, emptied, replaced, put back, damaged"
_FIRST_FILM = 71_000_000
_BEFORE, _AFTER = 2, 2
"""Films before the copy that is put back, and after it."""
_PAGE_BYTES = 4096

Loss = Callable[[ScratchNode, Path], None]
"""Loses the database of a node; the path is that of an older copy of it."""


def run(context: FaultContext) -> GroupResult:
    """Lose a database in each way: no Success for its films, no start on it, and no film lost once it is mended."""
    group = GroupRun(context, GROUP, first_film=_FIRST_FILM)
    ways = _SQLITE if context.kind == "sqlite" else _POSTGRESQL
    losses = dict(islice(ways.items(), context.amounts.lost_databases))
    ledgers: list[LedgerResult] = []
    for number, (name, lose) in enumerate(losses.items()):
        context.on_progress("lost databases", number, len(losses))
        ledger = _Case(context, group, name).run(lose)
        ledgers.append(replace(ledger, problems=tuple(f"{name}: {problem}" for problem in ledger.problems)))
    return group.result(total(ledgers), faults=len(losses))


class _Case:
    """One node that loses its database. `promised` are the studies of its films that got Success."""

    def __init__(self, context: FaultContext, group: GroupRun, name: str) -> None:
        self._context = context
        self._group = group
        self._name = name
        self._promised_before = set(group.promised)

    def run(self, lose: Loss) -> LedgerResult:
        with ExitStack() as stack:
            pacs = stack.enter_context(SimulatedPacs())
            name = f"lost-{self._name.replace(' ', '-')}"
            place = stack.enter_context(
                self._context.node(name, destinations={"pacs": scratch.to_pacs(pacs.port)}, sections=_ONE_TICK)
            )
            self._lose(place, lose)
            self._check_refused(place)
            self._mend(place)
            with wired_node(place.settings, network=ScratchNetwork) as node:
                self._group.store(node.port)
                node.pass_time(timedelta(minutes=5))
            promised = {
                study: film for study, film in self._group.promised.items() if study not in self._promised_before
            }
            return ledger_check.check(place.settings, promised, pacs.by_study)

    def _lose(self, place: ScratchNode, lose: Loss) -> None:
        """Run a node, lose its database, and let the supervisor's guard look."""
        older = place.folder / "older.db"
        with (
            Process.open(place.settings) as process,
            wired_node(place.settings, network=ScratchNetwork) as node,
        ):
            guard = DatabaseGuard(process)
            for _ in range(_BEFORE):
                self._group.store(node.port)
            node.pass_time(timedelta(minutes=1))
            dump.write(node.database, older)
            for _ in range(_AFTER):
                self._group.store(node.port)
            guard.check()
            if self._name not in _AT_REST:
                lose(place, older)
                self._check_noticed(node.port, guard, process)
        if self._name in _AT_REST:
            lose(place, older)

    def _check_noticed(self, port: int, guard: DatabaseGuard, process: Process) -> None:
        if self._group.send(port) == 0 and self._context.kind == "sqlite":
            self._problem("a film got Success for a row that is gone")
        try:
            guard.check()
        except WrongDatabase as error:
            saved = save_open_database(process, error)
            if ("saved-" in str(saved)) != (self._name in _LOSES_ITS_NAME):
                self._problem(f"whether the open file was saved: {saved}")
        else:
            self._problem("the supervisor did not notice")

    def _check_refused(self, place: ScratchNode) -> None:
        try:
            with wired_node(place.settings, network=ScratchNetwork, listens=False):
                self._problem("the node started without the rows of its films")
        except (WrongDatabase, DatabaseDamaged):
            return

    def _mend(self, place: ScratchNode) -> None:
        """Take the saved file if the database was removed, else read the kept films into the database."""
        settings, file = place.settings, sqlite_file(place.settings.database_url)
        saved = list(settings.node.data_folder.glob("saved-*.db"))
        if file is not None and self._name == "removed" and saved:
            _put_back(place, saved[0])
            return
        if file is not None and self._name == "damaged":
            for path in _files(file):
                path.unlink(missing_ok=True)
        with Process.open(settings, clock=SimulatedClock()) as process:
            migrate.upgrade(process.database)
            adopted, refusals = adoption.adopt(process)
        if not adopted or refusals:
            self._problem(f"{adopted} films adopted, {len(refusals)} not")

    def _problem(self, text: str) -> None:
        self._group.problems.append(f"{self._name}: {text}")


def _remove(place: ScratchNode, _: Path) -> None:
    _file(place).unlink()


def _empty(place: ScratchNode, _: Path) -> None:
    _checkpoint(place)
    os.truncate(_file(place), 0)


def _replace(place: ScratchNode, older: Path) -> None:
    _checkpoint(place)
    older.rename(_file(place))


def _put_back(place: ScratchNode, older: Path) -> None:
    """Put an older copy in the place of the database, as a person does: with the log of the newer one removed."""
    file = _file(place)
    for path in _files(file):
        path.unlink(missing_ok=True)
    older.rename(file)


def _damage(place: ScratchNode, _: Path) -> None:
    """Overwrite each second page with bytes of the one before."""
    _checkpoint(place)
    file = _file(place)
    content = bytearray(file.read_bytes())
    for start in range(_PAGE_BYTES, len(content) - _PAGE_BYTES, 2 * _PAGE_BYTES):
        content[start + _PAGE_BYTES : start + 2 * _PAGE_BYTES] = content[start : start + _PAGE_BYTES]
    file.write_bytes(content)


def _checkpoint(place: ScratchNode) -> None:
    """Write the log into the file: SQLite would mend a file that was emptied from it."""
    with closing(sqlite3.connect(_file(place))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _drop_schema(place: ScratchNode, _: Path) -> None:
    url = make_url(place.settings.database_url)
    name = str(url.query["options"]).rpartition("=")[2]
    scratch.execute(url, f"DROP SCHEMA {name} CASCADE")
    scratch.execute(url, f"CREATE SCHEMA {name}")


def _restore_older(place: ScratchNode, older: Path) -> None:
    _drop_schema(place, older)
    with Process.open(place.settings) as process:
        dump.read(older, process.database)


def _file(place: ScratchNode) -> Path:
    return place.settings.node.data_folder / "node.db"


def _files(file: Path) -> tuple[Path, ...]:
    return file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")


_ONE_TICK: Mapping[str, Mapping[str, object]] = {"schedule": {"tick_s": 0.001}}
"""The guard looks at the newest film at each of its checks."""
_AT_REST = frozenset({"put back", "damaged"})
_LOSES_ITS_NAME = frozenset({"removed", "replaced"})
_SQLITE: Mapping[str, Loss] = {
    "removed": _remove,
    "put back": _put_back,
    "emptied": _empty,
    "replaced": _replace,
    "damaged": _damage,
}
_POSTGRESQL: Mapping[str, Loss] = {"emptied": _drop_schema, "put back": _restore_older}
