"""The composition root: settings in, wired parts out. The only module that knows every kind of every seam."""

import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from cxr_node import pipeline, upkeep
from cxr_node.archive import space
from cxr_node.archive.folder import FolderArchive
from cxr_node.deliver.commitment import Asker, Confirms, Finder
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.destination import Destination
from cxr_node.deliver.folder import FolderDestination
from cxr_node.deliver.remote import Remote
from cxr_node.deliver.routing import Condition
from cxr_node.deliver.tls import TlsPeer
from cxr_node.domain.commitment import Reference, Vouched
from cxr_node.domain.errors import Refuse
from cxr_node.domain.identifiers import AeTitle, Uid, parse_ae_title
from cxr_node.domain.instance import Instance, Sender
from cxr_node.jobs import commitments, inquiries, queue
from cxr_node.jobs.bell import Bells
from cxr_node.jobs.database import Database
from cxr_node.jobs.states import Leg
from cxr_node.legs import ComposeLeg, Deadline, Quiet, ReadLeg
from cxr_node.outbound import AnswerLeg, AnyLeg, Confirmation, DeliverLeg
from cxr_node.pixels import suitability
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.receive.ae import Receiver
from cxr_node.receive.commitment import Vouching
from cxr_node.receive.listening import Listening
from cxr_node.receive.tls import TlsFiles
from cxr_node.receive.users import PasswordHash
from cxr_node.receive.who import Peer
from cxr_node.report import text2000, tid1500
from cxr_node.report.header import Kind
from cxr_node.report.kinds import KeyImages, Marks, Picture, Report, ResultKind, Segmentation, Text
from cxr_node.report.source import Node
from cxr_node.schedule import Schedule
from cxr_node.settings import AskerSection, CStoreSection, FolderSection, ReceiveSection, ResultName, Settings
from cxr_node.worker import Together, Worker, at_work

if TYPE_CHECKING:
    from cxr_node.infer.reader import Reader


_REMOVAL_S = 600.0
_SCRUB_S = 10.0
_ANSWERED_WITHIN = timedelta(seconds=30)
"""How long a request for storage commitment may be answered on its own association."""


class Role(StrEnum):
    """What a process of the node does."""

    RECEIVE = "receive"
    READ = "read"
    DELIVER = "deliver"


RESULT_KINDS: Mapping[ResultName, ResultKind] = {
    ResultName.REPORT: Report(),
    ResultName.REPORT_COMPREHENSIVE: Report(tid1500.COMPREHENSIVE),
    ResultName.REPORT_ENHANCED: Report(tid1500.ENHANCED),
    ResultName.TEXT: Text(),
    ResultName.PICTURE: Picture(),
    ResultName.MARKS: Marks(),
    ResultName.KEY_IMAGES: KeyImages(),
    ResultName.SEGMENTATION: Segmentation(),
}
"""What a destination can be sent to what composes it; report-best is one of REPORT_FORMS."""

REPORT_FORMS: Mapping[ResultName, Kind] = {
    ResultName.REPORT: tid1500.COMPREHENSIVE_3D,
    ResultName.REPORT_COMPREHENSIVE: tid1500.COMPREHENSIVE,
    ResultName.REPORT_ENHANCED: tid1500.ENHANCED,
    ResultName.TEXT: text2000.BASIC_TEXT,
}
"""The forms of the report, best first: each leaves out more than the one before."""


def now() -> datetime:
    """Return the present time: the one clock of the node, handed to whoever needs it."""
    return datetime.now(UTC)


def bells(settings: Settings) -> Bells:
    """Return the bells that wake this machine's workers."""
    return Bells(settings.node.data_folder / "bells")


def database(settings: Settings) -> Database:
    """Open the database. It is not migrated here."""
    settings.node.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Database(settings.database_url, busy_timeout_s=settings.database.busy_timeout_s, ring=bells(settings).ring)


def bundles_folder(settings: Settings) -> Path:
    """Return where bundles are installed."""
    return settings.node.data_folder / "bundles"


def archive(settings: Settings) -> FolderArchive:
    """Open the archive."""
    return FolderArchive(settings.node.data_folder / "archive")


def lease_owner(settings: Settings, role: Role, process_id: int) -> str:
    """Return the name under which a process holds jobs; it begins with `lease_owner_prefix`."""
    return f"{lease_owner_prefix(settings)}{role}/{process_id}"


def lease_owner_prefix(settings: Settings) -> str:
    """Return what the names of all this node's workers begin with."""
    return f"{settings.node.name}/"


