"""HL7 destination: each report as ORU^R01 over MLLP to a RIS, stop and wait, original or enhanced acknowledgment."""

import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from cxr_node.deliver.destination import (
    DeliveryRejected,
    Destination,
    DestinationKind,
    DestinationUnreachable,
    ExportUri,
    Probe,
    Receipt,
)
from cxr_node.deliver.dicom_file import read_dicom_file
from cxr_node.deliver.outcome import DeliveryOutcome
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.hl7_text import AccessionField, CharacterSet, fields_of
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.result_names import MEASUREMENT_NAMES, MeasurementName
from cxr_node.domain.section import PeerPort, Seconds, text_form
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION
from cxr_node.net.mllp import MllpError, MllpServer
from cxr_node.net.tls_settings import TlsClient

if TYPE_CHECKING:
    from cxr_node.deliver.hl7_result import OruRules

_log = logging.getLogger(__name__)

_REPORTS = ("report", "report-comprehensive", "report-enhanced")
ACKNOWLEDGMENTS: Mapping[str, DeliveryOutcome] = {
    "AA": DeliveryOutcome.DELIVERED,
    "CA": DeliveryOutcome.DELIVERED,
    **dict.fromkeys(("AE", "AR", "CE", "CR"), DeliveryOutcome.REJECTED),
}
"""Outcome of each code of MSA-1 (table 0008); any other is tried again."""
_ERROR_CODE = re.compile(r"[0-9]{3}")
_Name = Annotated[str, text_form(r"[A-Za-z0-9 ._-]{0,180}", "letters, digits, or any of . _ -")]


