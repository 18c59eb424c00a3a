"""DICOMweb server of the receive role: authentication by API token, routes, limits, wired from settings."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cxr_node.audit import events
from cxr_node.audit.events import AuditPeer
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid, parse_ae_title, parse_uid
from cxr_node.domain.instance import Sender
from cxr_node.net.http_exchange import Exchange, HttpLimits, RequestRejected
from cxr_node.net.http_server import HttpOptions, HttpServer
from cxr_node.net.tls import failure_reason
from cxr_node.receive.events import ConnectionFailed, ConnectionFailure, ReceiveEvent, TlsFailed, WebRequestRejected
from cxr_node.receive.limited_log import LimitedLog
from cxr_node.receive.rejection import WebRejection
from cxr_node.receive.scp import Receiver
from cxr_node.receive.sender import association_name
from cxr_node.receive.tls import CertificateFiles, Handshakes
from cxr_node.receive.web.store_transaction import RETRY_AFTER_S, StoreLimits, StoreTransaction
from cxr_node.records import api_tokens
from cxr_node.records.api_tokens import ApiToken
from cxr_node.settings.dicomweb import DicomWebSection
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.dicomweb_resources import ReadOnlyService, read_only_service
from cxr_node.wiring.listener_tls import tls_files
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import has_space
from cxr_node.wiring.rejection_counters import each_of

_log = logging.getLogger(__name__)

PREFIX = "dicomweb"
_STUDIES = "studies"
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]{1,200})", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
_REJECTIONS = {
    401: WebRejection.TOKEN_NOT_VALID,
    403: WebRejection.NOT_PERMITTED,
    413: WebRejection.TOO_LARGE,
}

_CORS = {"Access-Control-Expose-Headers": "Retry-After, Warning"}
_CORS_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


@contextmanager
def dicomweb(
    process: Process, receiver: Receiver, *, on_event: Callable[[ReceiveEvent], None] = lambda _: None
) -> Iterator[HttpServer]:
    """Serve DICOMweb during the block. Films go the way of those of `receiver`, under the same rules."""
    section = process.settings.dicomweb
    reporter = _Reporter(each_of(audit_decorators.on_event(process.audit), on_event), process)
    handshakes = _handshakes(section)
    with read_only_service(process) as reading:
        server = HttpServer(
            _options(process.settings),
            _Service(process, receiver, reading, reporter).handle,
            handshake=None if handshakes is None else handshakes.handshake,
            on_tls_failed=reporter.tls_failed,
            on_refused=reporter.refused,
        )
        server.start()
        process.liveness.append(server.is_accepting)
        _log.info("DICOMweb listens on %s port %d", *server.address)
        try:
            yield server
        finally:
            process.liveness.remove(server.is_accepting)
            if handshakes is not None:
                handshakes.close()
            server.stop()
            reporter.close()


def _options(settings: Settings) -> HttpOptions:
    section = settings.dicomweb
    return HttpOptions(
        host=section.host,
        port=section.port,
        shares_port=settings.receive.processes > 1,
        maximum_connections=section.maximum_connections,
        limits=HttpLimits(idle_timeout_s=section.idle_timeout_s, request_timeout_s=section.request_timeout_s),
    )


def _handshakes(section: DicomWebSection) -> Handshakes | None:
    files = tls_files(section)
    if files is None:
        return None
    return Handshakes(CertificateFiles(files), timeout_s=section.tls_handshake_timeout_s)


class _Reporter:
    """Reports rejected requests and connections: to the log, the audit trail and the counters."""

    def __init__(self, on_event: Callable[[ReceiveEvent], None], process: Process) -> None:
        self._on_event = on_event
        self._log = LimitedLog(_log, clock=process.clock)

    def rejected(self, exchange: Exchange, user: str, error: RequestRejected) -> None:
        """Report a rejected request. A status of the node's own state is none."""
        if error.status >= 500:
            return
        rejection = _REJECTIONS.get(error.status, WebRejection.INVALID_REQUEST)
        address = exchange.client.address
        name = f"{user or 'unknown'} at {address}"
        self._log.warn((address, rejection.name), f"DICOMweb request of {name} rejected ({error.status}): {error}")
        self._on_event(WebRequestRejected(user=user, address=address, rejection=rejection, detail=str(error)))

    def tls_failed(self, address: str, error: OSError) -> None:
        """Report a failed TLS handshake."""
        reason = failure_reason(error)
        self._log.warn((address, reason), f"TLS handshake of DICOMweb with {address} failed: {reason}")
        self._on_event(TlsFailed(address=address, reason=reason))

    def refused(self, address: str) -> None:
        """Report a connection that was closed for lack of a place."""
        detail = "too many connections of DICOMweb"
        self._log.warn((address, detail), f"connection from {address} closed: {detail}")
        self._on_event(ConnectionFailed(address=address, failure=ConnectionFailure.TOO_MANY_CONNECTIONS, detail=detail))

    def close(self) -> None:
        """Write the counts of suppressed lines."""
        self._log.close()


