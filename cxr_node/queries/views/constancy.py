"""`v1_constancy`: one row for each value of a constancy check."""

from cxr_node.queries.views.columns import MODEL, NUMBER, TEXT, TIME, WHOLE, YES_NO
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.view import View


def _sql(_: Dialect) -> str:
    return """
SELECT r.id AS run_id, r.started_at, r.ended_at, r.state, r.detail, m.name AS model_name, m.version AS model_version,
       m.weights_digest, r.engine, v.seed, v.kind, v.key, v.value, v.expected, v.tolerance,
       abs(v.value - v.expected) <= v.tolerance AS is_within_tolerance
FROM constancy_run r LEFT JOIN model m ON m.id = r.model_id LEFT JOIN constancy_value v ON v.run_id = r.id
"""


CONSTANCY = View(
    name="v1_constancy",
    row="a value of a constancy check; a check that failed before any value has one row without",
    time="started_at",
    newest="run_id",
    columns={
        "run_id": (WHOLE, "Number of the check."),
        "started_at": (TIME, "When the check started."),
        "ended_at": (TIME, "When the check ended."),
        "state": (TEXT, "running, passed, failed, or unaccepted: no baseline has been accepted yet."),
        "detail": (TEXT, "Why the check failed."),
        **MODEL,
        "engine": (TEXT, "Node and host that read the phantom, and the configured device."),
        "seed": (WHOLE, "Number of the phantom."),
        "kind": (TEXT, "score or measurement (compared with the baseline), or truth (with the phantom itself)."),
        "key": (TEXT, "Key of the finding or measurement."),
        "value": (NUMBER, "Value of this check."),
        "expected": (NUMBER, "Expected value."),
        "tolerance": (NUMBER, "Largest allowed difference."),
        "is_within_tolerance": (YES_NO, "Whether the value is within the tolerance; empty without an expected value."),
    },
    sql=_sql,
)
