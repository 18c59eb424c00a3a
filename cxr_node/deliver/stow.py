"""STOW-RS destination: results to a DICOMweb server (PS3.18 section 10.5), verified by QIDO-RS or WADO-RS."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field

from cxr_node.deliver import web_outcome
from cxr_node.deliver.destination import (
    DeliveryRejected,
    Destination,
    DestinationKind,
    Probe,
    Receipt,
    VerificationRule,
    WebServer,
)
from cxr_node.deliver.dicom_file import read_dicom_file
from cxr_node.deliver.outcome import DeliveryOutcome, warning_text
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Uid, new_uid
from cxr_node.domain.section import Seconds, text_form
from cxr_node.net.http_settings import HttpServerSection

if TYPE_CHECKING:
    from cxr_node.deliver.store_response import Verdict
    from cxr_node.net.http_authorization import AuthorizedServer
    from cxr_node.net.http_client import Response

_log = logging.getLogger(__name__)

STUDIES = "/studies"
JSON = "application/dicom+json"
_ACCEPT = f"{JSON}, application/dicom+xml;q=0.5"
_MAX_RESPONSE_BYTES = 1 << 20
_NOT_FOUND, _NOT_SUPPORTED = 404, (404, 405, 501)

_OUTCOMES = {
    "delivered": DeliveryOutcome.DELIVERED,
    "again": DeliveryOutcome.RETRY,
    "rejected": DeliveryOutcome.REJECTED,
}


class Stow(HttpServerSection, DestinationKind):
    """A DICOMweb server that receives results by STOW-RS, one instance a request."""

    kind: Literal["stow"] = Field("stow", description="Kind of destination.")
    reasons: tuple[Annotated[str, text_form(r"\d{1,5}=(delivered|again|rejected)", '"45070=delivered"')], ...] = Field(
        (),
        description="Outcomes of the server's own Failure Reasons, decimal, such as "
        '"49442=again": delivered, again, or rejected.',
    )
    confirm: Literal["none", "find", "metadata", "retrieve"] = Field(
        "none",
        description="Verification of delivered results: by QIDO-RS, by WADO-RS metadata, or by retrieval, which "
        "compares every byte of the data set; or none.",
    )
    confirm_again_s: Seconds = Field(60.0, description="Time until the verification is repeated, in seconds.")

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="web archive", url="http://127.0.0.1:8042/dicom-web")

    @property
    def peer_name(self) -> str:
        """The URL."""
        return self.url

    @property
    def audit_target(self) -> WebServer:
        """URL and host."""
        return WebServer(uri=self.url, host=urlsplit(self.url).hostname or "")

    def open(self, *, calling_ae_title: AeTitle) -> Destination:  # noqa: ARG002  # of every kind
        """Return the destination."""
        pairs = (line.split("=") for line in self.reasons)
        return StowDestination(
            name=self.name,
            server=self.server(maximum_response_bytes=_MAX_RESPONSE_BYTES),
            reasons={int(reason): _OUTCOMES[outcome] for reason, outcome in pairs},
        )

    def verification(self, *, calling_ae_title: AeTitle) -> VerificationRule | None:  # noqa: ARG002  # of every kind
        """Return the verifier that `confirm` selects."""
        from cxr_node.deliver.web_verification import MAX_RESPONSE_BYTES, WebVerifier

        if self.confirm == "none":
            return None
        server = self.server(maximum_response_bytes=MAX_RESPONSE_BYTES)
        verifier = WebVerifier(server=server, by=self.confirm)
        return VerificationRule(verifier=verifier, retry_after_s=self.confirm_again_s, queried=self.audit_target)

    def probe(self, sop_class_uids: Sequence[Uid], *, calling_ae_title: AeTitle) -> Probe:  # noqa: ARG002  # of every kind
        """Test by a QIDO-RS query for a study that does not exist."""
        server = self.server(maximum_response_bytes=_MAX_RESPONSE_BYTES)
        query = f"{STUDIES}?StudyInstanceUID={new_uid()}&limit=1"
        try:
            response = web_outcome.send(server, "GET", query, {"Accept": JSON})
        except RetryLater as error:
            next_step = "check that it runs and that url, auth and the TLS files are right; results wait until then"
            return Probe(message=str(error), is_usable=False, next_step=next_step)
        if response.is_success:
            return Probe(message=f"{server} answers a query of studies with HTTP status {response.status}")
        message = f"{server} answers a query of studies with HTTP status {response.status}"
        if response.status in _NOT_SUPPORTED:
            return Probe(message=message, next_step="check the path of url; nothing, if it stores but does not search")
        next_step = "check url and auth; results wait or fail until then"
        return Probe(message=message, is_usable=False, next_step=next_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class StowDestination:
    """Sends each object in a request of its own: a rejected neighbour costs nothing, and a retry is exact."""

    name: str
    server: "AuthorizedServer"
    reasons: Mapping[int, DeliveryOutcome] = field(default_factory=dict)

    def send(self, content: bytes) -> Receipt:
        """Send the DICOM file `content` byte for byte; see `Destination.send`."""
        uid = read_dicom_file(content).sop_instance_uid
        boundary = f"cxr-node-{uuid.uuid4().hex}"
        headers = {
            "Accept": _ACCEPT,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        }
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        response = web_outcome.send(self.server, "POST", STUDIES, headers, (head, content, tail))
        return self._receipt(uid, response)

    def _receipt(self, uid: Uid, response: "Response") -> Receipt:
        from cxr_node.deliver.store_response import parse_store_response

        store_response = parse_store_response(response.body, response.content_type)
        verdict = None if store_response is None else store_response.verdict(uid)
        if verdict is not None:
            return self._receipt_of(uid, verdict)
        if not response.is_success:
            web_outcome.raise_for_status(response, f"{self.server} answered STOW-RS")
        message = f"{self.server} answered STOW-RS with HTTP status {response.status}"
        if store_response is None:  # a proxy or a page for logins
            raise RetryLater(f"{message}, without a Store Instances Response")
        raise DeliveryRejected(f"{message}, and names the instance neither as stored nor as failed")

    def _receipt_of(self, uid: Uid, verdict: "Verdict") -> Receipt:
        reason = f"Failure Reason {verdict.reason} (0x{verdict.reason:04X})"
        if not verdict.is_stored:
            from cxr_node.deliver.store_response import of_failure_reason

            outcome = of_failure_reason(verdict.reason, self.reasons)
            message = f"{self.server} did not store the instance: {reason}"
            if outcome is DeliveryOutcome.REJECTED:
                raise DeliveryRejected(message, status=verdict.reason)
            if outcome is DeliveryOutcome.RETRY:
                raise RetryLater(message)
            _log.info("%s had %s already: %s", self.name, uid, reason)
            return Receipt(status=verdict.reason, comment=f"already stored: {reason}")
        warning = warning_text(verdict.reason) if verdict.reason else ""
        _log.log(logging.WARNING if verdict.reason else logging.INFO, "%s stored %s %s", self.name, uid, warning)
        return Receipt(status=verdict.reason, comment=warning)
