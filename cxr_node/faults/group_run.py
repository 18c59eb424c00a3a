"""Run of a fault group: films that got Success, problems, and the result with the check of the ledger."""

from collections.abc import Iterable

from cxr_node.db.database import Database
from cxr_node.faults import ledger_check
from cxr_node.faults.context import FaultContext, stopwatch
from cxr_node.faults.films import Films
from cxr_node.faults.load import send
from cxr_node.faults.outcome import GroupResult, LedgerResult
from cxr_node.faults.scratch import ScratchNode
from cxr_node.queries.ledger import Fate, entries
from cxr_node.simulators.pacs import SimulatedPacs


class GroupRun:
    """A group in progress on one database.

    `promised` has the Study and SOP Instance UID of each film that got Success; `problems` are broken promises.
    """

    def __init__(self, context: FaultContext, group: str, *, first_film: int = 0, films: Films | None = None) -> None:
        self.context = context
        self.promised: dict[str, str] = {}
        self.problems: list[str] = []
        self._group = group
        self._first_film = first_film
        self._films = films or context.films
        self._seconds = stopwatch()

    def send(self, port: int) -> int | None:
        """Send the next film once; return the status, None without a response."""
        film = self._films.make(self._first_film + len(self.promised))
        status = send(film, port)
        if status == 0:
            self.promised[str(film.StudyInstanceUID)] = str(film.SOPInstanceUID)
        return status

    def store(self, port: int) -> None:
        """Send the next film, which must get Success."""
        status = self.send(port)
        if status != 0:
            self.problems.append(f"a film got status {status}")

    def wait_until_idle(
        self, place: ScratchNode, pacs: SimulatedPacs, timeout_s: float, *, pause_s: float = 0.05
    ) -> None:
        """Wait until every film has its report and every job has ended."""
        self.problems += ledger_check.wait_until_idle(place.settings, self.promised, pacs, timeout_s, pause_s=pause_s)

    def delivered(self, database: Database) -> set[str]:
        """Return the studies with Success whose film is delivered by the ledger."""
        with database.read() as connection:
            films = {row.sop_instance_uid for row in entries(connection) if row.fate is Fate.DELIVERED}
        return {study for study, film in self.promised.items() if film in films}

    def check_ledger(self, place: ScratchNode, pacs: SimulatedPacs, *, is_fuzzed: bool = False) -> LedgerResult:
        """Check the node whose jobs have all ended."""
        return ledger_check.check(
            place.settings, self.promised, pacs.by_study, allow_failed_jobs=is_fuzzed, allow_extra_films=is_fuzzed
        )

    def result(
        self, ledger: LedgerResult, *, faults: int, notes: Iterable[str] = (), problems: Iterable[str] = ()
    ) -> GroupResult:
        """Return the result of the group; `problems` are added to its own and those of the ledger."""
        return GroupResult(
            group=self._group,
            database=self.context.kind,
            faults=faults,
            films=ledger.films,
            confirmed=ledger.confirmed,
            lost=len(ledger.lost),
            duplicated=len(ledger.duplicated),
            seconds=self._seconds(),
            problems=(*self.problems, *problems, *ledger.problems),
            notes=tuple(notes),
        )
