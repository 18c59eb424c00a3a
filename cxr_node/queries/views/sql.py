"""SQL fragments that several views share."""

from cxr_node.queries.views.dialects import Dialect

NEWEST_READING = "(SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)"


def is_not_constancy_film(film_id: str) -> str:
    """Return the condition that excludes films of constancy checks."""
    return f"NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = {film_id})"


def reading_columns(dialect: Dialect) -> str:
    """Return the columns of `columns.READING`, of film f, study s and reading r."""
    return f"""r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, {dialect.day("f.received_at")} AS received_day, r.read_at,
       r.model_name, r.model_version, r.weights_digest, r.id = {NEWEST_READING} AS is_newest"""


def from_readings(table: str) -> str:
    """Return FROM and WHERE for the rows x of a table that refers to readings.

    CROSS JOIN fixes SQLite's join order: otherwise it starts with the findings, the largest table, and sorts.
    """
    return f"""FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN {table} x
WHERE r.film_id = f.id AND x.reading_id = r.id AND {is_not_constancy_film("f.id")}"""
