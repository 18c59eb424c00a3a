"""What QIDO-RS and WADO-RS need of the node: rows, archive, and a process that parses films."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cxr_node.archive.store import Archive
from cxr_node.db.database import Database
from cxr_node.dicomweb.json_model import Archived, Json, JsonContext, attributes
from cxr_node.domain.errors import ProcessDied
from cxr_node.process_pool.executor import Executor
from cxr_node.queries.held_instances import HeldInstance

_CACHED = 4096

_Key = tuple[str, tuple[int, ...]]
"""Archive key, and tags in order."""


class HeaderCache:
    """Attributes of objects by archive key, which never change: those asked for last. Thread-safe."""

    def __init__(self, executor: Executor[JsonContext]) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._known: OrderedDict[_Key, Json] = OrderedDict()

    def attributes(self, instances: Sequence[HeldInstance], tags: Collection[int]) -> list[Json]:
        """Return attributes of each instance, by its header; none of one that cannot be read, which is not remembered.

        Raises
        ------
        RetryLater
            If the archive is unreachable.
        """
        keys = [(instance.archive_key, tuple(sorted(tags))) for instance in instances]
        with self._lock:
            headers = {key: self._known[key] for key in keys if key in self._known}
        missing = [key for key in dict.fromkeys(keys) if key not in headers]
        if missing:
            headers |= self._parsed(missing)
        return [headers.get(key, {}) for key in keys]

    def _parsed(self, keys: Sequence[_Key]) -> dict[_Key, Json]:
        """Return the attributes of the objects whose header can be read, and remember them."""
        try:
            parsed = self._executor.map(attributes, keys)
        except ProcessDied:
            return {}
        headers = {key: header for key, header in zip(keys, parsed, strict=True) if header is not None}
        with self._lock:
            self._known.update(headers)
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Rows, archive and executor. `result_modalities` is the Modality of each SOP Class of results."""

    database: Database
    archive: Archive
    executor: Executor[JsonContext]
    headers: HeaderCache
    result_modalities: Mapping[str, str] = field(default_factory=dict)


def archived(instance: HeldInstance) -> Archived:
    """Return where the bytes of an instance are."""
    return Archived(instance.archive_key, instance.digest)
