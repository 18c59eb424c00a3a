"""Parts that all functions of `wiring` share in a process: opened once, and closed with it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from cxr_node.archive.reduced_films import ReducedFilms
from cxr_node.archive.store import Archive
from cxr_node.config import Loaded
from cxr_node.db.database import Database
from cxr_node.db.url import sqlite_file
from cxr_node.domain.clock import Clock, utc_now
from cxr_node.domain.identifiers import Uid, new_uid
from cxr_node.queue.notify import FifoNotifier
from cxr_node.settings.root import Settings
from cxr_node.wiring.archive import open_archive, open_reduced_films
from cxr_node.wiring.audit import Audit, recording, unrecorded
from cxr_node.wiring.live_settings import LiveSettings
from cxr_node.wiring.remote_state import RemoteStateRecorder, state_file


def open_database(process: "Process") -> Database:
    """Open the database of the settings, whose commits wake the workers of this host."""
    settings = process.settings
    settings.node.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (file := sqlite_file(settings.database_url)) is not None:
        # SQLite makes the file as the umask says, and its log and index with the permissions of the file.
        file.touch(mode=0o600)
    return Database(
        settings.database_url, busy_timeout_s=settings.database.busy_timeout_s, on_commit=process.notifier.notify
    )


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of the node. Database, archive and notifier are opened when first used.

    `make_database` opens the database; it need not be migrated.
    """

    live: LiveSettings
    audit: Audit
    clock: Clock = utc_now
    new_uid: Callable[[], Uid] = new_uid
    make_database: Callable[["Process"], Database] = open_database
    resources: ExitStack = field(default_factory=ExitStack)
    liveness: list[Callable[[], bool]] = field(default_factory=list)
    """Checks of the process's role, each of which must hold for a heartbeat."""

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings,
        *,
        clock: Clock = utc_now,
        is_audited: bool = False,
        loaded: Loaded | None = None,
        make_database: Callable[["Process"], Database] = open_database,
    ) -> Iterator["Process"]:
        """Open the parts for the block; with `is_audited`, its start and its end are recorded in the audit trail."""
        with ExitStack() as resources:
            audit = resources.enter_context(recording(settings, clock)) if is_audited else unrecorded(settings, clock)
            yield cls(
                live=LiveSettings(settings, loaded),
                audit=audit,
                clock=clock,
                make_database=make_database,
                resources=resources,
            )

    @property
    def settings(self) -> Settings:
        """The settings in force; destinations and priority rules may change while the process runs."""
        return self.live.current

    @property
    def loaded(self) -> Loaded | None:
        """The settings file as this process has read it last, where there is one."""
        return self.live.loaded

    def is_alive(self) -> bool:
        """Whether every check of the role holds."""
        return all(holds() for holds in tuple(self.liveness))

    @cached_property
    def database(self) -> Database:
        """The job database."""
        database = self.make_database(self)
        self.resources.callback(database.close)
        return database

    @cached_property
    def notifier(self) -> FifoNotifier:
        """Notifier of this host's workers."""
        return FifoNotifier(self.settings.node.data_folder / "notify")

    @cached_property
    def remote_state(self) -> RemoteStateRecorder:
        """Recorder of requests to the inference server. Only the reading process writes its file."""
        return RemoteStateRecorder(state_file(self.settings), self.clock)

    @cached_property
    def reduced_films(self) -> ReducedFilms:
        """Films that reading leaves for the pictures of their study."""
        return open_reduced_films(self.settings)

    @cached_property
    def archive(self) -> Archive:
        """The archive of films and results.

        Raises
        ------
        ConfigurationError
            If it is a bucket, and the library for it is not installed.
        """
        return open_archive(self.settings)
