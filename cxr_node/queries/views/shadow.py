"""`v1_shadow`: one row for each finding of a reading in shadow mode."""

from cxr_node.queries.views.columns import FILM, MODEL, NUMBER, TEXT, TIME, WHOLE, YES_NO
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.sql import NEWEST_READING
from cxr_node.queries.views.view import View


def _sql(_: Dialect) -> str:
    return f"""
SELECT h.id AS shadow_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title,
       f.received_at, h.read_at, m.name AS model_name, m.version AS model_version, m.weights_digest, h.not_analysed,
       y.key, y.score, y.operating_point, y.presence, r.model_name AS primary_model_name,
       r.model_version AS primary_model_version, r.not_analysed AS primary_not_analysed, x.score AS primary_score,
       x.operating_point AS primary_operating_point, x.presence AS primary_presence,
       (y.score >= y.operating_point) <> (x.score >= x.operating_point) AS differs
FROM shadow h
JOIN film f ON f.id = h.film_id
JOIN study s ON s.id = f.study_id
JOIN model m ON m.id = h.model_id
LEFT JOIN shadow_finding y ON y.shadow_id = h.id
LEFT JOIN reading r ON r.id = {NEWEST_READING}
LEFT JOIN finding x ON x.reading_id = r.id AND x.key = y.key
"""


SHADOW = View(
    name="v1_shadow",
    row="a finding of a shadow reading, with the same finding of the newest reading of the film",
    time="received_at",
    newest="shadow_id",
    columns={
        "shadow_id": (WHOLE, "Number of the shadow reading."),
        **FILM,
        "read_at": (TIME, "When the shadow model read the film."),
        **MODEL,
        "not_analysed": (TEXT, "Reason code if the shadow model did not analyse the film; there is no finding then."),
        "key": (TEXT, "Key of the finding in the card of the shadow model."),
        "score": (NUMBER, "Score of the shadow model."),
        "operating_point": (NUMBER, "Lowest score at which the shadow model calls the finding present."),
        "presence": (TEXT, "present, absent or undetermined, by the shadow model."),
        "primary_model_name": (TEXT, "Name of the primary model, which read the film for its report."),
        "primary_model_version": (TEXT, "Version of the primary model."),
        "primary_not_analysed": (TEXT, "Reason code if the primary model did not analyse the film."),
        "primary_score": (NUMBER, "Score of the primary model; empty if it does not have the finding."),
        "primary_operating_point": (NUMBER, "Lowest score at which the primary model calls the finding present."),
        "primary_presence": (TEXT, "present, absent or undetermined, by the primary model."),
        "differs": (YES_NO, "Whether exactly one of the models calls the finding present."),
    },
    sql=_sql,
)
