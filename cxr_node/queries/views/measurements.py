"""`v1_measurements`: one row for each measurement of each reading."""

from cxr_node.queries.views.columns import CODED, NUMBER, READING, TEXT, WHOLE
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.sql import from_readings, reading_columns
from cxr_node.queries.views.view import View


def _sql(dialect: Dialect) -> str:
    return f"""
SELECT x.id AS measurement_id, {reading_columns(dialect)},
       x.key, x.topic, x.code_value, x.code_scheme, x.code_meaning, {dialect.json_text("x.site", "meaning")} AS site,
       x.laterality, x.value, {dialect.json_text("x.unit", "value")} AS unit, x.provenance
{from_readings("measurement")}
"""


MEASUREMENTS = View(
    name="v1_measurements",
    row="a measurement of a reading",
    time="received_at",
    newest="received_at",
    columns={
        "measurement_id": (WHOLE, "Number of the measurement."),
        **READING,
        "key": (TEXT, "Key of the measurement, such as CTR, the cardiothoracic ratio."),
        "topic": (TEXT, "structures, densities, borders, proportions or quality."),
        **CODED,
        "value": (NUMBER, "Measured value."),
        "unit": (TEXT, "Unit as a UCUM code, such as mm; 1 for a ratio."),
        "provenance": (TEXT, "Method of measurement."),
    },
    sql=_sql,
)
