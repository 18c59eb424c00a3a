"""Strict FHIR R4 server in this process: transactions with conditional updates, all or none, and what it rejects.

It holds what a server must check of a transaction (FHIR 4.0.1, 3.1.0.11), and what this project promises: no status but
preliminary and entered-in-error, no Condition, no Patient.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.peers import LOOPBACK

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


class Rejected(Exception):
    """The server rejects the transaction, with an HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class FhirServer:
    """Listens for the block. `answer` may replace the response to a transaction: (status, body)."""

    def __init__(self, *, patients: tuple[Resource, ...] = (PATIENT,)) -> None:
        self.resources: dict[str, Resource] = {f"Patient/{one['id']}": one for one in patients}
        self.versions: dict[str, int] = {}
        self.bundles: list[Resource] = []
        self.answer: Callable[[], tuple[int, bytes] | None] = lambda: None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((LOOPBACK, 0), type("Handler", (_Handler,), {"fhir": self}))
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/fhir"

    def __enter__(self) -> "FhirServer":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def of_type(self, kind: str) -> list[Resource]:
        """Return the present resources of a type."""
        return [one for one in self.resources.values() if one["resourceType"] == kind]

    def transact(self, bundle: Resource) -> Resource:
        """Store a transaction whole, or raise Rejected."""
        with self._lock:
            self.bundles.append(bundle)
            if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
                raise Rejected(400, "no transaction")
            stored = dict(self.resources)
            targets = [self._target(entry, stored) for entry in bundle["entry"]]
            if len({target for target, _ in targets}) < len(targets):
                raise Rejected(400, "two entries for one resource")
            names = {entry.get("fullUrl"): target for entry, (target, _) in zip(bundle["entry"], targets, strict=True)}
            for entry, (target, _) in zip(bundle["entry"], targets, strict=True):
                resource = json.loads(json.dumps(entry["resource"]))
                _check(resource)
                resource["id"] = target.split("/")[1]
                stored[target] = self._resolved(resource, names, stored)
            self.resources = stored
            for target, _ in targets:
                self.versions[target] = self.versions.get(target, 0) + 1
            entries = [{"response": {"status": "201 Created" if new else "200 OK"}} for _, new in targets]
            return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}

    def search(self, kind: str, query: str) -> Resource:
        """Return the matches by identifier, and the results of reports."""
        parameters = parse_qs(query)
        matches = self._matches(kind, parameters["identifier"][0], self.resources)
        included = [
            result["reference"]
            for name in matches
            for result in self.resources[name].get("result", ())
            if parameters.get("_include") == ["DiagnosticReport:result"]
        ]
        entries = [{"resource": self.resources[name]} for name in dict.fromkeys([*matches, *included])]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entries}

    def _target(self, entry: Resource, stored: Mapping[str, Resource]) -> tuple[str, bool]:
        kind, (method, url) = entry["resource"]["resourceType"], (entry["request"]["method"], entry["request"]["url"])
        if method != "PUT" or kind not in _REQUIRED:
            raise Rejected(400, f"{method} {kind} is not permitted here")
        path, _, query = url.partition("?")
        if not query:
            if path not in stored:
                raise Rejected(404, "no such resource")
            return path, False
        matches = self._matches(path, unquote(query.removeprefix("identifier=")), stored)
        if path != kind or len(matches) > 1:
            raise Rejected(412, "not one match")
        return (
            (matches[0], False) if matches else (f"{kind}/{len(stored)}-{len(self.bundles)}-{hash(url) & 0xFFFF}", True)
        )

    @staticmethod
    def _matches(kind: str, token: str, stored: Mapping[str, Resource]) -> list[str]:
        system, has_system, value = token.rpartition("|")
        return [
            name
            for name, one in stored.items()
            if one["resourceType"] == kind
            for identifier in one.get("identifier", ())
            if identifier.get("value") == value and (not has_system or identifier.get("system") == system)
        ]

    def _resolved(self, value: Any, names: Mapping[str, str], stored: Mapping[str, Resource]) -> Any:
        """Return a resource with its references within the bundle, and the conditional ones, resolved."""
        if isinstance(value, list):
            return [self._resolved(one, names, stored) for one in value]
        if not isinstance(value, dict):
            return value
        resolved = {key: self._resolved(one, names, stored) for key, one in value.items()}
        reference = resolved.get("reference", "")
        if reference.startswith("urn:uuid:"):
            if reference not in names:
                raise Rejected(400, "a reference to no entry")
            resolved["reference"] = names[reference]
        elif "?" in reference:
            kind, _, query = reference.partition("?")
            matches = self._matches(kind, unquote(query.removeprefix("identifier=")), stored)
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


class _Handler(BaseHTTPRequestHandler):
    fhir: FhirServer

    def do_GET(self) -> None:  # of the library
        address = urlsplit(self.path)
        if address.path == "/fhir/metadata":
            self._answer(200, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
        else:
            self._answer(200, self.fhir.search(address.path.rpartition("/")[2], address.query))

    def do_POST(self) -> None:  # of the library
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if (answer := self.fhir.answer()) is not None:
            self._send(*answer)
            return
        try:
            self._answer(200, self.fhir.transact(json.loads(body)))
        except Rejected as rejected:
            issue = {"severity": "error", "code": "invalid", "diagnostics": str(rejected)}
            self._answer(rejected.status, {"resourceType": "OperationOutcome", "issue": [issue]})

    def _answer(self, status: int, resource: Resource) -> None:
        self._send(status, json.dumps(resource).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
