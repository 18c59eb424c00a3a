"""Faults of every kind, done at random to the installed program while it runs, each undone when it has been."""

import os
import resource
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from cxr_node.faults import ledger_check, memory_cgroup
from cxr_node.faults.bucket import Store
from cxr_node.faults.context import FaultContext
from cxr_node.faults.database_restarts import inject
from cxr_node.faults.process_usage import Usage
from cxr_node.faults.scratch import ScratchNode
from cxr_node.faults.supervisor_kills import role_processes
from cxr_node.simulators.pacs import OUT_OF_RESOURCES, SUCCESS, SimulatedPacs, StoreRequest
from cxr_node.simulators.program import Program

_LONGEST_S = 10.0
_SLOW_S = 3.0
_FILE_BYTES = 4096
_MORE_BYTES = 8 << 20
"""Address space, or memory of a cgroup, that a process may take beside what it has."""
_PAGE_BYTES = resource.getpagesize()


class Faults:
    """The faults that can be done to a program, by name; each returns whether the program has ended by it.

    `store` is the object store of its archive, None for a folder. `volume` is a folder of the small volume on which the
    program is, None where there is none. `skipped` has the reason for each fault that cannot be done here.
    """

    def __init__(
        self,
        context: FaultContext,
        place: ScratchNode,
        pacs: SimulatedPacs,
        rng: Random,
        *,
        store: Store | None = None,
        volume: Path | None = None,
    ) -> None:
        self._context, self._place, self._pacs, self._rng = context, place, pacs, rng
        self._store, self._volume = store, volume
        self.done: Counter[str] = Counter()
        self.skipped: dict[str, str] = {}
        self._faults: dict[str, Callable[[Program], bool]] = {
            "role killed": self._kill_role,
            "program killed": self._kill_program,
            "supervisor killed": self._kill_supervisor,
            "role suspended": self._suspend_role,
            "PACS out of resources": self._exhaust_pacs,
            "PACS slow": self._slow_pacs,
            "database away": self._disturb_database,
            "no file descriptors": self._bound_descriptors,
            "no larger files": self._bound_files,
            "no more address space": self._bound_address_space,
            **self._of_archive(),
            **self._of_volume(),
            **self._of_memory(),
        }

    def disturb(self, program: Program) -> bool:
        """Do one fault at random; return whether the program has ended by it."""
        name = self._rng.choice(sorted(self._faults))
        self.done[name] += 1
        return self._faults[name](program)

    def _of_archive(self) -> Mapping[str, Callable[[Program], bool]]:
        if self._store is None:
            return {"archive away": self._move_archive}
        return {"bucket does not answer": self._suspend_store, "bucket unreachable": self._cut_store}

    def _of_volume(self) -> Mapping[str, Callable[[Program], bool]]:
        if self._volume is None:
            return {}
        return {"no inodes": self._exhaust_inodes, "disk full": self._fill_disk}

    def _of_memory(self) -> Mapping[str, Callable[[Program], bool]]:
        reason = memory_cgroup.reason_why_not()
        if reason:
            self.skipped["memory cgroup"] = reason
            return {}
        return {"memory cgroup": self._bound_memory}

    def _role(self, program: Program) -> int:
        """Return the process ID of a role at random, 0 if none runs."""
        processes = sorted(role_processes(program.process.pid).values())
        return self._rng.choice(processes) if processes else 0

    def _pause(self) -> None:
        threading.Event().wait(self._rng.uniform(1.0, _LONGEST_S))

    def _kill_role(self, program: Program) -> bool:
        _signal(self._role(program), signal.SIGKILL)
        return False

    def _kill_program(self, program: Program) -> bool:
        program.kill()
        return True

    def _kill_supervisor(self, program: Program) -> bool:
        os.kill(program.process.pid, signal.SIGKILL)
        program.process.wait()
        return True

    def _suspend_role(self, program: Program) -> bool:
        process = self._role(program)
        _signal(process, signal.SIGSTOP)
        self._pause()
        _signal(process, signal.SIGCONT)
        return False

    def _exhaust_pacs(self, _program: Program) -> bool:
        self._pacs.status = OUT_OF_RESOURCES
        self._pause()
        self._pacs.status = SUCCESS
        return False

    def _slow_pacs(self, _program: Program) -> bool:
        def slowly(_request: StoreRequest) -> int:
            threading.Event().wait(_SLOW_S)
            return SUCCESS

        self._pacs.status = slowly
        self._pause()
        self._pacs.status = SUCCESS
        return False

    def _move_archive(self, _program: Program) -> bool:
        archive = ledger_check.archive_folder(self._place.settings)
        away = archive.with_name("archive-away")
        archive.rename(away)
        self._pause()
        _put_back(away, archive)
        return False

    def _suspend_store(self, _program: Program) -> bool:
        if self._store is not None:
            self._store.suspend(is_suspended=True)
            self._pause()
            self._store.suspend(is_suspended=False)
        return False

    def _cut_store(self, _program: Program) -> bool:
        if self._store is not None:
            self._store.cut(is_cut=True)
            self._pause()
            self._store.cut(is_cut=False)
        return False

    def _disturb_database(self, _program: Program) -> bool:
        inject(self._context, self._place, self.done["database away"])
        return False

    def _exhaust_inodes(self, _program: Program) -> bool:
        with _filling(self._volume) as folder:
            number = 0
            with suppress(OSError):
                while True:
                    (folder / str(number)).touch()
                    number += 1
            self._pause()
        return False

    def _fill_disk(self, _program: Program) -> bool:
        with _filling(self._volume) as folder, (folder / "rest").open("wb", buffering=0) as rest:
            free = os.statvfs(folder)
            with suppress(OSError):  # the program has written meanwhile
                os.posix_fallocate(rest.fileno(), 0, free.f_bavail * free.f_frsize)
            with suppress(OSError):
                rest.seek(0, os.SEEK_END)
                while rest.write(bytes(_PAGE_BYTES)):
                    pass
            self._pause()
        return False

    def _bound_memory(self, program: Program) -> bool:
        process = self._role(program)
        with suppress(OSError):
            if process:
                with memory_cgroup.limited(process, _MORE_BYTES):
                    self._pause()
        return False

    def _bound_descriptors(self, program: Program) -> bool:
        process = self._role(program)
        return self._bound(process, resource.RLIMIT_NOFILE, Usage.of(process).open_files + 2 if process else 0)

    def _bound_files(self, program: Program) -> bool:
        return self._bound(self._role(program), resource.RLIMIT_FSIZE, _FILE_BYTES)

    def _bound_address_space(self, program: Program) -> bool:
        process = self._role(program)
        return self._bound(process, resource.RLIMIT_AS, _address_space(process) + _MORE_BYTES)

    def _bound(self, process: int, limit: int, value: int) -> bool:
        """Lower a limit of a process for a while."""
        with suppress(ProcessLookupError):
            if process:
                soft, hard = resource.prlimit(process, limit)
                resource.prlimit(process, limit, (value, hard))
                self._pause()
                resource.prlimit(process, limit, (soft, hard))
        return False


@contextmanager
def _filling(volume: Path | None) -> Iterator[Path]:
    """Yield a folder of a volume for files that fill it; they are removed at the end."""
    if volume is None:
        raise ValueError("there is no volume to fill")
    folder = volume / "fill"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _put_back(away: Path, archive: Path) -> None:
    """Move the archive back, and into it what a role that started meanwhile has stored in a new one."""
    meanwhile = archive.with_name("archive-meanwhile")
    with suppress(FileNotFoundError):
        archive.rename(meanwhile)
    away.rename(archive)
    for file in sorted(meanwhile.glob("*/*/*")):
        place = archive / file.relative_to(meanwhile)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)
    shutil.rmtree(meanwhile, ignore_errors=True)


def _signal(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if process:
            os.kill(process, number)


def _address_space(process: int) -> int:
    """Return the size of a process's address space, in bytes; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[0]) * _PAGE_BYTES
    except OSError:
        return 0
