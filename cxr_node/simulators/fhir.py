"""Simulated FHIR R4 server on loopback: transactions with conditional updates, all or none, strict, failing as chosen.

It holds what a server must check of a transaction (FHIR 4.0.1, 3.1.0.11), and what this project promises: no status but
preliminary and entered-in-error, no Condition, no Patient.
"""

import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cxr_node.domain.identifiers import digest_of
from cxr_node.simulators.http_handler import HttpHandler
from cxr_node.simulators.token_listener import TokenListener

JSON = "application/fhir+json"
Resource = dict[str, Any]
PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "urn:oid:1.2.3", "value": "CXR-TEST-0001"}],
}
_REQUIRED: Mapping[str, Mapping[str, type]] = {
    "DiagnosticReport": {"status": str, "code": dict, "subject": dict, "issued": str, "identifier": list},
    "Observation": {"status": str, "code": dict, "subject": dict, "issued": str, "identifier": list},
    "Device": {"identifier": list, "deviceName": list},
}
_STATUS = {"preliminary", "entered-in-error"}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_HUGE = 1 << 23
_SILENCE_S = 3.0
"""By then a client has given up."""


class Mode(StrEnum):
    """What the server does with a transaction."""

    RIGHT = "right"
    SILENT = "stored without a response"
    CLOSES = "closes in mid-body"
    TRUNCATED = "stored, response truncated"
    HUGE = "stored, response beyond the limit"
    PAGE = "status 200 with a page in HTML"
    EMPTY = "status 200, and names no resource"
    PARTLY = "status 200, and one resource is refused"
    STORES_NOTHING = "every resource as stored, and none is"
    STORES_NOTHING_ANYWHERE = "the same, without locations"
    SEARCH_PAGE = "a search answered in HTML"
    REDIRECTS = "redirects"
    EXPIRED = "status 401"
    CONFLICT = "status 409"
    REJECTS = "status 422"
    STATUS_500 = "stored, status 500"
    STATUS_503 = "status 503 with Retry-After"


_STATUSES = {
    Mode.REDIRECTS: 307,
    Mode.EXPIRED: 401,
    Mode.CONFLICT: 409,
    Mode.REJECTS: 422,
    Mode.STATUS_500: 500,
    Mode.STATUS_503: 503,
}
_STORES = frozenset({Mode.RIGHT, Mode.SILENT, Mode.TRUNCATED, Mode.HUGE, Mode.STATUS_500})


