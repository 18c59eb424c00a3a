"""Response of a Store transaction: one verdict a part, HTTP status, and Store Instances Response Module in JSON.

PS3.18 section 10.5.3 and annex I; DICOM JSON Model, annex F.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cxr_node.domain.identifiers import Uid
from cxr_node.receive.status import StoreStatus
from cxr_node.receive.web.incoming_part import Uids

MEDIA_TYPE = "application/dicom+json"
OK, ACCEPTED, BAD_REQUEST, CONFLICT, UNAVAILABLE = 200, 202, 400, 409, 503
STATUSES = {
    OK: "every part is stored",
    ACCEPTED: "some parts are stored, others failed",
    BAD_REQUEST: "no boundary, no part, or a body that is no multipart body or ends early",
    401: "no valid API token; the body is not read",
    403: "the token, address or certificate may not store; the body is not read",
    404: "no such resource",
    405: "no such method",
    406: "the response is asked for in another media type than DICOM JSON; the body is not read",
    CONFLICT: "no part is stored",
    413: "more bytes or parts than accepted; parts before the limit may be stored",
    415: "the body is not multipart/related of application/dicom, or is compressed; it is not read",
    UNAVAILABLE: "no space, too many connections, or the database is away; Retry-After says when to send again",
}
"""HTTP statuses of the Store transaction, and when."""

_RETRIEVE_URL = "00081190"
_FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE, _OTHER_FAILURES_SEQUENCE = "00081198", "00081199", "0008119A"
_FAILURE_REASON = "00081197"
_REFERENCED_SOP_CLASS_UID, _REFERENCED_SOP_INSTANCE_UID = "00081150", "00081155"
_ERROR_COMMENT = "00000902"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a part: its status, which is Success or a Failure Reason, and its UIDs where they are known."""

    status: StoreStatus
    comment: str = ""
    uids: Uids | None = None
    study_instance_uid: Uid | None = None
    series_instance_uid: Uid | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the object is durable."""
        return self.status is StoreStatus.SUCCESS


def http_status(verdicts: Sequence[Verdict]) -> int:
    """Return the status of a response: all stored, some, none, or none because there is no room now."""
    stored = sum(verdict.is_stored for verdict in verdicts)
    if not verdicts:
        return BAD_REQUEST
    if stored:
        return OK if stored == len(verdicts) else ACCEPTED
    has_room = any(verdict.status is not StoreStatus.OUT_OF_RESOURCES for verdict in verdicts)
    return CONFLICT if has_room else UNAVAILABLE


def response_module(verdicts: Sequence[Verdict], *, base_url: str) -> bytes:
    """Return the Store Instances Response Module of the verdicts, in their order, in the DICOM JSON Model.

    A part whose UIDs are unknown is an item of Other Failures Sequence (0008,119A). Error Comment (0000,0902), in the
    items of failures, is an addition of the node.
    """
    sequences: dict[str, list[dict[str, object]]] = {}
    for verdict in verdicts:
        sequence, item = _item(verdict, base_url)
        sequences.setdefault(sequence, []).append(item)
    studies = {verdict.study_instance_uid for verdict in verdicts if verdict.is_stored}
    module: dict[str, object] = {tag: {"vr": "SQ", "Value": items} for tag, items in sorted(sequences.items())}
    if len(studies) == 1 and base_url:
        module[_RETRIEVE_URL] = _value("UR", f"{base_url}/studies/{studies.pop()}")
    return json.dumps(module, sort_keys=True).encode()


def _item(verdict: Verdict, base_url: str) -> tuple[str, dict[str, object]]:
    item: dict[str, object] = {}
    if verdict.uids is not None:
        item[_REFERENCED_SOP_CLASS_UID] = _value("UI", verdict.uids.sop_class_uid)
        item[_REFERENCED_SOP_INSTANCE_UID] = _value("UI", verdict.uids.sop_instance_uid)
        if verdict.is_stored:
            path = f"studies/{verdict.study_instance_uid}/series/{verdict.series_instance_uid}"
            url = f"{base_url}/{path}/instances/{verdict.uids.sop_instance_uid}"
            item[_RETRIEVE_URL] = _value("UR", url) if base_url else {"vr": "UR"}
            return _REFERENCED_SOP_SEQUENCE, item
    item[_FAILURE_REASON] = _value("US", int(verdict.status))
    if verdict.comment:
        item[_ERROR_COMMENT] = _value("LO", verdict.comment)
    return _OTHER_FAILURES_SEQUENCE if verdict.uids is None else _FAILED_SOP_SEQUENCE, item


def _value(vr: str, value: object) -> dict[str, object]:
    return {"vr": vr, "Value": [value]}
