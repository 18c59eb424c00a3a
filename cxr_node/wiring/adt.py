"""HL7 entrance, wired from settings: messages that update or merge patients, acknowledged after the commit."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

from cxr_node.audit import events
from cxr_node.audit.events import AuditPeer
from cxr_node.domain.errors import RetryLater, type_and_place
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.instance import Received
from cxr_node.domain.patient_update import CannotUpdate, PatientMessage
from cxr_node.receive import adt
from cxr_node.receive.adt import AckCode, Answer, ErrorCode, NotAccepted
from cxr_node.receive.mllp import MllpListener, MllpOptions
from cxr_node.settings.adt import AdtSection
from cxr_node.wiring import audit_decorators
from cxr_node.wiring.film_attributes import attribute_rules
from cxr_node.wiring.listener_tls import tls_files
from cxr_node.wiring.process import Process
from cxr_node.wiring.receive import has_space
from cxr_node.work.patient_updates import OtherMessage, PatientUpdater

_log = logging.getLogger(__name__)

_ACCEPTED = Answer(code=AckCode.ACCEPT)


@contextmanager
def listening(process: Process) -> Iterator[MllpListener]:
    """Listen for messages during the block."""
    settings = process.settings
    options = listener_options(settings.adt, shares_port=settings.receive.processes > 1)
    audit = process.audit

    def record_refusal(address: str, reason: str) -> None:
        peer = AuditPeer(ae_title="", address=address)
        audit.record(events.association(peer, by=audit.application, failure=reason, at=audit.clock()))

    with MllpListener(options, answer=answering(process), clock=process.clock, on_refused=record_refusal) as listener:
        _log.info("HL7 messages that update patients are received on %s port %d", options.host, listener.port)
        process.liveness.append(listener.is_accepting)
        yield listener


def listener_options(section: AdtSection, *, shares_port: bool = False) -> MllpOptions:
    """Return address and limits of the listener."""
    return MllpOptions(
        host=section.host,
        port=section.port,
        networks=section.addresses,
        maximum_connections=section.maximum_connections,
        maximum_message_bytes=section.maximum_message_bytes,
        message_timeout_s=section.message_timeout_s,
        idle_timeout_s=section.idle_timeout_s,
        shares_port=shares_port,
        tls=tls_files(section),
        tls_handshake_timeout_s=section.tls_handshake_timeout_s,
    )


def answering(process: Process) -> Callable[[bytes, str], bytes]:
    """Return a function that applies a message, records it in the audit trail, and returns its acknowledgment."""
    updater = patient_updater(process)
    processing_id = process.settings.adt.processing_id

    def answer(content: bytes, address: str) -> bytes:
        outcome = _outcome(process, updater, content, address, processing_id=processing_id)
        own_id = uuid4().hex[:20]
        return adt.acknowledgment(adt.parse_header(content), outcome, own_id=own_id, at=process.clock())

    return answer


def patient_updater(process: Process) -> PatientUpdater:
    """Return what applies messages; the audit trail records each corrected film."""
    settings, audit = process.settings, process.audit

    def record(copy: Received, detail: str) -> None:
        subject = audit_decorators.subject(copy)
        audit.record(events.corrected(subject, detail=detail, by=audit.application, at=audit.clock()))

    return PatientUpdater(
        database=process.database,
        archive=process.archive,
        rules=attribute_rules(settings),
        issues_anew=settings.corrections.results_follow == "node",
        default_issuer=settings.adt.issuer,
        maximum_films=settings.adt.maximum_films,
        system=settings.node.name,
        clock=process.clock,
        has_space=partial(has_space, settings),
        on_corrected=record,
    )


def _outcome(process: Process, updater: PatientUpdater, content: bytes, address: str, *, processing_id: str) -> Answer:
    """Apply a message; return how it is answered. No error of one ends the connection."""
    message: PatientMessage | None = None
    try:
        message = adt.parse_updates(content, processing_id=processing_id)
        films = updater.apply(message, digest=digest_of(content), address=address)
    except NotAccepted as error:
        outcome = error.answer
    except CannotUpdate as error:
        is_other = isinstance(error, OtherMessage)
        code = ErrorCode.DUPLICATE_KEY if is_other else ErrorCode.INTERNAL
        outcome = Answer(code=AckCode.ERROR, error=code, text=str(error))
    except RetryLater as error:
        outcome = Answer(code=AckCode.ERROR, error=ErrorCode.INTERNAL, text=f"send it again later: {error}")
    except Exception as error:  # noqa: BLE001  # the edge: a fault of the node is answered too
        _log.error("an HL7 message was not applied: %s", type_and_place(error))
        outcome = Answer(code=AckCode.ERROR, error=ErrorCode.INTERNAL, text="fault in the node")
    else:
        outcome = _ACCEPTED
        _log.info("HL7 message %s (%s) corrected %d films", message.control_id, message.event, films)
    if outcome.error is not None:
        _log.warning("HL7 message from %s was answered %s: %s", address, outcome.code, outcome.text)
    _record(process, message, address, failure=outcome.text)
    return outcome


def _record(process: Process, message: PatientMessage | None, address: str, *, failure: str) -> None:
    """Record the message for each patient that it concerns; one that was not understood for none."""
    audit = process.audit
    sender, control_id, event = ("", "", "")
    patient_ids = [""]
    if message is not None:
        sender, control_id, event = message.sender, message.control_id, message.event
        patient_ids = sorted({one.patient_id for update in message.updates for one in update.meant})
    peer = AuditPeer(ae_title="", uri=sender, address=address)
    for patient_id in patient_ids:
        audit.record(
            events.patient_record(
                patient_id,
                message=f"ADT^{event} {control_id}".strip(),
                by=audit.application,
                sent_by=peer,
                failure=failure,
                at=audit.clock(),
            )
        )