class Rejected(Exception):
    """The server rejects the transaction, with an HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class SimulatedFhir(TokenListener):
    """Listens from `start` to `stop`, at the same port again; `mode` may change at any time; see `TokenListener`."""

    def __init__(
        self,
        *,
        patients: tuple[Resource, ...] = (PATIENT,),
        tls: ssl.SSLContext | None = None,
        authorization: str = "",
        client: str = "",
    ) -> None:
        super().__init__(_Handler, tls=tls, authorization=authorization, client=client)
        self.mode = Mode.RIGHT
        self.resources: dict[str, Resource] = {f"Patient/{one['id']}": one for one in patients}
        self.versions: Counter[str] = Counter()
        self.bundles: list[Resource] = []
        self.requests: Counter[Mode] = Counter()
        self.headers: list[dict[str, str]] = []
        self.changed: list[str] = []
        """Reports that were sent again with other content."""
        self._first: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"{self.web_address}/fhir"

    @property
    def by_study(self) -> dict[str, dict[str, str]]:
        """Reports of each study by SOP Instance UID, with a digest."""
        studies: dict[str, dict[str, str]] = {}
        for report in self.of_type("DiagnosticReport"):
            study = report["imagingStudy"][0]["identifier"]["value"].removeprefix("urn:oid:")
            studies.setdefault(study, {})[sop_instance_uid(report)] = digest_of(json.dumps(report).encode())
        return studies

    def of_type(self, kind: str) -> list[Resource]:
        """Return the present resources of a type."""
        return [one for one in self.resources.values() if one["resourceType"] == kind]

    def transact(self, bundle: Resource) -> Resource:
        """Store a transaction whole, or raise Rejected."""
        with self._lock:
            self._note(bundle)
            stored = dict(self.resources)
            targets = [self._target(entry, stored) for entry in bundle["entry"]]
            if len({target for target, _ in targets}) < len(targets):
                raise Rejected(400, "two entries for one resource")
            names = {entry.get("fullUrl"): target for entry, (target, _) in zip(bundle["entry"], targets, strict=True)}
            for entry, (target, _) in zip(bundle["entry"], targets, strict=True):
                resource = json.loads(json.dumps(entry["resource"]))
                _check(resource)
                resource["id"] = target.split("/")[1]
                stored[target] = _resolved(resource, names, stored)
            self.resources = stored
            self.versions.update(target for target, _ in targets)
            return _stored_response(targets)

    def claim(self, bundle: Resource) -> Resource:
        """Return the response to a stored transaction without storing it."""
        with self._lock:
            return _stored_response([self._target(entry, self.resources) for entry in bundle["entry"]])

    def _note(self, bundle: Resource) -> None:
        """Note a transaction; one of a report that was sent before must have the same content."""
        self.bundles.append(bundle)
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
            raise Rejected(400, "no transaction")
        digest = digest_of(json.dumps(bundle).encode())
        for entry in bundle["entry"]:
            report = entry["resource"]
            if report["resourceType"] == "DiagnosticReport" and len(report["identifier"]) > 1:
                uid = sop_instance_uid(report)
                if self._first.setdefault(uid, digest) != digest:
                    self.changed.append(f"{uid} was sent again with other content")

    def search(self, kind: str, query: str) -> Resource:
        """Return the matches by identifier, and the results of reports."""
        parameters = parse_qs(query)
        matches = _matches(kind, parameters["identifier"][0], self.resources)
        included = [
            result["reference"]
            for name in matches
            for result in self.resources[name].get("result", ())
            if parameters.get("_include") == ["DiagnosticReport:result"]
        ]
        entries = [{"resource": self.resources[name]} for name in dict.fromkeys([*matches, *included])]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entries}

    def _target(self, entry: Resource, stored: Mapping[str, Resource]) -> tuple[str, bool]:
        """Return the name of the resource that an entry updates, and whether it is a new one."""
        kind, (method, url) = entry["resource"]["resourceType"], (entry["request"]["method"], entry["request"]["url"])
        if method != "PUT" or kind not in _REQUIRED:
            raise Rejected(400, f"{method} {kind} is not permitted here")
        path, _, query = url.partition("?")
        if not query:
            if path not in stored:
                raise Rejected(404, "no such resource")
            return path, False
        matches = _matches(path, unquote(query.removeprefix("identifier=")), stored)
        if path != kind or len(matches) > 1:
            raise Rejected(412, "not one match")
        return (matches[0], False) if matches else (f"{kind}/{digest_of(url.encode())[:32]}", True)


def _stored_response(targets: Sequence[tuple[str, bool]]) -> Resource:
    entries = [
        {"response": {"status": "201 Created" if new else "200 OK", "location": f"{target}/_history/1"}}
        for target, new in targets
    ]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


def sop_instance_uid(report: Resource) -> str:
    """Return the SOP Instance UID of the Structured Report that a DiagnosticReport was made of."""
    return str(report["identifier"][1]["value"]).removeprefix("urn:oid:")


def _matches(kind: str, token: str, stored: Mapping[str, Resource]) -> list[str]:
    system, has_system, value = token.rpartition("|")
    return [
        name
        for name, one in stored.items()
        if one["resourceType"] == kind
        for identifier in one.get("identifier", ())
        if identifier.get("value") == value and (not has_system or identifier.get("system") == system)
    ]


def _resolved(value: Any, names: Mapping[str, str], stored: Mapping[str, Resource]) -> Any:
    """Return a resource with its references within the bundle, and the conditional ones, resolved."""
    if isinstance(value, list):
        return [_resolved(one, names, stored) for one in value]
    if not isinstance(value, dict):
        return value
    resolved = {key: _resolved(one, names, stored) for key, one in value.items()}
    reference = resolved.get("reference", "")
    if reference.startswith("urn:uuid:"):
        if reference not in names:
            raise Rejected(400, "a reference to no entry")
        resolved["reference"] = names[reference]
    elif "?" in reference:
        kind, _, query = reference.partition("?")
        matches = _matches(kind, unquote(query.removeprefix("identifier=")), stored)
        if len(matches) != 1:
            raise Rejected(412, "the conditional reference has not one match")
        resolved["reference"] = matches[0]
    return resolved


def _check(resource: Resource) -> None:
    kind = resource["resourceType"]
    for name, type_ in _REQUIRED[kind].items():
        if not isinstance(resource.get(name), type_) or not resource[name]:
            raise Rejected(422, f"{kind}.{name} is missing")
    if "status" in _REQUIRED[kind] and resource["status"] not in _STATUS:
        raise Rejected(422, f"{kind}.status")
    if "issued" in resource and not _INSTANT.fullmatch(resource["issued"]):
        raise Rejected(422, "issued is no instant")
    if "effectiveDateTime" in resource and not _DATE.fullmatch(resource["effectiveDateTime"]):
        raise Rejected(422, "effectiveDateTime is no date")
    if any(_is_empty(one) for one in _nodes(resource)):
        raise Rejected(422, "an empty element")


def _nodes(value: Any) -> Iterator[Any]:
    yield value
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    for one in inner:
        yield from _nodes(one)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


class _Handler(HttpHandler):
    owner: SimulatedFhir

    def do_GET(self) -> None:
        """Answer a request for capabilities, or a search by identifier."""
        address = urlsplit(self.path)
        if not self.owner.permits(self.headers.get("Authorization")):
            self.respond(401, b"{}", JSON)
        elif address.path == "/fhir/metadata":
            self._answer(200, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
        elif self.owner.mode is Mode.SEARCH_PAGE:
            self.respond(200, b"<html>Log in</html>", "text/html")
        elif not address.query:
            resource = self.owner.resources.get(address.path.removeprefix("/fhir/"))
            self._answer(404, {"resourceType": "OperationOutcome"}) if resource is None else self._answer(200, resource)
        else:
            self._answer(200, self.owner.search(address.path.rpartition("/")[2], address.query))

    def do_POST(self) -> None:
        """Answer a token request, or a transaction as the mode says."""
        owner, mode, length = self.owner, self.owner.mode, int(self.headers["Content-Length"])
        if self.path == "/token":
            status, token = owner.token_response(self.headers.get("Authorization"), self.rfile.read(length))
            self.respond(status, token, JSON)
            return
        owner.headers.append(dict(self.headers.items()))
        owner.requests[mode] += 1
        body = self.rfile.read(length // 2 if mode is Mode.CLOSES else length)
        if mode is Mode.CLOSES:
            self.close_connection = True
            return
        if not owner.permits(self.headers.get("Authorization")):
            self.respond(401, b"{}", JSON)
            return
        try:
            self._answer_transaction(json.loads(body), mode)
        except Rejected as rejected:
            issue = {"severity": "error", "code": "invalid", "diagnostics": str(rejected)}
            self._answer(rejected.status, {"resourceType": "OperationOutcome", "issue": [issue]})

    def _answer_transaction(self, bundle: Resource, mode: Mode) -> None:
        response = self.owner.transact(bundle) if mode in _STORES else _refused(bundle)
        if mode in (Mode.STORES_NOTHING, Mode.STORES_NOTHING_ANYWHERE):
            response = self.owner.claim(bundle)
        if mode is Mode.STORES_NOTHING_ANYWHERE:
            response = {**response, "entry": [{"response": {"status": "201 Created"}} for _ in bundle["entry"]]}
        if mode in _STATUSES:
            self.respond(_STATUSES[mode], b"{}", JSON)
            return
        match mode:
            case Mode.SILENT:
                self.close_connection = True
                self.owner.wait(_SILENCE_S)
            case Mode.PAGE:
                self.respond(200, b"<html>Log in</html>", "text/html")
            case Mode.EMPTY:
                self._answer(200, {**response, "entry": []})
            case Mode.HUGE:
                self._answer(200, {**response, "pad": "x" * _HUGE})
            case _:
                self._answer(200, response, is_cut=mode is Mode.TRUNCATED)

    def _answer(self, status: int, resource: Resource, *, is_cut: bool = False) -> None:
        self.respond(status, json.dumps(resource).encode(), JSON, is_cut=is_cut)


def _refused(bundle: Resource) -> Resource:
    """Return a response whose first resource is refused; nothing is stored."""
    statuses = ["422 Unprocessable Entity", *["201 Created"] * (len(bundle["entry"]) - 1)]
    entries = [{"response": {"status": status}} for status in statuses]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
