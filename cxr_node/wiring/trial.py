"""Reader of a trial from settings: networks, gate and limits of the node, in a temporary folder of its own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cxr_node.archive.store import Archive
from cxr_node.process_pool.executor import Executor, InProcess
from cxr_node.process_pool.pool import ProcessPool
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network, NetworkThread
from cxr_node.reading.remote import RemoteSwitch
from cxr_node.settings.node import ArchiveSection, DatabaseSection
from cxr_node.settings.root import Settings
from cxr_node.wiring import engine, preprocessing
from cxr_node.wiring.cascade import named_readers, network_of, require_known_findings, uses_own
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader, pool_size, read_timeout_s
from cxr_node.wiring.remote import open_network

_KEPT_FOLDERS = ("bundles", "bundles-for-all")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReader:
    """Parts of the read role without database and queue.

    `archive` holds films only while they are read. `films_at_once` may be read at a time, each in a thread.
    """

    archive: Archive
    executor: Executor[ReadContext]
    network: Callable[[], Network]
    films_at_once: int


@contextmanager
def open_trial(settings: Settings) -> Iterator[TrialReader]:
    """Open a reader with the networks of the settings while the block lasts; a bundle activated for all is not used.

    Database, archive and data folder of the node are not opened for writing, and its own files are not changed.

    Raises
    ------
    BundleError
        If a bundle cannot be used.
    """
    with (
        tempfile.TemporaryDirectory(prefix="cxr-node-try-") as folder,
        Process.open(_in_folder(settings, Path(folder))) as process,
    ):
        network = _network(process)
        processes = pool_size(process.settings)
        if not processes:
            with preprocessing.read_context(process, is_for_results=False) as context:
                yield TrialReader(
                    archive=process.archive, executor=InProcess(context), network=network, films_at_once=1
                )
            return
        open_context = partial(preprocessing.open_read_context, process.settings, is_for_results=False)
        with ProcessPool(
            processes, open_context, timeout_s=read_timeout_s(settings), memory_bytes=settings.gate.memory_bytes
        ) as pool:
            pool.start()
            pool.await_ready()
            thread = NetworkThread(network, watchdog=nullcontext)
            yield TrialReader(
                archive=process.archive, executor=pool, network=thread.network, films_at_once=processes + 1
            )


def _in_folder(settings: Settings, folder: Path) -> Settings:
    """Return the settings of a node whose data folder is `folder`, with the installed bundles of the other."""
    for name in _KEPT_FOLDERS:
        if (bundles := settings.node.data_folder.absolute() / name).is_dir():
            (folder / name).symlink_to(bundles)
    if (engines := settings.node.data_folder / engine.FOLDER).is_dir():
        # A copy: an engine that the settings name may be measured here.
        shutil.copytree(engines, folder / engine.FOLDER)
    return settings.model_copy(
        update={
            "node": settings.node.model_copy(update={"data_folder": folder}),
            "database": DatabaseSection(),
            "archive": ArchiveSection(),
        }
    )


def _network(process: Process) -> Callable[[], Network]:
    """Return what gives the network of the next film; it raises Held while an inference server is unreachable."""
    section = process.settings.read
    if section.kind == "remote":
        remote = open_network(process, open_local=open_reader)
        return remote.select if isinstance(remote, RemoteSwitch) else lambda: remote
    named = named_readers(process, open_reader)
    own = open_reader(process) if uses_own(section) else next(iter(named.values()))
    require_known_findings(section, named, own)
    network = network_of(section, own=own, named=named)
    return lambda: network