@contextmanager
def serve(settings: Settings, role: Role, *, stopping: threading.Event) -> Iterator[str]:
    """Run one role in this process while the block lasts; the value says where it can be reached, if anywhere."""
    with ExitStack() as stack:
        opened = database(settings)
        stack.callback(opened.close)
        match role:
            case Role.RECEIVE:
                receiver = stack.enter_context(_receiver(settings, opened))
                host, port = receiver.address
                yield f"{host}:{port}"
            case Role.READ:
                sandbox = stack.enter_context(Sandbox(film_limits(settings)))
                reads = reader(settings)
                legs: list[AnyLeg] = [_read_leg(settings, opened, sandbox, reads)]
                together = Together(size=reads.batch_size, wait_s=settings.read.batch_wait_s)
                with _working(settings, role, opened, legs, stopping, together):
                    yield ""
            case Role.DELIVER:
                to = destinations(settings)
                deliver = DeliverLeg(
                    database=opened,
                    archive=archive(settings),
                    destinations=to,
                    confirmations=confirmations(settings, to),
                    clock=now,
                )
                answer = AnswerLeg(database=opened, archive=archive(settings), peers=_askers(settings))
                # One sender more than there are destinations, so that a dead one does not hold up the others.
                senders: list[AnyLeg] = [deliver] * (len(to) + 1)
                sandbox = stack.enter_context(Sandbox(film_limits(settings)))
                legs = [_compose_leg(settings, opened, sandbox), answer, *senders]
                _keep_up(settings, opened, stack)
                with _working(settings, role, opened, legs, stopping, Together()):
                    yield ""
            case _:
                assert_never(role)


def gate_rules(settings: Settings) -> suitability.Rules:
    """Return what a film must be to be read."""
    section = settings.gate
    return suitability.Rules(
        minimum_age_years=section.minimum_age_years,
        accept_unknown_view=section.accept_unknown_view,
        view_from_model=section.view_from_model,
        accept_for_processing=section.accept_for_processing,
    )


def film_limits(settings: Settings) -> Limits:
    """Return what one film may cost."""
    section = settings.gate
    return Limits(maximum_samples=section.maximum_pixels, decode_timeout_s=section.decode_timeout_s)


def destinations(settings: Settings) -> dict[str, Destination]:
    """Return the configured destinations by name."""
    return {each.name: _destination(settings, each) for each in settings.deliver.destinations}


def confirmations(settings: Settings, to: Mapping[str, Destination]) -> dict[str, Confirmation]:
    """Return how those destinations are asked that are to vouch for what they took."""
    found: dict[str, Confirmation] = {}
    for each in settings.deliver.destinations:
        destination = to[each.name]
        if isinstance(each, CStoreSection) and isinstance(destination, CStoreDestination) and each.confirm != "none":
            asker = Asker(remote=destination.remote, wait_s=each.confirm_wait_s)
            confirms: Confirms = asker if each.confirm == "commitment" else Finder(remote=destination.remote)
            found[each.name] = Confirmation(confirms=confirms, again_s=each.confirm_again_s)
    return found


def _askers(settings: Settings) -> dict[str, Remote]:
    """Return where peers are told what is kept, by AE title."""
    return {
        each.ae_title: Remote(
            host=each.host,
            port=each.port,
            called_ae_title=_title(each.ae_title),
            calling_ae_title=_title(settings.receive.ae_title),
            connection_timeout_s=each.timeout_s,
            acse_timeout_s=each.timeout_s,
            dimse_timeout_s=each.timeout_s,
            network_timeout_s=each.timeout_s,
            tls=_tls_peer(each),
        )
        for each in settings.receive.askers
    }


def routes(settings: Settings) -> dict[str, pipeline.Route]:
    """Return what goes to each destination, and when."""
    return {
        each.name: pipeline.Route(
            kinds=frozenset(RESULT_KINDS[name].name for name in each.results if name in RESULT_KINDS),
            forms=tuple(REPORT_FORMS.values()) if ResultName.REPORT_BEST in each.results else (),
            peer=peer_of(each),
            condition=Condition(
                calling_ae_titles=each.when.calling_ae_titles,
                station_names=each.when.station_names,
                views=each.when.views,
                findings=each.when.findings,
            ),
        )
        for each in settings.deliver.destinations
    }


def peer_of(section: CStoreSection | FolderSection) -> str:
    """Return who stands behind a destination; what one takes says nothing of another."""
    if isinstance(section, FolderSection):
        return str(section.folder)
    return f"{section.ae_title}@{section.host}:{section.port}"


