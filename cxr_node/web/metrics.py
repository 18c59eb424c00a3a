"""Prometheus metrics of the node: read from database, disk and certificates, so they cover every process."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cxr_node.archive import space
from cxr_node.db.database import Connection
from cxr_node.domain.errors import RetryLater
from cxr_node.ops.certificates import certificates
from cxr_node.queries import metrics as queries
from cxr_node.queries import overview, prior_searches
from cxr_node.queries.quantiles import SHARES, quantile
from cxr_node.records import procedure_steps
from cxr_node.web import model_metrics, remote_metrics
from cxr_node.web.context import WebContext
from cxr_node.wiring import heartbeat, rejection_counters
from cxr_node.wiring.own_echo import receiver_fault
from cxr_node.wiring.reserve import reserve_of
from cxr_node.wiring.role_names import Role

_WINDOW = timedelta(hours=1)
_NVIDIA_SMI = "nvidia-smi"
_MAXIMUM_TITLES = 200
"""Peers choose their AE titles; further titles share one counter without a title, as those of rejections do."""


def registry(context: WebContext) -> CollectorRegistry:
    """Return the registry of /metrics."""
    registered = CollectorRegistry()
    registered.register(_Node(context))
    return registered


class _Node(Collector):
    """Queries the database at each scrape; the film counter continues from the last scrape."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._last_film = 0
        self._films: dict[str, int] = {}

    def describe(self) -> Iterator[Metric]:
        """Describe no metric: the database may not exist yet."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; without a database only those that need none."""
        now = self._context.process.clock()
        yield _gauge("cxr_node_info", "Version of the program.", {(version("cxr-node"),): 1.0}, "version")
        yield from self._host_metrics()
        try:
            with self._context.connection() as connection:
                families = [
                    *self._film_metrics(connection),
                    *_queue_metrics(connection, now),
                    *_time_metrics(connection, now),
                    *model_metrics.collect(connection),
                ]
        except RetryLater:
            families = []
        yield _gauge("cxr_node_database_up", "1 if the database responds.", {(): float(bool(families))})
        yield from families

    def _film_metrics(self, connection: Connection) -> Iterator[Metric]:
        for sender in queries.films_by_sender(connection, after_film_id=self._last_film):
            title = sender.calling_ae_title
            if title not in self._films and len(self._films) >= _MAXIMUM_TITLES:
                title = ""
            self._films[title] = self._films.get(title, 0) + sender.films
            self._last_film = max(self._last_film, sender.last_film_id)
        received = CounterMetricFamily("cxr_node_films_received", "Films received, by sender.", labels=["sender"])
        for title, count in self._films.items():
            received.add_metric([title], count)
        yield received
        yield _gauge(
            "cxr_node_films_not_analysed",
            "Films not analysed, by reason.",
            {(reason,): float(count) for reason, count in queries.films_not_analysed(connection).items()},
            "reason",
        )

    def _host_metrics(self) -> Iterator[Metric]:
        rejected = CounterMetricFamily(
            "cxr_node_rejected", "Associations and objects rejected by this host.", labels=["sender", "reason"]
        )
        for (sender, reason), times in rejection_counters.counts(self._context.settings).items():
            rejected.add_metric([sender, reason], times)
        yield rejected
        yield from remote_metrics.collect(self._context.settings)
        folder = self._context.settings.node.data_folder
        free, reserve = space.free_space(folder), self._context.settings.archive.reserve_bytes
        size = float(free.size_bytes)
        yield _gauge("cxr_node_disk_free_bytes", "Free bytes on the volume of the data folder.", {(): size})
        inodes: dict[tuple[str, ...], float] = {} if free.inodes is None else {(): float(free.inodes)}
        yield _gauge("cxr_node_disk_free_inodes", "Free inodes on the volume of the data folder.", inodes)
        yield _gauge("cxr_node_disk_reserve_bytes", "Films are rejected below this.", {(): float(reserve)})
        ends = {
            (certificate.setting,): certificate.not_after.timestamp()
            for certificate in certificates(self._context.settings)
            if certificate.not_after
        }
        yield _gauge("cxr_node_certificate_end_seconds", "Expiry of a certificate, in Unix time.", ends, "setting")
        yield from _gpu_metrics()


