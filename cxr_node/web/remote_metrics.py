"""Prometheus metrics of the inference server, from the state file of this host's reader."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cxr_node.settings.root import Settings
from cxr_node.wiring.remote_state import read_state


def collect(settings: Settings) -> Iterator[Metric]:
    """Yield requests by outcome, their seconds, and whether the server is used; nothing for a local reader."""
    state = read_state(settings)
    if state is None:
        return
    requests = CounterMetricFamily(
        "cxr_node_remote_requests", "Inference requests of this host, by outcome.", labels=["outcome"]
    )
    for outcome, count in state.requests.items():
        requests.add_metric([outcome], count)
    yield requests
    seconds = CounterMetricFamily("cxr_node_remote_seconds", "Seconds of this host's inference requests.")
    seconds.add_metric([], state.seconds)
    yield seconds
    used = GaugeMetricFamily("cxr_node_remote_used", "1 if the inference server reads, 0 while it is not used.")
    used.add_metric([], float(state.trouble is None))
    yield used
