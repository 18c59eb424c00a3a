"""Settings of a running process: destinations, routes and priority rules are taken up when the file changes.

Every other setting stays as it was at the start (decision 0217). An invalid file changes nothing.
"""

import logging
import os
import threading
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from pathlib import Path
from typing import TypeVar

from cxr_node import config
from cxr_node.config import ConfigurationError, Loaded
from cxr_node.domain.errors import RetryLater
from cxr_node.settings.differences import differences, is_reloadable, with_reloadable
from cxr_node.settings.root import Settings

_log = logging.getLogger(__name__)

Derived = TypeVar("Derived")
Value = TypeVar("Value")


class SettingsInvalid(RetryLater):
    """The changed file is invalid; the settings before stay in force."""


class LiveSettings:
    """Settings of a process, and the file that they are from, where there is one. Thread-safe.

    `settings` are those of the file `loaded`, but for what a command has replaced.
    """

    def __init__(self, settings: Settings, loaded: Loaded | None = None) -> None:
        self._current = settings
        self._at_start = loaded
        self._loaded = loaded
        self._lock = threading.Lock()
        self._signature: tuple[int, ...] | None = None
        self._fault = ""
        self._restart_keys: tuple[str, ...] = ()
        self._callbacks: list[Callable[[Settings, Settings], None]] = []

    @property
    def current(self) -> Settings:
        """The settings in force."""
        return self._current

    @property
    def loaded(self) -> Loaded | None:
        """The file as it was last read and valid."""
        return self._loaded

    @property
    def restart_keys(self) -> tuple[str, ...]:
        """Settings that the file has changed since the start, and that need a restart."""
        return self._restart_keys

    def on_change(self, callback: Callable[[Settings, Settings], None]) -> None:
        """Call `callback` with the settings before and after each change."""
        self._callbacks.append(callback)

    def derived(self, make: Callable[[Settings], Derived]) -> Callable[[], Derived]:
        """Return a function that returns `make` of the settings in force; it is called once for each change."""
        latest: tuple[Settings, Derived] | None = None

        def value() -> Derived:
            nonlocal latest
            settings = self._current
            if latest is None or latest[0] is not settings:
                latest = settings, make(settings)
            return latest[1]

        return value

    def mapping(self, make: Callable[[Settings], Mapping[str, Value]]) -> "LiveMapping[Value]":
        """Return a mapping that is `make` of the settings in force."""
        return LiveMapping(self.derived(make))

    def reload(self) -> None:
        """Take up the tables that may change, if the file has changed since it was last read.

        Raises
        ------
        SettingsInvalid
            If the file is invalid, as long as it is.
        """
        with self._lock:
            before = self._current
            self._read()
            after = self._current
            changed = tuple(differences(before, after)) if before is not after else ()
        if changed:
            _log.warning("settings in force now: %s", ", ".join(changed))
            for callback in self._callbacks:
                callback(before, after)

    def _read(self) -> None:
        if self._loaded is None or self._at_start is None:
            return
        path = self._loaded.path
        signature = _signature(path)
        if signature == self._signature:
            if self._fault:
                raise SettingsInvalid(self._fault)
            return
        self._signature = signature
        try:
            loaded = config.read(path)
        except ConfigurationError as error:
            self._fault = _sentence(path, error.problems)
            raise SettingsInvalid(self._fault) from error
        self._fault = ""
        if loaded.digest == self._loaded.digest:
            return
        self._loaded = loaded
        self._current = with_reloadable(self._current, loaded.settings)
        keys = differences(self._at_start.settings, loaded.settings)
        self._restart_keys = tuple(key for key in keys if not is_reloadable(key))


class LiveMapping(Mapping[str, Value]):
    """A mapping that another may take the place of at any time; each call is answered by one of them."""

    def __init__(self, current: Callable[[], Mapping[str, Value]]) -> None:
        self._current = current

    def __getitem__(self, key: str) -> Value:
        return self._current()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def keys(self) -> KeysView[str]:
        """Return the keys of one mapping."""
        return self._current().keys()

    def values(self) -> ValuesView[Value]:
        """Return the values of one mapping."""
        return self._current().values()

    def items(self) -> ItemsView[str, Value]:
        """Return the items of one mapping."""
        return self._current().items()


def _signature(path: Path) -> tuple[int, ...]:
    """Return what changes with the file; empty if it cannot be looked up."""
    try:
        status = os.stat(path)  # noqa: PTH116  # of a path that may be gone
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _sentence(path: Path, problems: list[str]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{path.name} is invalid since it was changed; the settings before stay in force: {problems[0]}{more}"
