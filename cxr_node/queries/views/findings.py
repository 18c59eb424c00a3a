"""`v1_findings`: one row for each finding of each reading."""

from cxr_node.queries.views.columns import CODED, NUMBER, READING, TEXT, WHOLE, YES_NO
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.sql import from_readings, reading_columns
from cxr_node.queries.views.view import View


def _sql(dialect: Dialect) -> str:
    return f"""
SELECT x.id AS finding_id, {reading_columns(dialect)},
       x.key, x.code_value, x.code_scheme, x.code_meaning, {dialect.json_text("x.site", "meaning")} AS site,
       x.laterality, x.score, x.operating_point, x.presence, x.calibrated
{from_readings("finding")}
"""


FINDINGS = View(
    name="v1_findings",
    row="a finding of a reading, present or not",
    time="received_at",
    newest="received_at",
    columns={
        "finding_id": (WHOLE, "Number of the finding."),
        **READING,
        "key": (TEXT, "Key of the finding in the card of the model, such as lung_opacity."),
        **CODED,
        "score": (NUMBER, "Score of the model, 0 to 1; a probability only if calibrated."),
        "operating_point": (NUMBER, "Lowest score at which the finding is present."),
        "presence": (TEXT, "present, absent or undetermined."),
        "calibrated": (YES_NO, "Whether the card states that scores are calibrated probabilities."),
    },
    sql=_sql,
)
