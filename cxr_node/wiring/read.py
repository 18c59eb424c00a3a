"""Read role from settings: network, executor, watchdog, study window."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.db.states import Stage
from cxr_node.process_pool.executor import Executor, InProcess
from cxr_node.process_pool.pool import ProcessPool
from cxr_node.queue.retry import RULES
from cxr_node.reading.context import ReadContext
from cxr_node.reading.network import Network, NetworkThread, Watchdog
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators, engine, preprocessing
from cxr_node.wiring.cascade import OpenReader, ReadNetwork
from cxr_node.wiring.process import Process
from cxr_node.wiring.process_memory import return_freed_memory
from cxr_node.wiring.remote import RemoteReadNetwork
from cxr_node.work.handler import ONE_JOB, Batching
from cxr_node.work.handlers.read import ReadHandler
from cxr_node.work.periodic.prior_reading import PriorReading
from cxr_node.work.shared_lock import SharedLock
from cxr_node.work.study_window import StudyWindow

if TYPE_CHECKING:
    from cxr_node.infer.reader import Reader

_MAXIMUM_PROCESSES = 8
"""Upper bound of `read.processes = "auto"`: each process holds about 150 MB."""


def open_reader(process: Process, folder: Path | None = None) -> "Reader":
    """Return a warmed-up reader of the bundle in `folder` or of the settings' bundle.

    Raises
    ------
    BundleError
        If the bundle cannot be used.
    """
    # Only reading processes import PyTorch.
    import torch

    from cxr_node.infer import bundle, bundle_registry
    from cxr_node.infer.reader import CPU, Precision, Reader, choose_device

    settings = process.settings
    section = settings.read
    if section.threads:
        torch.set_num_threads(section.threads)
    model = bundle.load(folder or bundle_registry.find(str(section.bundle), settings.node.bundles_folder))
    if choose_device(section.device) == CPU:
        reader = Reader(model, device="cpu", engine=engine.engine(settings, model))
    else:
        precision = Precision(section.precision)
        reader = Reader(model, device=section.device, batch_size=section.batch_size, precision=precision)
    reader.warm_up()
    return_freed_memory()  # of the bundle's archive and of preparing the engine: 140 MB with PyTorch
    return reader


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWorkers:
    """Read handler, number of workers that share it, and a function to be called before each claim.

    `executor`, `network` and `watchdog` are those of the handler, for films that are read without a job.
    """

    handler: ReadHandler
    count: int
    before_claim: Callable[[], None]
    executor: Executor[ReadContext]
    network: Callable[[], Network]
    watchdog: Watchdog = nullcontext


@contextmanager
def read_workers(process: Process, opens: OpenReader | None = None) -> Iterator[ReadWorkers]:
    """Open network and executor while the block lasts; engines of readers that `opens` does not open are measured.

    With a preprocessing pool there is one film more in progress than pool processes. These start while the network is
    opened, which takes as long.
    """
    settings = process.settings
    processes = pool_size(settings)
    if not processes:
        network = _open_network(process, opens)
        with preprocessing.read_context(process) as context:
            executor, watchdog = InProcess(context), _watchdog(settings)
            handler = read_handler(
                process, executor, network.current,
                last_network=network.last, batching=_batching(settings, network), watchdog=watchdog,
                held_until=network.held_until,
            )  # fmt: skip
            yield ReadWorkers(
                handler=handler, count=1, before_claim=network.poll,
                executor=executor, network=network.current, watchdog=watchdog,
            )  # fmt: skip
        return
    open_context = partial(preprocessing.open_read_context, settings)
    memory_bytes = settings.gate.memory_bytes
    with ProcessPool(processes, open_context, timeout_s=read_timeout_s(settings), memory_bytes=memory_bytes) as pool:
        pool.start()
        network = _open_network(process, opens)
        pool.await_ready()
        thread = NetworkThread(network.current, watchdog=_watchdog(settings))
        batching = _batching(settings, network)
        handler = read_handler(
            process, pool, thread.network,
            last_network=lambda: thread.run(network.last()), batching=batching, held_until=network.held_until,
        )  # fmt: skip
        yield ReadWorkers(
            handler=handler, count=2 if batching.size > 1 else processes + 1, before_claim=network.poll,
            executor=pool, network=thread.network,
        )  # fmt: skip


def _open_network(process: Process, opens: OpenReader | None) -> RemoteReadNetwork | ReadNetwork:
    if process.settings.read.kind == "remote":
        return RemoteReadNetwork(process, opens or open_reader)
    return ReadNetwork(process, opens or open_reader, measure_beside=None if opens else engine.measure_beside)


def _batching(settings: Settings, network: RemoteReadNetwork | ReadNetwork) -> Batching:
    return Batching(size=network.batch_size, wait_s=settings.read.batch_wait_s)


def read_handler(
    process: Process,
    executor: Executor[ReadContext],
    network: Callable[[], Network],
    *,
    last_network: Callable[[], Network] | None = None,
    batching: Batching = ONE_JOB,
    watchdog: Watchdog = nullcontext,
    held_until: Callable[[], datetime | None] = lambda: None,
) -> ReadHandler:
    """Return a handler that reads films with `network`, and from the last attempt on with `last_network`.

    Films wait for a remote network as long as [remote] says.
    """
    retry = RULES[Stage.READ]
    if process.settings.read.kind == "remote":
        retry = replace(retry, give_up_s=process.settings.remote.hold_s)
    return ReadHandler(
        database=process.database,
        executor=executor,
        network=network,
        last_network=last_network or network,
        last_attempt=process.settings.read.cascade_attempts,
        window=study_window(process.settings),
        crash_limit=process.settings.read.crash_limit,
        batching=batching,
        watchdog=watchdog,
        held_until=held_until,
        retry=retry,
        issues_anew=process.settings.corrections.results_follow == "node",
        on_correction=audit_decorators.on_correction(process.audit, process.archive),
        searches_for=searches_for(process.settings),
    )


def study_window(settings: Settings) -> StudyWindow:
    """Return the study window of `[compose]`."""
    return StudyWindow(quiet_s=settings.compose.study_quiet_s, max_wait_s=settings.compose.study_max_wait_s)


def prior_reading(process: Process, workers: ReadWorkers, lock: SharedLock) -> PriorReading:
    """Return the reading of fetched films, by executor and network of the read workers."""
    return PriorReading(
        process.database,
        executor=workers.executor,
        network=workers.network,
        clock=process.clock,
        watchdog=workers.watchdog,
        alone=lock.exclusive,
    )


def searches_for(settings: Settings) -> timedelta | None:
    """Return for how long a prior film is searched for after a reading; None if no source is asked."""
    section = settings.priors
    return timedelta(seconds=section.search_s) if section.compare and section.sources else None


def _watchdog(settings: Settings) -> Watchdog:
    from cxr_node.infer.watchdog import exit_after

    return partial(exit_after, read_timeout_s(settings))


def read_timeout_s(settings: Settings) -> float:
    """Return the longest duration of a call in a preprocessing process, and of a forward pass."""
    # When its lease expires, a film is another reader's, so this one must have ended.
    return min(settings.read.timeout_s, settings.read.lease_s)


def pool_size(settings: Settings) -> int:
    """Return the number of pool processes; 0 if one crash sets a film aside, which must then be read alone."""
    if settings.read.crash_limit == 1:
        return 0
    configured = settings.read.processes
    if configured != "auto":
        return configured
    readers = max(1, len(settings.read.devices))
    return min(max(1, len(os.sched_getaffinity(0)) // readers), _MAXIMUM_PROCESSES)