@dataclass(slots=True)
class _Service:
    """Authenticates each request before its body is read, and passes it on."""

    process: Process
    receiver: Receiver
    reading: ReadOnlyService
    reporter: _Reporter

    def handle(self, exchange: Exchange) -> None:
        """Respond to a request; an error that is raised is the response."""
        user = ""
        if self._is_preflight(exchange):
            return
        try:
            try:
                token = self._token(exchange)
                user = token.name
                self._route(exchange, token)
            except RetryLater as error:
                raise RequestRejected(503, str(error), headers={"Retry-After": str(RETRY_AFTER_S)}) from error
        except RequestRejected as error:
            self.reporter.rejected(exchange, user, error)
            raise

    def _is_preflight(self, exchange: Exchange) -> bool:
        """Permit the pages of `dicomweb.origins`; respond to a preflight request of theirs, which has no token."""
        origin = exchange.header("origin")
        if origin not in self.process.settings.dicomweb.origins:
            return False
        exchange.common_headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **_CORS}
        if exchange.method != "OPTIONS":
            return False
        exchange.respond(204, headers=_CORS_PREFLIGHT)
        return True

    def _token(self, exchange: Exchange) -> ApiToken:
        process, now = self.process, self.process.clock()
        match = _BEARER.fullmatch(exchange.header("authorization").strip())
        token = api_tokens.find_valid(process.database, match[1], now=now) if match else None
        if token is None:
            raise RequestRejected(
                401, "the API token is absent, unknown, expired or revoked", headers={"WWW-Authenticate": "Bearer"}
            )
        if api_tokens.note_use(process.database, token, now=now):
            peer = AuditPeer(ae_title="", address=exchange.client.address)
            name, by = f"token/{token.name}", process.audit.application
            process.audit.record(events.user_authentication(name, peer, by=by, at=now))
        return token

    def _route(self, exchange: Exchange, token: ApiToken) -> None:
        prefix, *path = exchange.path
        if prefix != PREFIX or not path:
            raise RequestRejected(404, "there is no such resource")
        if exchange.method == "GET":
            self._show(exchange, token, path)
            return
        if exchange.method != "POST":
            raise RequestRejected(405, "the resource has no such method", headers={"Allow": "GET, POST"})
        match path:
            case [studies] if studies == _STUDIES:
                self._store(exchange, token, None)
            case [studies, uid] if studies == _STUDIES:
                self._store(exchange, token, _uid(uid))
            case _:
                raise RequestRejected(404, "there is no such resource")

    def _show(self, exchange: Exchange, token: ApiToken, path: Sequence[str]) -> None:
        if not token.permissions.sees_identifiers:
            raise RequestRejected(403, "this API token does not show films with identifiers")
        resources = self.reading.resources(f"token/{token.name}", exchange.client.address)
        resources.get(exchange, path, base_url=_base_url(self.process.settings.dicomweb, exchange))

    def _store(self, exchange: Exchange, token: ApiToken, study_instance_uid: Uid | None) -> None:
        settings, receiver = self.process.settings, self.receiver
        if token.name not in settings.dicomweb.senders:
            raise RequestRejected(403, "this API token may not store; dicomweb.senders does not name it")
        sender = Sender(
            calling_ae_title=parse_ae_title(token.name),
            called_ae_title=parse_ae_title(settings.receive.ae_title),
            address=exchange.client.address,
            association=association_name(self.process.clock()),
        )
        if receiver.admission.web_rejection(sender, exchange.client.certificate) is not None:
            raise RequestRejected(403, "the rules of [receive] do not permit this sender here")
        transaction = StoreTransaction(
            store_scp=receiver.store_scp,
            admission=receiver.admission,
            stage=self.process.archive.stage,
            has_space=partial(has_space, settings),
            limits=StoreLimits(
                maximum_request_bytes=settings.dicomweb.maximum_request_bytes,
                maximum_object_bytes=settings.receive.maximum_object_bytes,
                maximum_parts=settings.dicomweb.maximum_parts,
            ),
        )
        base_url = _base_url(settings.dicomweb, exchange)
        rejected = transaction.serve(exchange, sender, study_instance_uid, base_url=base_url)
        if rejected is not None:
            self.reporter.rejected(exchange, token.name, rejected)


def _uid(text: str) -> Uid:
    try:
        return parse_uid(text)
    except ValueError:
        raise RequestRejected(400, "the path has no valid UID") from None


def _base_url(section: DicomWebSection, exchange: Exchange) -> str:
    """Return the URL of the server for its clients; empty if a request has no usable Host."""
    host = exchange.header("host")
    if section.base_url or not _HOST.fullmatch(host):
        return section.base_url
    return f"{'https' if exchange.client.is_secure else 'http'}://{host}/{PREFIX}"