def expanded(name: ResultName) -> tuple[ResultName, ...]:
    """Return the kinds of result that a name may come to."""
    return tuple(REPORT_FORMS) if name is ResultName.REPORT_BEST else (name,)


def observer(settings: Settings) -> Node:
    """Return this node as results name it."""
    return Node(
        name=settings.node.name,
        serial_number=settings.report.serial_number,
        software_version=version("cxr-node"),
        first_series_number=settings.report.series_number,
        language=settings.report.language,
        # Where a film names no time zone, its times are the site's, and so are ours.
        time_zone=now().astimezone().tzinfo or UTC,
    )


def _receiver(settings: Settings, opened: Database) -> Receiver:
    section = settings.receive
    keep = partial(pipeline.accept, archive=archive(settings), database=opened, clock=now)

    def accept(instance: Instance, sender: Sender) -> None:
        keep(instance, sender)

    listening = Listening(
        ae_title=_title(section.ae_title),
        host=section.host,
        port=section.port,
        calling_ae_titles=frozenset(_title(title) for title in section.calling_ae_titles),
        require_called_ae_title=section.require_called_ae_title,
        maximum_associations=section.maximum_associations,
        maximum_pdu_bytes=section.maximum_pdu_bytes,
        acse_timeout_s=section.acse_timeout_s,
        dimse_timeout_s=section.dimse_timeout_s,
        network_timeout_s=section.network_timeout_s,
        message_timeout_s=section.message_timeout_s,
        maximum_object_bytes=section.maximum_object_bytes,
        peers=tuple(
            Peer(
                ae_title=_title(peer.ae_title),
                networks=peer.addresses,
                maximum_associations=peer.maximum_associations,
            )
            for peer in section.peers
        ),
        users={user.name: PasswordHash.parse(user.password_hash) for user in section.users},
        tls=_tls_files(section),
        tls_handshake_timeout_s=section.tls_handshake_timeout_s,
    )
    return Receiver(
        listening, accept=accept, has_room=partial(_has_room, settings), vouching=_vouching(settings, opened)
    )


def _vouching(settings: Settings, opened: Database) -> Vouching:
    called = {each.ae_title for each in settings.receive.askers}

    def remember(transaction_uid: Uid, instances: tuple[Reference, ...], sender: Sender) -> int:
        # Who cannot be called is told on its own association; the job waits for that.
        wait = timedelta() if sender.calling_ae_title in called else _ANSWERED_WITHIN
        at = now()
        try:
            return commitments.remember(opened, transaction_uid, instances, sender, due_at=at + wait, now=at)
        except commitments.OtherRequest as error:
            raise Refuse("the Transaction UID is in use") from error

    def reported(report: Vouched) -> bool:
        with opened.write() as transaction:
            return inquiries.settle(transaction, report, now=now())

    def answer(number: int) -> Vouched | None:
        with opened.read() as connection:
            request = commitments.get(connection, number)
        if request.calling_ae_title in called:
            return None
        return pipeline.vouch(request.transaction_uid, request.instances, archive=archive(settings), database=opened)

    def answered(number: int) -> None:
        with opened.write() as transaction:
            commitments.answered(transaction, number, now=now())
            queue.hasten(transaction, Leg.ANSWER, number, now=now())

    return Vouching(remember=remember, reported=reported, answer=answer, answered=answered)


def _has_room(settings: Settings, size_bytes: int) -> bool:
    free = space.free_bytes(settings.node.data_folder)
    return space.has_room(free_bytes=free, reserve_bytes=settings.archive.reserve_bytes, size_bytes=size_bytes)


def _tls_files(section: ReceiveSection) -> TlsFiles | None:
    if not section.tls_certificate:
        return None
    return TlsFiles(
        certificate=Path(section.tls_certificate),
        key=Path(section.tls_key),
        peers_ca=Path(section.tls_peers_ca) if section.tls_peers_ca else None,
    )


def reader(settings: Settings) -> "Reader":
    """Return what reads films, ready to."""
    # Only a process that reads imports torch.
    import torch

    from cxr_node.infer import bundle, catalogue
    from cxr_node.infer.reader import Precision, Reader

    section = settings.read
    if section.threads:
        torch.set_num_threads(section.threads)
    opened = Reader(
        bundle.load(catalogue.find(section.bundle, bundles_folder(settings))),
        device=section.device,
        batch_size=section.batch_size,
        precision=Precision(section.precision),
    )
    opened.warm_up()
    return opened


def read_rules(settings: Settings) -> pipeline.ReadRules:
    """Return what a film must be to be read, and how much of it may be decoded."""
    return pipeline.ReadRules(gate=gate_rules(settings), limits=film_limits(settings))