def _queue_metrics(connection: Connection, now: datetime) -> Iterator[Metric]:
    queues = overview.queues(connection, now=now)
    states = ("ready", "scheduled", "paused", "running", "failed")
    jobs = {(queue.stage.value, state): float(getattr(queue, state)) for queue in queues for state in states}
    yield _gauge("cxr_node_jobs", "Jobs ready, scheduled, paused, running and failed.", jobs, "stage", "state")
    ages = {
        (queue.stage.value,): (now - queue.oldest_ready_at).total_seconds() if queue.oldest_ready_at else 0.0
        for queue in queues
    }
    yield _gauge("cxr_node_oldest_ready_seconds", "Time that the oldest ready job has waited.", ages, "stage")
    destinations = overview.destinations(connection)
    waiting = {
        (row.destination, state): float(getattr(row, state)) for row in destinations for state in ("waiting", "failed")
    }
    yield _gauge("cxr_node_deliveries", "Results waiting or failed.", waiting, "destination", "state")
    delivered = {(row.destination,): row.last_delivered_at.timestamp() for row in destinations if row.last_delivered_at}
    yield _gauge("cxr_node_last_delivery_seconds", "Time of the last delivery, in Unix time.", delivered, "destination")
    since = now - _WINDOW
    messages = {key: float(count) for key, count in queries.patient_messages(connection, since=since).items()}
    text = "HL7 messages of the last hour on patients of kept films: corrected films, or changed none."
    yield _gauge("cxr_node_patient_messages_last_hour", text, messages, "event", "outcome")
    searches = {
        (state,): float(count) for state, count in prior_searches.count_by_state(connection, since=since).items()
    }
    text = "Searches of the last hour for prior films at other archives, by their present state."
    yield _gauge("cxr_node_prior_searches_last_hour", text, searches, "state")
    steps = {key: float(count) for key, count in procedure_steps.count_by_state(connection, since=since).items()}
    text = "Procedure steps of worklists that are claimed, or ended in the last hour, by their state in this node."
    yield _gauge("cxr_node_worklist_steps", text, steps, "worklist", "state")
    yield _gauge(
        "cxr_node_deliveries_last_hour",
        "Results of the last hour that were delivered, by DIMSE status.",
        {
            (destination, f"0x{status:04X}"): float(count)
            for (destination, status), count in queries.delivery_statuses(connection, since=since).items()
        },
        "destination",
        "status",
    )


def _time_metrics(connection: Connection, now: datetime) -> Iterator[Metric]:
    since = now - _WINDOW
    quantiles: dict[tuple[str, ...], float] = {}
    for name, seconds in queries.durations(connection, since=since).items():
        for share in SHARES.values():
            value = quantile(seconds, share)
            if value is not None:
                quantiles[name.removesuffix("_s"), str(share)] = value
    text = "Seconds of each stage for films of the last hour."
    yield _gauge("cxr_node_stage_seconds", text, quantiles, "stage", "quantile")
    last = overview.received(connection, since=since)
    yield _gauge("cxr_node_films_last_hour", "Films received in the last hour.", {(): float(last)})
    mean = queries.mean_batch_films(connection, since=since)
    batches: dict[tuple[str, ...], float] = {} if mean is None else {(): mean}
    yield _gauge("cxr_node_batch_films", "Mean films per batch of a reader in the last hour.", batches)


def _gpu_metrics() -> Iterator[Metric]:
    program = shutil.which(_NVIDIA_SMI)
    if program is None:
        return
    command = [program, "--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603  # NVIDIA's own
    except (OSError, subprocess.SubprocessError):
        return
    rows = [[part.strip() for part in line.split(",")] for line in output.stdout.splitlines()]
    mebi = 2.0**20
    used = {(index, "used"): float(used) * mebi for index, used, _ in rows}
    total = {(index, "total"): float(total) * mebi for index, _, total in rows}
    yield _gauge("cxr_node_gpu_memory_bytes", "Memory of each GPU.", used | total, "gpu", "kind")


def _gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def health(context: WebContext, data_folder: Path) -> list[str]:
    """Return why the node cannot receive and read films; empty if it can."""
    problems = []
    try:
        with context.connection() as connection:
            queries.ping(connection)
    except RetryLater as error:
        problems.append(str(error))
    if shortage := reserve_of(context.settings).shortage(space.free_space(data_folder)):
        problems.append(f"not enough free {shortage}: films are rejected")
    late = heartbeat.late_roles(context.settings)
    problems += [f"the role {role} {fault}" for role, fault in late.items()]
    if Role.RECEIVE not in late and (fault := receiver_fault(context.settings)):
        problems.append(fault)
    return problems
