"""Simulated worklist manager by UPS-RS on loopback, over the state machine of `worklist_steps` (PS3.18 section 11).

Strict: it takes a request in one form only: as the standard has it, or as a known server reads it.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydicom.datadict import keyword_dict
from pydicom.dataset import Dataset

from cxr_node.simulators.token_listener import TokenListener
from cxr_node.simulators.worklist_steps import ManagedSteps, Mode
from cxr_node.ups.attributes import query

JSON = "application/dicom+json"
_BASE = "/dicom-web/workitems"
_OK, _NO_CONTENT, _BAD, _UNKNOWN, _CONFLICT, _FAULT = 200, 204, 400, 404, 409, 500
_STATUSES = {
    0xC300: (_CONFLICT, "The submitted request is inconsistent with the state of the UPS Instance."),
    0xC301: (_CONFLICT, "The Transaction UID is incorrect."),
    0xC302: (_CONFLICT, "The submitted request is inconsistent with the state of the UPS Instance."),
    0xC303: (_BAD, ""),
    0xC304: (_CONFLICT, "The submitted request is inconsistent with the state of the UPS Instance."),
    0xC307: (_UNKNOWN, ""),
    0xC310: (_CONFLICT, "The submitted request is inconsistent with the state of the UPS Instance."),
    0xB304: (_OK, "The UPS is already in the requested state of CANCELED."),
    0xB306: (_OK, "The UPS is already in the requested state of COMPLETED."),
    0x0000: (_OK, ""),
}
"""HTTP status and warning of each status of the state machine (tables 11.6.3-1 and 11.7.3-1); any other is a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerForm:
    """What the server takes: parameter of the Transaction UID ("" for the UID alone), requester in the path, array."""

    parameter: str = "Transaction-uid"
    requester: str = ""
    has_array: bool = True


class SimulatedWebWorklist(ManagedSteps, TokenListener):
    """Manager of steps that listens for HTTP; see `ManagedSteps` and `TokenListener`.

    A claim's header X-Performer, which the settings of a node may add, names its performer. `warns` is whether a
    conflict is described by a Warning header; `invalid` has what was wrong in a request.
    """

    def __init__(
        self,
        *,
        form: ServerForm | None = None,
        tls: ssl.SSLContext | None = None,
        authorization: str = "",
        client: str = "",
    ) -> None:
        ManagedSteps.__init__(self)
        TokenListener.__init__(self, _Handler, tls=tls, authorization=authorization, client=client)
        self.form = form or ServerForm()
        self.warns = True
        self.invalid: list[str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"{self.web_address}/dicom-web"


class _Handler(BaseHTTPRequestHandler):
    owner: SimulatedWebWorklist
    timeout = 30.0

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer a search (section 11.9), or a retrieval (section 11.5)."""
        if not self._is_permitted():
            return
        address = urlsplit(self.path)
        if self.headers.get("Accept") != JSON:
            self._refuse("Accept", 406)
        elif address.path == _BASE:
            self._search(dict(parse_qsl(address.query)))
        elif address.path.startswith(f"{_BASE}/") and not address.query:
            status, attributes = self.owner.get(address.path.removeprefix(f"{_BASE}/"))
            self._answer(status, None if attributes is None else [attributes.to_json_dict()])
        else:
            self._refuse("path", _UNKNOWN)

    def _search(self, keys: Mapping[str, str]) -> None:
        identifier = query(workitem=None, station=None, label="")
        identifier.ProcedureStepState = keys.get("ProcedureStepState", "")
        identifier.WorklistLabel = keys.get("WorklistLabel", "")
        for name, value in keys.items():
            sequence, _, keyword = name.partition(".")
            if keyword:
                setattr(identifier[sequence].value[0], keyword, value)
            elif name not in (*keyword_dict, "includefield", "limit"):
                self._refuse(f"query {name}", _BAD)
                return
        wanted = keys.get("SOPInstanceUID", "")
        status, responses = self.owner.find(identifier)
        matching = [one for one in responses if wanted in ("", str(one.SOPInstanceUID))][: int(keys["limit"])]
        self._answer(status, [one.to_json_dict() for one in matching], is_search=True)

    def do_POST(self) -> None:
        """Answer a token request, or an update (section 11.6)."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/token":
            status, token = self.owner.token_response(self.headers.get("Authorization"), body)
            self._send(status, token, "application/json")
            return
        if not self._is_permitted():
            return
        address, form = urlsplit(self.path), self.owner.form
        modifications = self._data_set(body)
        prefix = f"{form.parameter}=" if form.parameter else ""
        transaction_uid = unquote(address.query).removeprefix(prefix)
        if modifications is None:
            return
        if not address.path.startswith(f"{_BASE}/") or not address.query.startswith(prefix):
            self._refuse("query of an update", _BAD)
            return
        if str(modifications.get("TransactionUID", transaction_uid)) != transaction_uid:
            self._refuse("two Transaction UIDs", _BAD)
            return
        modifications.TransactionUID = transaction_uid
        self._answer(self.owner.set_attributes(address.path.removeprefix(f"{_BASE}/"), modifications))

    def do_PUT(self) -> None:
        """Answer a change of the state (section 11.7)."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self._is_permitted():
            return
        form = self.owner.form
        end = f"/state/{form.requester}" if form.requester else "/state"
        information = self._data_set(body)
        if information is None:
            return
        if not (self.path.startswith(f"{_BASE}/") and self.path.endswith(end)):
            self._refuse("path of a state", _UNKNOWN)
            return
        uid = self.path.removeprefix(f"{_BASE}/").removesuffix(end)
        mode = self.owner.mode
        if mode is Mode.ABORTS:
            self.close_connection = True
            return
        status = self.owner.change_state(uid, information, performer=self.headers.get("X-Performer", ""))
        if mode in (Mode.SILENT, Mode.GRANTS_SILENTLY):
            self.close_connection = True
            return
        self._answer(status)

    def _is_permitted(self) -> bool:
        self.owner.headers.append(dict(self.headers.items()))
        if self.owner.permits(self.headers.get("Authorization")):
            return True
        self._send(401, b"", JSON)
        return False

    def _data_set(self, body: bytes) -> Dataset | None:
        """Return the data set of a request; None if it was refused."""
        if self.headers.get("Content-Type") != JSON:
            self._refuse("Content-Type", 415)
            return None
        document = json.loads(body)
        if isinstance(document, list) is not self.owner.form.has_array:
            self._refuse("body", _BAD)
            return None
        return Dataset.from_json(document[0] if isinstance(document, list) else document)

    def _refuse(self, what: str, status: int) -> None:
        self.owner.invalid.append(what)
        self._send(status, b"", JSON)

    def _answer(self, status: int, document: Any = None, *, is_search: bool = False) -> None:
        """Answer with what a status of the state machine is in HTTP."""
        code, warning = _STATUSES.get(status, (_FAULT, ""))
        if is_search and code == _OK and not document:
            code = _NO_CONTENT
        body = json.dumps(document).encode() if code == _OK and document is not None else b""
        self._send(code, body, JSON, warning if self.owner.warns else "")

    def _send(self, status: int, body: bytes, content_type: str, warning: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if warning:
            self.send_header("Warning", f"299 {self.owner.url}: {warning}")
        self.end_headers()
        self.wfile.write(body)