class Hl7(TlsClient, DestinationKind):
    """A RIS or integration engine that receives each report as HL7 ORU^R01, always preliminary, over MLLP."""

    withdrawn_by: ClassVar[str] = "ORU^R01 with OBR-25 X and OBX-11 D"

    kind: Literal["hl7"] = Field("hl7", description="Kind of destination.")
    host: str = Field(description="Its address.")
    port: PeerPort = Field(description="Its TCP port.")
    results: tuple[str, ...] = Field(
        ("report",), min_length=1, max_length=1, description="The report that messages are made of."
    )
    sending_application: _Name = Field("CXRNODE", description="Sending Application (MSH-3).")
    sending_facility: _Name = Field("", description="Sending Facility (MSH-4).")
    receiving_application: _Name = Field("RIS", description="Receiving Application (MSH-5).")
    receiving_facility: _Name = Field("", description="Receiving Facility (MSH-6).")
    acknowledgment: Literal["original", "enhanced"] = Field(
        "original", description='Acknowledgment mode: "original" (AA, AE, AR), or "enhanced" (CA, CE, CR).'
    )
    character_set: CharacterSet = Field("UNICODE UTF-8", description="Character set of messages (MSH-18).")
    processing_id: Literal["P", "T"] = Field("P", description="Processing ID (MSH-11): production, or training.")
    section: _Name = Field("RAD", description="Diagnostic Service Section ID (OBR-24).")
    accession_field: AccessionField = Field("OBR-18", description="Field that the accession number is written to.")
    measurements: tuple[MeasurementName, ...] = Field(
        MEASUREMENT_NAMES,
        description="Measurements of the report to send, by code value: CTR, the cardiothoracic ratio; empty: none.",
    )
    withdrawals: bool = Field(
        True,
        description="Send withdrawn reports: ORU^R01 with OBR-25 X and OBX-11 D; false: a person removes them there.",
    )
    connect_timeout_s: Seconds = Field(5.0, description="Time-out of a connection, in seconds.")
    timeout_s: Seconds = Field(30.0, description="Time-out of a message with its acknowledgment, in seconds.")

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="ris", host="127.0.0.1", port=2575)

    @property
    def takes_rejection_notes(self) -> bool:
        """Whether a message is made of rejection notes."""
        return self.withdrawals

    @property
    def peer_name(self) -> str:
        """Receiving application and address."""
        return f"{self.receiving_application}@{self.host}:{self.port}"

    @property
    def audit_target(self) -> ExportUri:
        """A URI of the address."""
        return ExportUri(uri=f"mllp{'s' if self.tls_ca else ''}://{self.host}:{self.port}")

    def open(self, *, calling_ae_title: AeTitle) -> Destination:  # noqa: ARG002  # of every kind
        """Return the destination."""
        return Hl7Destination(name=self.name, server=self._server(), rules=self._rules())

    def probe(self, sop_class_uids: Sequence[Uid], *, calling_ae_title: AeTitle) -> Probe:  # noqa: ARG002  # of every kind
        """Test by a connection, without a message: a receiver would file a message of a test."""
        server = self._server()
        try:
            server.connect().close()
        except MllpError as error:
            next_step = "check that it listens and that host, port and the TLS files are right; results wait until then"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        return Probe(message=f"{server} accepts connections{', by TLS' if self.tls_ca else ''}")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each setting that contradicts another."""
        yield from super().contradictions(key)
        if self.results[0] not in _REPORTS:
            yield f"{key}.results: a message is made of one of {', '.join(_REPORTS)}"

    def _server(self) -> MllpServer:
        return MllpServer(
            host=self.host,
            port=self.port,
            tls=self.tls_peer,
            connect_timeout_s=self.connect_timeout_s,
            timeout_s=self.timeout_s,
        )

    def _rules(self) -> "OruRules":
        # Every command loads the kinds of destinations.
        from cxr_node.deliver.hl7_result import OruRules

        return OruRules(
            sending=(self.sending_application, self.sending_facility),
            receiving=(self.receiving_application, self.receiving_facility),
            character_set=self.character_set,
            processing_id=self.processing_id,
            section=self.section,
            accession=self.accession_field,
            measurements=frozenset(self.measurements),
            is_enhanced=self.acknowledgment == "enhanced",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hl7Destination:
    """Sends one message at a time, each on a connection of its own, and waits for its acknowledgment."""

    name: str
    server: MllpServer
    rules: "OruRules"
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def send(self, content: bytes) -> Receipt:
        """Send the report, or the rejection note, in the DICOM file `content` as a message; see `Destination.send`."""
        from cxr_node.deliver.hl7_result import NoMessage, control_id, oru
        from cxr_node.deliver.report_content import NoReport, parse_rejection_note, parse_report

        is_note = read_dicom_file(content).sop_class_uid == KEY_OBJECT_SELECTION
        try:
            report = parse_rejection_note(content) if is_note else parse_report(content)
            message = oru(report, self.rules)
        except (NoReport, NoMessage) as error:
            raise DeliveryRejected(str(error)) from None
        identifier = control_id(str(report.header.SOPInstanceUID), self.rules)
        try:
            with self._lock:
                response = self.server.send(message, is_answer=lambda block: _message_id(block) == identifier)
        except MllpError as error:
            raise DestinationUnreachable(str(error)) from error
        return self._receipt(identifier, response)

    def _receipt(self, identifier: str, response: bytes) -> Receipt:
        code = fields_of(response, "MSA")[1]
        errors = ", ".join(dict.fromkeys(_error_codes(response)))
        text = f"{self.server} answered {code}{f' (HL7 error code {errors})' if errors else ''} to message {identifier}"
        outcome = ACKNOWLEDGMENTS.get(code)
        if outcome is DeliveryOutcome.REJECTED:
            raise DeliveryRejected(text)
        if outcome is None:
            raise RetryLater(f"{self.server} answered an unknown acknowledgment code")
        _log.info("%s accepted message %s", self.name, identifier)
        return Receipt(status=0, comment=f"{code} to message {identifier}")


def _message_id(block: bytes) -> str:
    fields = fields_of(block, "MSA")
    return fields[2].strip() if len(fields) > 2 else ""


def _error_codes(response: bytes) -> Iterator[str]:
    """Yield the codes of ERR-3 (table 0357), without texts, which may quote the message."""
    fields = fields_of(response, "ERR")
    if len(fields) > 3 and (code := _ERROR_CODE.match(fields[3])):
        yield code[0]
