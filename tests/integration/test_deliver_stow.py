"""STOW-RS to Orthanc's DICOMweb plug-in, and to a strict server that fails in every way."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread, dcmwrite

from cxr_node import config
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.deliver.destination import DeliveryRejected, DestinationUnreachable, VerificationRule
from cxr_node.deliver.stow import Stow, StowDestination
from cxr_node.domain.commitment import FailureReason
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import AeTitle, Digest, Uid, digest_of
from cxr_node.domain.instance import Identity
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.simulators.dicomweb import Mode, SimulatedDicomWeb
from cxr_node.simulators.http_handler import RETRY_AFTER_S
from tests.support import films, peers
from tests.support.node import QUIET_S, InProcessNode
from tests.unit.report.studies import everything, request

pytestmark = pytest.mark.ci_on_postgresql


PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
TITLE = AeTitle("CXRNODE")
OUTCOMES: dict[Mode, type[Exception] | int] = {
    Mode.RIGHT: 0,
    Mode.XML: 0,
    Mode.WARNING: 0xB000,
    Mode.ALREADY: 45070,
    Mode.RESOURCES: RetryLater,
    Mode.REJECTS: DeliveryRejected,
    Mode.NAMES_NOTHING: DeliveryRejected,
    Mode.PAGE: RetryLater,
    Mode.HUGE: RetryLater,
    Mode.TRUNCATED: RetryLater,
    Mode.SILENT: DestinationUnreachable,
    Mode.CLOSES: RetryLater,
    Mode.REDIRECTS: DestinationUnreachable,
    Mode.EXPIRED: DestinationUnreachable,
    Mode.STATUS_500: RetryLater,
    Mode.STATUS_503: DestinationUnreachable,
}


def row(url: str, **settings: Any) -> Stow:
    return Stow(name="web", url=url, **settings)


def destination(url: str, **settings: Any) -> StowDestination:
    opened = row(url, **settings).open(calling_ae_title=TITLE)
    assert isinstance(opened, StowDestination)
    return opened


def film(seed: int = 1, **elements: str) -> bytes:
    data_set = films.dx(seed=seed)
    for keyword, value in elements.items():
        setattr(data_set, keyword, value)
    stream = BytesIO()
    dcmwrite(stream, data_set, enforce_file_format=True)
    return stream.getvalue()


def identity_of(content: bytes) -> Identity:
    header = dcmread(BytesIO(content))
    return Identity(
        sop_class_uid=Uid(header.SOPClassUID),
        sop_instance_uid=Uid(header.SOPInstanceUID),
        series_instance_uid=Uid(header.SeriesInstanceUID),
        study_instance_uid=Uid(header.StudyInstanceUID),
        patient_key=digest_of(b""),
    )


def data_set_digest(content: bytes) -> Digest:
    return digest_of(content[films.data_set_offset(content) :])


def verified(rule: VerificationRule | None, content: bytes) -> int | None:
    """Return the Failure Reason of a verification, None for a committed instance."""
    assert rule is not None
    result = rule.verifier.verify(Uid("1.2"), identity_of(content), digest=data_set_digest(content))
    assert result is not None
    return None if result.committed else result.failed[0][1]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    plugin = PLUGIN if PLUGIN.is_file() else peers.missing("Orthanc's DICOMweb plug-in", "orthanc-dicomweb")
    settings = {"Plugins": [str(plugin)], "DicomWeb": {"Enable": True}}
    with peers.orthanc(tmp_path_factory.mktemp("orthanc"), settings=settings) as running:
        yield running


def base(orthanc: peers.Orthanc) -> str:
    return f"http://{peers.LOOPBACK}:{orthanc.http_port}/dicom-web"


def test_orthanc_keeps_every_kind_as_it_was_sent(orthanc: peers.Orthanc) -> None:
    to = destination(base(orthanc))
    rules = [row(base(orthanc), confirm=by).verification(calling_ae_title=TITLE) for by in ("find", "metadata")]
    retrieval = row(base(orthanc), confirm="retrieve").verification(calling_ae_title=TITLE)
    for kind in RESULT_KINDS:
        (result,) = kind.compose(request([everything(films.dx())]))
        assert verified(rules[0], result.content) == FailureReason.NO_SUCH_OBJECT_INSTANCE
        assert to.send(result.content).status == 0
        assert to.send(result.content).status == 0

        stored = orthanc.file(result.identity.sop_instance_uid)
        assert stored[films.data_set_offset(stored) :] == result.content[films.data_set_offset(result.content) :]
        assert [verified(rule, result.content) for rule in (*rules, retrieval)] == [None, None, None]


def test_orthanc_rejects_what_it_does_not_store(orthanc: peers.Orthanc) -> None:
    """The measured cases: garbage is set aside; a good neighbour is not at risk, being in a request of its own."""
    without_uid = film(seed=20).replace(b"\x08\x00\x18\x00UI", b"\x08\x00\x19\x00UI")
    to = destination(base(orthanc))

    with pytest.raises(DeliveryRejected):
        to.send(without_uid)
    assert to.send(film(seed=21)).status == 0


def test_only_a_retrieval_finds_that_orthanc_keeps_the_old_content(orthanc: peers.Orthanc) -> None:
    old, new = film(seed=22), film(seed=22, SeriesDescription="another")
    to = destination(base(orthanc))

    assert [to.send(content).status for content in (old, new)] == [0, 0]

    results = {
        by: verified(row(base(orthanc), confirm=by).verification(calling_ae_title=TITLE), new)
        for by in ("find", "metadata", "retrieve")
    }
    assert results == {"find": None, "metadata": None, "retrieve": FailureReason.CLASS_INSTANCE_CONFLICT}


def test_a_result_cut_in_mid_body_and_sent_again_is_one_instance(orthanc: peers.Orthanc) -> None:
    content = film(seed=23)

    def cut(connection: socket.socket) -> None:
        """Forward half of the request to Orthanc, and end both connections."""
        with socket.create_connection((peers.LOOPBACK, orthanc.http_port), 10) as onward:
            received = 0
            while received < len(content) // 2 and (part := connection.recv(4096)):
                onward.sendall(part)
                received += len(part)

    with peers.line(cut) as port, pytest.raises(RetryLater):
        destination(f"http://{peers.LOOPBACK}:{port}/dicom-web").send(content)
    uid = identity_of(content).sop_instance_uid
    assert orthanc.find(uid) == []

    destination(base(orthanc)).send(content)
    assert len(orthanc.find(uid)) == 1


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedDicomWeb]:
    with SimulatedDicomWeb() as running:
        yield running


@pytest.mark.parametrize("mode", OUTCOMES)
def test_each_answer_has_its_outcome(mode: Mode, server: SimulatedDicomWeb) -> None:
    server.mode, expected = mode, OUTCOMES[mode]
    to = destination(server.url, timeout_s=0.5 if mode is Mode.SILENT else 10.0)
    content = film(seed=30 + list(Mode).index(mode))
    try:
        if isinstance(expected, int):
            assert to.send(content).status == expected
            return
        with pytest.raises(expected) as failed:
            to.send(content)
        assert type(failed.value) is expected
        if isinstance(failed.value, DestinationUnreachable):
            assert failed.value.retry_after_s == (RETRY_AFTER_S if mode is Mode.STATUS_503 else 0)
    finally:
        server.mode = Mode.RIGHT
    assert to.send(content).status == 0  # sent again, it is the same one instance
    identity = identity_of(content)
    assert list(server.by_study[identity.study_instance_uid]) == [identity.sop_instance_uid]
    assert server.changed == []


def test_a_site_may_give_a_reason_of_its_server_another_meaning(server: SimulatedDicomWeb) -> None:
    server.mode = Mode.REJECTS
    with pytest.raises(RetryLater):
        destination(server.url, reasons=("49152=again",)).send(film(seed=60))
    server.mode = Mode.RIGHT


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"url": "https://a/b", "auth": "basic", "user": "x"}, "password_file: must be set"),
        ({"url": "http://a/b", "auth": "bearer", "token_file": "t"}, "auth needs https"),
        ({"url": "http://a/b", "tls_ca": "ca.pem"}, "needs a url that begins with https"),
        ({"url": "http://a:99999/b"}, "the port is not a number"),
        ({"url": "http://user@a/b"}, "is not right"),
        ({"url": "http://a/b", "reasons": ["45070=maybe"]}, "is not right"),
    ],
)
def test_settings_that_cannot_work_are_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(config.ConfigurationError) as raised:
        config.parse({"deliver": {"destinations": [{"kind": "stow", "name": "web", **settings}]}})
    assert problem in raised.value.problems[0]


def test_a_probe_names_what_is_wrong(server: SimulatedDicomWeb) -> None:
    def probed(url: str) -> tuple[bool, str]:
        probe = row(url).probe((), calling_ae_title=TITLE)
        return probe.is_usable, probe.message + probe.next_step

    assert probed(server.url)[0]
    assert probed(f"http://{peers.LOOPBACK}:{peers.free_port()}/dicom-web")[0] is False
    server.authorization = "Bearer x"
    usable, text = probed(server.url)
    server.authorization = ""
    assert not usable
    assert "401" in text


@pytest.mark.parametrize("database_kind", ["sqlite"])  # its SQL is tested elsewhere, on both
def test_no_result_is_sent_before_retry_after_ends(database: Database, tmp_path: Path) -> None:
    with SimulatedDicomWeb() as server:
        verification = row(server.url, confirm="metadata").verification(calling_ae_title=TITLE)
        node = InProcessNode(database, tmp_path, pacs=destination(server.url), verification=verification)
        server.mode = Mode.STATUS_503
        for seed in range(3):
            node.accept(films.dx(seed=seed))
        node.work()
        assert server.requests[Mode.STATUS_503] == 1

        server.mode = Mode.RIGHT
        node.clock.advance(seconds=RETRY_AFTER_S - QUIET_S - 1)
        node.run_due()
        assert server.requests[Mode.RIGHT] == 0
        node.pass_time(timedelta(minutes=2))

        assert [job.state for job in node.jobs(Stage.DELIVER)] == [State.DONE] * 3
        assert sorted(server.sent.values()) == [1, 1, 1]
        assert sum(map(len, server.by_study.values())) == 3


def test_a_server_that_does_not_search_says_nothing_of_an_instance(server: SimulatedDicomWeb) -> None:
    rule = row(f"{server.url}/elsewhere", confirm="find").verification(calling_ae_title=TITLE)

    with pytest.raises(RetryLater, match="404") as failed:
        verified(rule, film())

    assert not isinstance(failed.value, DestinationUnreachable)  # deliveries of others go on


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_instance_that_is_only_claimed_is_sent_again(database: Database, tmp_path: Path) -> None:
    with SimulatedDicomWeb() as server:
        verification = row(server.url, confirm="find", confirm_again_s=5).verification(calling_ae_title=TITLE)
        node = InProcessNode(database, tmp_path, pacs=destination(server.url), verification=verification)
        server.mode = Mode.LOSES
        node.accept(films.dx())
        node.work()
        server.mode = Mode.RIGHT
        node.pass_time(timedelta(minutes=2))

        assert [job.state for job in node.jobs(Stage.DELIVER)] == [State.DONE]
        assert len(server.files) == 1
