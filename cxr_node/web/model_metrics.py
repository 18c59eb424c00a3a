"""Prometheus metrics of drift, constancy and shadow; labels have bounded cardinality."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from cxr_node.db.database import Connection
from cxr_node.queries import drift as drifts
from cxr_node.records import constancy
from cxr_node.records import shadow as shadows

_MAX_DEVICES = 50
"""Devices with most films that are exported: any AE title may send, and could fill a metrics store."""
_LABELS = ("sender", "kind", "finding")


def collect(connection: Connection) -> Iterator[Metric]:
    """Yield drift of the newest evaluated day, the newest constancy check, and the shadow's backlog."""
    day, rows = drifts.newest(connection)
    evaluated = GaugeMetricFamily("cxr_node_drift_evaluated_seconds", "Newest day evaluated for drift, in Unix time.")
    drift = GaugeMetricFamily("cxr_node_drift", "1 if a statistic has drifted from its reference.", labels=_LABELS)
    effect = GaugeMetricFamily("cxr_node_drift_effect", "Effect size against the reference, 0 to 1.", labels=_LABELS)
    value = GaugeMetricFamily(
        "cxr_node_drift_value", "Mean score, rate or median seconds, over the window.", labels=_LABELS
    )
    films: dict[str, int] = {}
    for row in rows:
        films[row["calling_ae_title"]] = max(row["films"], films.get(row["calling_ae_title"], 0))
    exported = set(sorted(films, key=lambda device: -films[device])[:_MAX_DEVICES])
    for row in rows:
        if row["calling_ae_title"] in exported:
            labels = (row["calling_ae_title"], row["kind"], row["key"])
            drift.add_metric(labels, float(row["is_drift"]))
            effect.add_metric(labels, row["effect"])
            value.add_metric(labels, row["value"])
    if day is not None:
        evaluated.add_metric([], drifts.unix_time(day))
    yield from (evaluated, drift, effect, value)
    yield from _constancy_metrics(connection)
    shadow = shadows.newest_model(connection)
    if shadow is not None:
        backlog = shadows.backlog(connection, shadow)
        yield _one("cxr_node_shadow_backlog", "Readings that the shadow bundle has not read yet.", backlog)


def _constancy_metrics(connection: Connection) -> Iterator[Metric]:
    newest = constancy.newest(connection)
    if newest is None:  # exported without a value, so that the metric is known
        yield GaugeMetricFamily("cxr_node_constancy_passed", "1 if the newest constancy check passed.")
        return
    row, values = newest
    yield _one("cxr_node_constancy_passed", "1 if the newest constancy check passed.", row["state"] == "passed")
    at = row["started_at"].timestamp()
    yield _one("cxr_node_constancy_seconds", "Start of the newest constancy check, in Unix time.", at)
    text = "Deviation of the newest check's values as a share of their tolerance: above 1 is out of tolerance."
    deviation = GaugeMetricFamily("cxr_node_constancy_deviation", text, labels=("kind", "name"))
    worst: dict[tuple[str, str], float] = {}
    for value in values:
        if value["tolerance"]:
            share = abs(value["value"] - value["expected"]) / value["tolerance"]
            worst[value["kind"], value["key"]] = max(share, worst.get((value["kind"], value["key"]), 0.0))
    for labels, share in worst.items():
        deviation.add_metric(labels, share)
    yield deviation


def _one(name: str, text: str, number: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], float(number))
    return family
