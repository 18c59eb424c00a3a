"""`v1_drift`: one row for each test of a statistic against its reference."""

from cxr_node.queries.views.columns import NUMBER, STATISTIC, TEXT, TIME, WHOLE, YES_NO
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.view import View


def _sql(_: Dialect) -> str:
    return """
SELECT d.day, d.evaluated_at, d.calling_ae_title, m.name AS model_name, m.version AS model_version, m.weights_digest,
       d.kind, d.key, d.reference_from, d.reference_until, d.window_from, d.reference_films, d.films,
       d.reference_value, d.value, d.effect, d.p_value, d.adjusted_p, d.is_drift
FROM drift d JOIN model m ON m.id = d.model_id
"""


DRIFT = View(
    name="v1_drift",
    row="a statistic of one device and day, tested against the reference of the model",
    time="evaluated_at",
    newest="evaluated_at",
    columns={
        "day": STATISTIC["day"],
        "evaluated_at": (TIME, "When the day was evaluated."),
        **{name: column for name, column in STATISTIC.items() if name != "day"},
        "reference_from": (TEXT, "First day of the reference period."),
        "reference_until": (TEXT, "Last day of the reference period."),
        "window_from": (TEXT, "First day of the tested window; its last day is `day`."),
        "reference_films": (WHOLE, "Films in the reference period."),
        "films": (WHOLE, "Films in the window."),
        "reference_value": (NUMBER, "Mean score, rate or median seconds in the reference period."),
        "value": (NUMBER, "The same in the window."),
        "effect": (NUMBER, "Effect size, 0 to 1: Kolmogorov-Smirnov distance of scores or times, difference of rates."),
        "p_value": (NUMBER, "P value of the Kolmogorov-Smirnov test; for rates of Fisher's exact test."),
        "adjusted_p": (NUMBER, "P value with Holm's correction for the tests of the day and model."),
        "is_drift": (YES_NO, "Whether adjusted_p is below alpha and the effect is at least its minimum."),
    },
    sql=_sql,
)
