"""`v1_daily_statistics`: one row for each statistic of a device, day and model."""

from cxr_node.queries.views.columns import NUMBER, STATISTIC, TIME, WHOLE
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.view import View


def _sql(dialect: Dialect) -> str:
    return f"""
SELECT d.day, {dialect.start_of_day("d.day")} AS starts_at, d.calling_ae_title, m.name AS model_name,
       m.version AS model_version, m.weights_digest, d.kind, d.key, d.films, d.hits, d.total / d.films AS mean
FROM daily_statistic d JOIN model m ON m.id = d.model_id
"""


DAILY_STATISTICS = View(
    name="v1_daily_statistics",
    row="one statistic of the films of one device, day and model",
    time="starts_at",
    newest="starts_at",
    columns={
        "day": STATISTIC["day"],
        "starts_at": (TIME, "Start of the day."),
        **{name: column for name, column in STATISTIC.items() if name != "day"},
        "films": (WHOLE, "Number of films."),
        "hits": (WHOLE, "Films with the finding present, or films not analysed."),
        "mean": (NUMBER, "Mean score, share of films not analysed, or mean seconds from reception to delivery."),
    },
    sql=_sql,
)
