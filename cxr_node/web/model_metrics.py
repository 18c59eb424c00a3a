"""Whether the model still behaves, in numbers for Prometheus. Labels are devices and figures, so many at most."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection

from cxr_node.queries import drift as drifts
from cxr_node.records import constancy
from cxr_node.records import shadow as shadows

_MOST_DEVICES = 50
"""Who may send under any AE title could fill a metrics store: the devices with most films are shown."""
_LABELS = ("sender", "kind", "finding")


def of_model(connection: Connection) -> Iterator[Metric]:
    """Yield what the newest judged day came to."""
    day, rows = drifts.newest(connection)
    judged = GaugeMetricFamily("cxr_node_drift_judged_seconds", "The newest day that was judged, in Unix time.")
    drift = GaugeMetricFamily("cxr_node_drift", "1 where a figure has drifted from its reference.", labels=_LABELS)
    effect = GaugeMetricFamily(
        "cxr_node_drift_effect", "How far a figure is from its reference, 0 to 1.", labels=_LABELS
    )
    value = GaugeMetricFamily(
        "cxr_node_drift_value", "Mean score, rate or median seconds, over the window.", labels=_LABELS
    )
    films: dict[str, int] = {}
    for row in rows:
        films[row["calling_ae_title"]] = max(row["films"], films.get(row["calling_ae_title"], 0))
    shown = set(sorted(films, key=lambda device: -films[device])[:_MOST_DEVICES])
    for row in rows:
        if row["calling_ae_title"] in shown:
            labels = (row["calling_ae_title"], row["kind"], row["key"])
            drift.add_metric(labels, float(row["is_drift"]))
            effect.add_metric(labels, row["effect"])
            value.add_metric(labels, row["value"])
    if day is not None:
        judged.add_metric([], drifts.unix_time(day))
    yield from (judged, drift, effect, value)
    yield from _of_check(connection)
    shadow = shadows.newest_model(connection)
    if shadow is not None:
        left = shadows.backlog(connection, shadow)
        yield _one("cxr_node_shadow_behind", "Readings that the shadow has not come to.", left)


def _of_check(connection: Connection) -> Iterator[Metric]:
    found = constancy.newest(connection)
    if found is None:  # named all the same, so that who scrapes sees that there is such a check
        yield GaugeMetricFamily("cxr_node_constancy_passed", "Whether the newest constancy check passed.")
        return
    row, values = found
    yield _one("cxr_node_constancy_passed", "Whether the newest constancy check passed.", row["state"] == "passed")
    at = row["started_at"].timestamp()
    yield _one("cxr_node_constancy_seconds", "When the newest constancy check began, in Unix time.", at)
    said = "How far the newest check's values are off, of their tolerance: above 1 is too far."
    off = GaugeMetricFamily("cxr_node_constancy_deviation", said, labels=("kind", "name"))
    worst: dict[tuple[str, str], float] = {}
    for each in values:
        if each["tolerance"]:
            share = abs(each["value"] - each["expected"]) / each["tolerance"]
            worst[each["kind"], each["key"]] = max(share, worst.get((each["kind"], each["key"]), 0.0))
    for labels, share in worst.items():
        off.add_metric(labels, share)
    yield off


def _one(name: str, said: str, number: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said)
    family.add_metric([], float(number))
    return family
