"""`v1_films`: one row for each film received, with its newest reading."""

from cxr_node.queries.views.columns import DETAIL, FILM, MODEL, READ_JOB, RECEIVED_DAY, TEXT, TIME, WHOLE, YES_NO
from cxr_node.queries.views.dialects import Dialect
from cxr_node.queries.views.sql import NEWEST_READING, is_not_constancy_film
from cxr_node.queries.views.view import View


def _sql(dialect: Dialect) -> str:
    return f"""
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.series_instance_uid, f.sop_instance_uid, f.sop_class_uid,
       f.transfer_syntax_uid, f.calling_ae_title, f.called_ae_title, f.address, f.received_at,
       {dialect.day("f.received_at")} AS received_day, {dialect.hour("f.received_at")} AS received_hour, f.size_bytes,
       f.is_original, f.removed_at, j.id AS job_id, j.state, j.reason, j.detail, r.id AS reading_id, r.read_at,
       {dialect.json_text("r.geometry", "view")} AS view, {dialect.json_integer("r.geometry", "rows")} AS film_rows,
       {dialect.json_integer("r.geometry", "columns")} AS film_columns, r.model_name, r.model_version, r.weights_digest
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id AND j.stage = 'read'
LEFT JOIN reading r ON r.id = {NEWEST_READING}
WHERE {is_not_constancy_film("f.id")}
"""


FILMS = View(
    name="v1_films",
    row="a film that was received, with its newest reading",
    time="received_at",
    newest="film_id",
    columns={
        "film_id": FILM["film_id"],
        "study_id": FILM["study_id"],
        "study_instance_uid": FILM["study_instance_uid"],
        "series_instance_uid": (TEXT, "Series Instance UID (0020,000E)."),
        "sop_instance_uid": FILM["sop_instance_uid"],
        "sop_class_uid": (TEXT, "SOP Class UID (0008,0016)."),
        "transfer_syntax_uid": (TEXT, "Transfer Syntax UID (0002,0010) of reception and archive."),
        "calling_ae_title": FILM["calling_ae_title"],
        "called_ae_title": (TEXT, "Called AE title."),
        "address": (TEXT, "Network address of the sender."),
        "received_at": FILM["received_at"],
        "received_day": RECEIVED_DAY,
        "received_hour": (WHOLE, "UTC hour of reception, 0 to 23."),
        "size_bytes": (WHOLE, "Size as a DICOM file."),
        "is_original": (YES_NO, "No if another film with this SOP Instance UID and other bytes came first."),
        "removed_at": (TIME, "When retention removed the bytes from the archive; else empty."),
        "job_id": (WHOLE, "Number of the read job."),
        **READ_JOB,
        "detail": DETAIL,
        "reading_id": (WHOLE, "Number of the newest reading; empty if the film has not been read."),
        "read_at": (TIME, "When the newest reading was written."),
        "view": (TEXT, "PA, AP, LATERAL or UNKNOWN; empty if the film could not be opened."),
        "film_rows": (WHOLE, "Rows (0028,0010)."),
        "film_columns": (WHOLE, "Columns (0028,0011)."),
        **MODEL,
    },
    sql=_sql,
)