def _read_leg(settings: Settings, opened: Database, sandbox: Sandbox, reads: "Reader") -> ReadLeg:
    from cxr_node.infer.watchdog import at_most

    return ReadLeg(
        database=opened,
        archive=archive(settings),
        reader=reads,
        rules=read_rules(settings),
        quiet=_quiet(settings),
        crash_limit=settings.read.crash_limit,
        sandbox=sandbox,
        # After its lease a film is another reader's, and this one had better be gone.
        deadline=Deadline(timeout_s=min(settings.read.timeout_s, settings.read.lease_s), watch=at_most),
    )


def _compose_leg(settings: Settings, opened: Database, sandbox: Sandbox) -> ComposeLeg:
    # A study without a destination is composed all the same: the report is kept, and can be looked at.
    asked = [name for each in settings.deliver.destinations for name in each.results]
    wanted = dict.fromkeys(one for name in asked for one in expanded(name)) or {ResultName.REPORT: None}
    return ComposeLeg(
        database=opened,
        archive=archive(settings),
        node=observer(settings),
        kinds=[RESULT_KINDS[name] for name in wanted],
        routes=routes(settings),
        limits=film_limits(settings),
        sandbox=sandbox,
        character_sets={each.ae_title: each.character_sets for each in settings.report.character_sets},
        quiet=_quiet(settings),
        clock=now,
    )


def _quiet(settings: Settings) -> Quiet:
    return Quiet(calm_s=settings.compose.calm_s, ceiling_s=settings.compose.ceiling_s)


def _destination(settings: Settings, section: CStoreSection | FolderSection) -> Destination:
    match section:
        case CStoreSection():
            return CStoreDestination(
                name=section.name,
                host=section.host,
                port=section.port,
                called_ae_title=_title(section.ae_title),
                calling_ae_title=_title(section.calling_ae_title or settings.receive.ae_title),
                connection_timeout_s=section.timeout_s,
                acse_timeout_s=section.timeout_s,
                dimse_timeout_s=section.timeout_s,
                network_timeout_s=section.timeout_s,
                warning_is_success=section.warning_is_success,
                tls=_tls_peer(section),
            )
        case FolderSection():
            return FolderDestination(name=section.name, folder=Path(section.folder))
        case _:
            assert_never(section)


def _tls_peer(section: CStoreSection | AskerSection) -> TlsPeer | None:
    if not section.tls_ca:
        return None
    return TlsPeer(
        ca=Path(section.tls_ca),
        certificate=Path(section.tls_certificate) if section.tls_certificate else None,
        key=Path(section.tls_key) if section.tls_key else None,
        check_host=section.tls_check_host,
    )


def _title(text: str) -> AeTitle:
    return parse_ae_title(text)


@contextmanager
def _working(
    settings: Settings,
    role: Role,
    opened: Database,
    legs: Sequence[AnyLeg],
    stopping: threading.Event,
    together: Together,
) -> Iterator[None]:
    """Take turns at `legs` while the block lasts, with the tick as safety net."""
    lease_s = settings.read.lease_s if role is Role.READ else settings.deliver.lease_s
    workers = [
        Worker(
            leg,
            database=opened,
            owner=lease_owner(settings, role, os.getpid()),
            lease=timedelta(seconds=lease_s),
            clock=now,
            jitter=random.random,
            together=together,
        )
        for leg in legs
    ]
    tick_s = settings.schedule.tick_s
    with (
        at_work(workers, bells(settings), tick_s=tick_s, stopping=stopping),
        Schedule(partial(_tick, opened), tick_s=tick_s),
    ):
        yield


def _keep_up(settings: Settings, opened: Database, stack: ExitStack) -> None:
    """Remove what is old and read again what is kept, as far as the settings say, until `stack` is left."""
    section, kept = settings.archive, archive(settings)
    if section.keep_days:
        keep = timedelta(days=section.keep_days)
        remove = partial(upkeep.remove_old, opened, kept, keep=keep, clock=now)
        stack.enter_context(Schedule(remove, tick_s=_REMOVAL_S))
    if section.scrub_bytes_per_second:
        scrub = upkeep.Scrub(opened, kept)
        stack.enter_context(
            Schedule(partial(scrub.turn, int(section.scrub_bytes_per_second * _SCRUB_S)), tick_s=_SCRUB_S)
        )


def _tick(opened: Database) -> None:
    """Return the jobs of workers that died with their host; those of this host the supervisor returns at once."""
    with opened.write() as transaction:
        queue.lose_leases(transaction, now=now())
