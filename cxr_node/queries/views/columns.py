"""Columns that several views share: type and meaning."""

from cxr_node.queries.views.view import ColumnType

WHOLE, NUMBER, TEXT = ColumnType.WHOLE, ColumnType.NUMBER, ColumnType.TEXT
TIME, YES_NO = ColumnType.TIME, ColumnType.YES_NO

STUDY_ID = (WHOLE, "Number of the study.")
STUDY_UID = (TEXT, "Study Instance UID (0020,000D).")
CALLING = (TEXT, "Calling AE title of the sender.")
FILM = {
    "film_id": (WHOLE, "Number of the film."),
    "study_id": STUDY_ID,
    "study_instance_uid": STUDY_UID,
    "sop_instance_uid": (TEXT, "SOP Instance UID (0008,0018) of the film."),
    "calling_ae_title": CALLING,
    "received_at": (TIME, "When the film was received."),
}
RECEIVED_DAY = (TEXT, "UTC day of reception, such as 2026-01-31.")
STATE = "waiting, running, done, not_analysed or failed"
REASON = "a code such as VIEW or DECODE; empty if there is none"
READ_JOB = {
    "state": (TEXT, f"State of the read job: {STATE}."),
    "reason": (TEXT, f"Why the film was not analysed or reading failed: {REASON}."),
}
DETAIL = (TEXT, "Message of the node; quotes no value of the film's header.")
MODEL = {
    "model_name": (TEXT, "Name of the model."),
    "model_version": (TEXT, "Version of the model."),
    "weights_digest": (TEXT, "SHA-256 of the weights of the model."),
}
READING = {
    "reading_id": (WHOLE, "Number of the reading."),
    **FILM,
    "received_day": RECEIVED_DAY,
    "read_at": (TIME, "When the film was read."),
    **MODEL,
    "is_newest": (YES_NO, "Whether this is the newest reading of the film; another model may read a film again."),
}
CODED = {
    "code_value": (TEXT, "Code Value (0008,0100)."),
    "code_scheme": (TEXT, "Coding Scheme Designator (0008,0102)."),
    "code_meaning": (TEXT, "Code Meaning (0008,0104), English."),
    "site": (TEXT, "Anatomic site, as a code meaning."),
    "laterality": (TEXT, "Side of the patient: right, left or bilateral."),
}
STATISTIC = {
    "day": (TEXT, "UTC day, such as 2026-01-31."),
    "calling_ae_title": CALLING,
    **MODEL,
    "kind": (TEXT, "score, rejected (not analysed) or turnaround; in v1_drift also positive (finding present)."),
    "key": (TEXT, "Key of the finding for score and positive; else empty."),
}
