"""FHIR destination: each report as one transaction to an R4 server (4.0.1), always preliminary."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from cxr_node.deliver import web_outcome
from cxr_node.deliver.destination import DeliveryRejected, Destination, DestinationKind, ExportUri, Probe, Receipt
from cxr_node.deliver.dicom_file import read_dicom_file
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.result_names import MEASUREMENT_NAMES, MeasurementName
from cxr_node.domain.section import text_form
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION
from cxr_node.net.http_settings import HttpServerSection

if TYPE_CHECKING:
    from cxr_node.deliver.fhir_result import FhirRules
    from cxr_node.net.http_authorization import AuthorizedServer
    from cxr_node.net.http_client import Response

_log = logging.getLogger(__name__)

JSON = "application/fhir+json"
_REPORTS = ("report", "report-comprehensive", "report-enhanced")
_MAX_RESPONSE_BYTES = 1 << 22
_CONFLICT, _ABSENT = 409, (404, 410)
_LOCATION = re.compile(r"(?:^|/)DiagnosticReport/([A-Za-z0-9.-]{1,64})(?:/|$)")
"""Location of a stored report in a response (FHIR R4, 3.1.0.11.2); the id is what matters."""
_URI = r"(https?://|urn:)[\x21-\x7e]{1,200}"
_System = Annotated[str, text_form(rf"[^=\x00-\x1f]{{0,64}}={_URI}", '"ISSUER=urn:oid:1.2.3"')]


class Fhir(HttpServerSection, DestinationKind):
    """A FHIR R4 server that receives each report as DiagnosticReport and Observations, always preliminary."""

    withdrawn_by: ClassVar[str] = "DiagnosticReport and Observations with status entered-in-error"

    kind: Literal["fhir"] = Field("fhir", description="Kind of destination.")
    results: tuple[str, ...] = Field(
        ("report",), min_length=1, max_length=1, description="The report that resources are made of."
    )
    patient_systems: tuple[_System, ...] = Field(
        (),
        description='System of Patient IDs by issuer, such as "HOSPITAL=urn:oid:1.2.3"; "=urn:oid:1.2.3" for IDs '
        "without an issuer.",
    )
    patient: Literal["find", "identifier"] = Field(
        "find",
        description='Reference to the Patient: "find", which the server must have by Patient ID (conditional '
        'reference), or "identifier", by the identifier alone. None is created.',
    )
    accession_system: Annotated[str, text_form(f"({_URI})?", "http(s)://... or urn:...")] = Field(
        "", description="System of accession numbers; empty: none."
    )
    confirm: Literal["none", "read"] = Field(
        "read",
        description="Verification of delivered reports: the DiagnosticReport is read back before a delivery counts; "
        "or none.",
    )
    measurements: tuple[MeasurementName, ...] = Field(
        MEASUREMENT_NAMES,
        description="Measurements of the report to send, by code value: CTR, the cardiothoracic ratio; empty: none.",
    )

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="fhir", url="http://127.0.0.1:8080/fhir")

    @property
    def peer_name(self) -> str:
        """The URL."""
        return self.url

    @property
    def audit_target(self) -> ExportUri:
        """The URL."""
        return ExportUri(uri=self.url)

    def open(self, *, calling_ae_title: AeTitle) -> Destination:  # noqa: ARG002  # of every kind
        """Return the destination."""
        return FhirDestination(
            name=self.name,
            server=self.server(maximum_response_bytes=_MAX_RESPONSE_BYTES),
            rules=self._rules(),
            is_confirmed=self.confirm == "read",
        )

    def probe(self, sop_class_uids: Sequence[Uid], *, calling_ae_title: AeTitle) -> Probe:  # noqa: ARG002  # of every kind
        """Test by the capabilities of the server, without a resource."""
        server = self.server(maximum_response_bytes=_MAX_RESPONSE_BYTES)
        next_step = "check that it runs and that url, auth and the TLS files are right; results wait until then"
        try:
            response = web_outcome.send(server, "GET", "/metadata", {"Accept": JSON})
        except RetryLater as error:
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        version = str(_document(response).get("fhirVersion", ""))
        message = f"{server} answers a request for its capabilities with HTTP status {response.status}"
        if not response.is_success or not version:
            return Probe(message=f"{message}, and with no FHIR version", is_usable=False, next_step=next_step)
        if not version.startswith("4.0"):
            return Probe(message=f"{server} has FHIR {version[:16]}", next_step="have it serve R4 (4.0.1) at url")
        return Probe(message=f"{server} has FHIR {version[:16]}")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each setting that contradicts another."""
        yield from super().contradictions(key)
        if self.results[0] not in _REPORTS:
            yield f"{key}.results: resources are made of one of {', '.join(_REPORTS)}"

    def _rules(self) -> "FhirRules":
        # Every command loads the kinds of destinations.
        from cxr_node.deliver.fhir_result import FhirRules

        pairs = (line.partition("=") for line in self.patient_systems)
        return FhirRules(
            patient_systems={issuer: system for issuer, _, system in pairs},
            accession_system=self.accession_system,
            finds_patient=self.patient == "find",
            measurements=frozenset(self.measurements),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirDestination:
    """Posts one transaction a report: all of its resources are stored, or none.

    With `is_confirmed` it reads the DiagnosticReport back.
    """

    name: str
    server: "AuthorizedServer"
    rules: "FhirRules"
    is_confirmed: bool = True

    def send(self, content: bytes) -> Receipt:
        """Send the report, or the rejection note, in the DICOM file `content`; see `Destination.send`."""
        from cxr_node.deliver.fhir_result import NoResource, bundle, report_identifier
        from cxr_node.deliver.report_content import NoReport, parse_rejection_note, parse_report

        is_note = read_dicom_file(content).sop_class_uid == KEY_OBJECT_SELECTION
        try:
            report = parse_rejection_note(content) if is_note else parse_report(content)
            earlier = self._observations(report_identifier(report.header))
            transaction = bundle(report, self.rules, earlier)
        except (NoReport, NoResource) as error:
            raise DeliveryRejected(str(error)) from None
        body = json.dumps(transaction, ensure_ascii=False).encode()
        response = web_outcome.send(self.server, "POST", "", {"Accept": JSON, "Content-Type": JSON}, [body])
        receipt = self._receipt(response, len(transaction["entry"]))
        if self.is_confirmed:
            self._confirm(transaction, _document(response))
        return receipt

    def _observations(self, identifier: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the observations of the report that the server has."""
        from cxr_node.deliver.fhir_result import search_of

        path = f"/DiagnosticReport?{search_of(identifier)}&_include=DiagnosticReport:result"
        response = web_outcome.send(self.server, "GET", path, {"Accept": JSON})
        if not response.is_success:
            web_outcome.raise_for_status(response, f"{self.server} answered a search")
        document = _document(response)
        if document.get("resourceType") != "Bundle":
            raise RetryLater(f"{self.server} answered a search with HTTP status {response.status}, and no Bundle")
        resources = [entry.get("resource", {}) for entry in document.get("entry", ())]
        return [one for one in resources if one.get("resourceType") == "Observation" and one.get("id")]

    def _receipt(self, response: "Response", entries: int) -> Receipt:
        message = f"{self.server} answered the transaction with HTTP status {response.status}"
        if response.status == _CONFLICT:  # another writer
            raise RetryLater(message)
        if not response.is_success:
            web_outcome.raise_for_status(response, message)
        document = _document(response)
        if document.get("type") != "transaction-response":
            raise RetryLater(f"{message}, and no transaction-response")
        statuses = [str(entry.get("response", {}).get("status", "")) for entry in document.get("entry", ())]
        if len(statuses) != entries or not all(status.startswith("2") for status in statuses):
            raise DeliveryRejected(f"{message}, and not every resource as stored")
        _log.info("%s stored %d resources", self.name, entries)
        return Receipt(status=0, comment=f"{entries} resources")

    def _confirm(self, transaction: dict[str, Any], response: dict[str, Any]) -> None:
        """Read the report back by the location in the response, else by its identifier.

        Raises
        ------
        RetryLater
            If the server does not have this version of the report: an earlier one has another SOP Instance UID.
        """
        from cxr_node.deliver.fhir_result import search_of

        names = [entry["resource"]["resourceType"] for entry in transaction["entry"]]
        place = names.index("DiagnosticReport")
        report_uid, sop_instance_uid = transaction["entry"][place]["resource"]["identifier"][:2]
        answered = str(response["entry"][place]["response"].get("location") or "")
        location = _LOCATION.search(answered)
        path = f"/DiagnosticReport/{location[1]}" if location else f"/DiagnosticReport?{search_of(report_uid)}"
        reading = web_outcome.send(self.server, "GET", path, {"Accept": JSON})
        if not reading.is_success and reading.status not in _ABSENT:
            web_outcome.raise_for_status(reading, f"{self.server} answered a reading")
        document = _document(reading) if reading.is_success else {}
        resources = [document, *(entry.get("resource", {}) for entry in document.get("entry", ()))]
        if not any(sop_instance_uid in resource.get("identifier", ()) for resource in resources):
            raise RetryLater(f"{self.server} answered the transaction as stored, and does not have the report")


def _document(response: "Response") -> dict[str, Any]:
    """Return the JSON object of a response; empty if it is none."""
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
