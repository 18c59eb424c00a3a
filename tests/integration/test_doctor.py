"""`cxr-node doctor` with real peers, and the use of negotiated capabilities."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.composing.route import Route
from cxr_node.config import load
from cxr_node.db.database import Database
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.sop_classes import KEY_OBJECT_SELECTION
from cxr_node.records import destination_capabilities
from cxr_node.records.destination_capabilities import DestinationCapabilities
from cxr_node.report.kinds import basic_text, tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import REPORT_FORMS, RESULT_KINDS
from cxr_node.report.sr.tree import lines
from cxr_node.simulators.pacs import SimulatedPacs
from cxr_node.wiring import compose
from tests.support import certificates, films, peers
from tests.support.node import PEER, InProcessNode
from tests.support.queue import NOON
from tests.support.running_node import opened, settings_file, to_pacs
from tests.support.validators import iod_errors, sr_errors

pytestmark = pytest.mark.ci_on_postgresql


ENHANCED = "1.2.840.10008.5.1.4.1.1.88.22"
COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"
BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
EVERYTHING = [kind.name for kind in RESULT_KINDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorResult:
    """Exit status, and (status, message, next step) of each check by name."""

    exit_code: int
    checks: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    destinations: dict[str, dict[str, object]] = field(default_factory=dict)

    def problems(self) -> list[str]:
        return [name for name, (status, _, _) in self.checks.items() if status == "problem"]


def doctor(config: Path, *options: str) -> DoctorResult:
    ended = CliRunner().invoke(app, ["doctor", "--json", "--config", str(config), *options])
    result = json.loads(ended.output)
    assert result["ok"] == (ended.exit_code == 0)
    return DoctorResult(
        exit_code=ended.exit_code,
        checks={check["name"]: (check["status"], check["message"], check["next_step"]) for check in result["checks"]},
        destinations={destination["name"]: destination for destination in result["destinations"]},
    )


def configured(folder: Path, *destinations: Mapping[str, object], more: str = "") -> Path:
    """Return the settings of a node whose database is there."""
    config = settings_file(folder, destinations=destinations, more=more, is_tiny=True)
    assert CliRunner().invoke(app, ["db", "upgrade", "--config", str(config)]).exit_code == 0
    return config


def stored_capabilities(config: Path) -> dict[str, DestinationCapabilities]:
    with opened(load(config)) as database, database.read() as connection:
        return destination_capabilities.latest(connection)


def limited_storescp(folder: Path, *sop_classes: str) -> list[str]:
    """Return options that let DCMTK's storescp take these SOP Classes alone, in Implicit VR Little Endian."""
    contexts = "\n".join(f"PresentationContext{n} = {uid}\\LE" for n, uid in enumerate(sop_classes, start=1))
    path = folder / "storescp.cfg"
    path.write_text(
        "[[TransferSyntaxes]]\n[LE]\nTransferSyntax1 = LittleEndianImplicit\n"
        f"[[PresentationContexts]]\n[These]\n{contexts}\n"
        "[[Profiles]]\n[Default]\nPresentationContexts = These\n",
        encoding="utf-8",
    )
    return ["-xf", str(path), "Default"]


def test_working_node_passes_and_capabilities_are_stored(tmp_path: Path) -> None:
    with SimulatedPacs(tmp_path / "pacs") as pacs:
        to = {**to_pacs(pacs.port, pacs.ae_title), "results": [*EVERYTHING, "report-best"]}
        config = configured(tmp_path / "node", to, {"kind": "folder", "name": "share", "folder": "out"})
        result = doctor(config)
        printed = CliRunner().invoke(app, ["doctor", "--config", str(config)])

    assert (result.exit_code, result.problems()) == (0, [])
    assert result.checks["destination pacs"][1].endswith("responds to C-ECHO")
    assert result.checks["report-best to pacs"][1] == "report is selected, Comprehensive 3D SR Storage"
    assert result.checks["database"][0] == result.checks["bundle"][0] == result.checks["destination share"][0] == "ok"
    assert set(stored_capabilities(config)) == {"pacs"}
    assert len(stored_capabilities(config)["pacs"].accepted_sop_classes) == len(
        {kind.result_type.sop_class_uid for kind in RESULT_KINDS} | {KEY_OBJECT_SELECTION}
    )
    assert not list((tmp_path / "pacs").glob("*"))
    assert "ok       destination pacs: " in printed.output
    assert printed.exit_code == 0


def test_orthanc_accepts_every_kind_with_its_transfer_syntaxes(tmp_path: Path) -> None:
    with peers.orthanc(tmp_path / "orthanc") as orthanc:
        to = {**to_pacs(orthanc.port, orthanc.ae_title), "results": EVERYTHING}
        result = doctor(configured(tmp_path / "node", to))

    assert (result.exit_code, result.problems()) == (0, [])
    takes = result.destinations["pacs"]["accepted_results"]
    assert isinstance(takes, dict)
    assert set(takes) == set(EVERYTHING)
    assert takes["segmentation"][:2] == [EXPLICIT, IMPLICIT]
    assert result.checks["withdrawals to destination pacs"][0] == "ok"


def test_archive_with_enhanced_sr_only_gets_its_best_form_named(tmp_path: Path) -> None:
    options = limited_storescp(tmp_path, ENHANCED, BASIC_TEXT, peers.VERIFICATION)
    with peers.storescp(tmp_path / "arrived", *options) as peer:
        to = {**to_pacs(peer.port, peer.ae_title), "results": ["report", "report-best", "segmentation"]}
        config = configured(tmp_path / "node", to)
        result = doctor(config)

    assert result.exit_code == 1
    assert result.problems() == ["report to pacs", "segmentation to pacs"]
    assert 'configure "report-best" instead, which selects report-enhanced' in result.checks["report to pacs"][2]
    assert 'remove "segmentation" from its results' in result.checks["segmentation to pacs"][2]
    assert result.destinations["pacs"]["accepted_results"] == {"report-enhanced": [IMPLICIT], "text": [IMPLICIT]}
    assert stored_capabilities(config)["pacs"].accepted_sop_classes == {ENHANCED, BASIC_TEXT}
    assert result.checks["withdrawals to destination pacs"][0] == "note"
    assert "permit Key Object Selection Document Storage" in result.checks["withdrawals to destination pacs"][2]
    (route,) = compose.routes(load(config)).values()
    assert (
        tid1500.REPORT_ENHANCED.result_type.name in route.with_accepted_form(stored_capabilities(config)["pacs"]).kinds
    )


def test_archive_that_accepts_no_report_is_a_problem(tmp_path: Path) -> None:
    with SimulatedPacs(sop_classes=("1.2.840.10008.5.1.4.1.1.7",)) as pacs:
        to = {**to_pacs(pacs.port, pacs.ae_title), "results": ["report-best", "picture"]}
        result = doctor(configured(tmp_path, to))

    assert result.problems() == ["report-best to pacs"]
    assert result.checks["destination pacs"][0] == "note"
    assert "not Verification" in result.checks["destination pacs"][1]


def test_unreachable_destination_does_not_hide_the_others(tmp_path: Path) -> None:
    with SimulatedPacs(tmp_path / "pacs") as pacs:
        alive = to_pacs(pacs.port, pacs.ae_title)
        dead = {**to_pacs(peers.free_port(), "GONE"), "name": "gone"}
        config = configured(tmp_path / "node", dead, alive)
        result = doctor(config)

    assert result.problems() == ["destination gone"]
    assert result.checks["destination gone"][2].startswith("check that it runs and that host, port, ae_title are right")
    assert result.checks["report to pacs"][0] == "ok"
    assert set(stored_capabilities(config)) == {"pacs"}


def test_archive_that_rejects_the_ae_title_is_a_problem(tmp_path: Path) -> None:
    with SimulatedPacs(calling_ae_titles=["SOMEONE"]) as pacs:
        result = doctor(configured(tmp_path, to_pacs(pacs.port, pacs.ae_title)))

    assert result.problems() == ["destination pacs"]
    assert "rejected the association" in result.checks["destination pacs"][1]
    assert "have its administrator permit the node's AE title" in result.checks["destination pacs"][2]


def test_tls_is_used_and_an_untrusted_archive_is_a_problem(tmp_path: Path) -> None:
    authority, elsewhere = certificates.authority(tmp_path), certificates.authority(tmp_path, "elsewhere")
    archive = certificates.issued(tmp_path, authority, "archive")
    options = ["+tls", str(archive.key), str(archive.certificate), "+cf", str(authority.certificate), "-ic"]
    with peers.storescp(tmp_path / "arrived", *options, secure=True) as peer:
        to = {**to_pacs(peer.port, peer.ae_title), "results": ["picture"], "tls_ca": str(authority.certificate)}
        trusted = doctor(configured(tmp_path / "one", to))
        doubted = doctor(configured(tmp_path / "two", {**to, "tls_ca": str(elsewhere.certificate)}))

    assert (trusted.exit_code, trusted.problems()) == (0, [])
    assert trusted.checks["destination pacs"][1].endswith("responds to C-ECHO, by TLS")
    assert doubted.problems() == ["destination pacs"]
    assert "no TLS" in doubted.checks["destination pacs"][1]


def test_folder_that_is_not_writable_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    share = {"kind": "folder", "name": "share", "folder": str(tmp_path / "file" / "out")}
    result = doctor(configured(tmp_path / "node", share))
    assert result.problems() == ["destination share"]

    config = settings_file(
        tmp_path / "other", more=f"[node]\ndata_folder = {json.dumps(str(tmp_path / 'file'))}", is_tiny=True
    )
    result = doctor(config)
    assert result.problems() == ["data folder"]
    assert "make it writable for the node's user" in result.checks["data folder"][2]


def test_full_disk_is_a_problem_and_no_destination_a_note(tmp_path: Path) -> None:
    config = configured(tmp_path)
    config.write_text("[archive]\nreserve_bytes = 1000000000000000000\n", encoding="utf-8")

    result = doctor(config)

    assert result.problems() == ["free space"]
    assert result.checks["destinations"][0] == "note"


def test_empty_database_is_noted_and_an_unreachable_one_a_problem(tmp_path: Path) -> None:
    new = doctor(settings_file(tmp_path / "new", is_tiny=True))
    url = f"postgresql://node:secret@{peers.LOOPBACK}:{peers.free_port()}/cxr"
    away = doctor(settings_file(tmp_path / "away", database_url=url, is_tiny=True))

    assert (new.exit_code, new.checks["database"][0]) == (0, "note")
    assert "`cxr-node db upgrade` now" in new.checks["database"][2]
    assert away.problems() == ["database"]
    assert "secret" not in str(away)


def test_missing_bundle_is_a_problem_and_a_wrong_setting_exits_2(tmp_path: Path) -> None:
    config = configured(tmp_path)
    config.write_text('[read]\nbundle = "unheard-of"\n[archive]\nreserve_bytes = 0\n', encoding="utf-8")
    result = doctor(config)
    assert result.problems() == ["bundle"]
    assert "cxr-node bundle list" in result.checks["bundle"][2]

    config.write_text("[read]\nbundel = 1\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["doctor", "--config", str(config)]).exit_code == 2


def test_test_report_is_delivered_in_the_best_form_and_marked(tmp_path: Path) -> None:
    options = limited_storescp(tmp_path, ENHANCED, peers.VERIFICATION)
    with peers.storescp(tmp_path / "arrived", *options) as peer:
        to = {**to_pacs(peer.port, peer.ae_title), "results": ["report-best"]}
        config = configured(tmp_path / "node", to)
        result = doctor(config, "--test-report", "pacs")
        again = doctor(config, "--test-report", "pacs", "--test-report", "elsewhere")
        (arrived,) = peer.files()

    report = dcmread(arrived)
    assert (result.exit_code, result.problems()) == (0, [])
    assert "report-enhanced was accepted with status 0x0000" in result.checks["test report to pacs"][1]
    assert again.problems() == ["test report to elsewhere"]
    assert (report.SOPClassUID, report.PatientID) == (ENHANCED, "CXRNODE-TEST")
    assert report.StudyDescription == "TEST OF CXR-NODE - NO PATIENT"
    assert "a test of delivery: there is no such patient" in " ".join(line for _, line in lines(report))
    assert iod_errors(arrived) == sr_errors(arrived) == []


@pytest.mark.parametrize("answer", [0xA900, 0xA700])
def test_rejected_test_report_is_a_problem(answer: int, tmp_path: Path) -> None:
    with SimulatedPacs(status=answer) as pacs:
        result = doctor(configured(tmp_path, to_pacs(pacs.port, pacs.ae_title)), "--test-report", "pacs")

    assert result.problems() == ["test report to pacs"]
    assert f"status 0x{answer:04X}" in result.checks["test report to pacs"][1]


def capabilities(*sop_classes: str, peer: str = PEER, destination: str = "pacs") -> DestinationCapabilities:
    accepted = {form.result_type.sop_class_uid: () for form in REPORT_FORMS} | {
        Uid(uid): (Uid(EXPLICIT),) for uid in sop_classes
    }
    return DestinationCapabilities(destination=destination, peer=peer, accepted=accepted, negotiated_at=NOON)


@pytest.mark.parametrize(
    ("accepted", "form"),
    [
        (capabilities(COMPREHENSIVE_3D, COMPREHENSIVE, ENHANCED, BASIC_TEXT), tid1500.REPORT),
        (capabilities(BASIC_TEXT, ENHANCED, COMPREHENSIVE), tid1500.REPORT_COMPREHENSIVE),
        (capabilities(BASIC_TEXT, ENHANCED), tid1500.REPORT_ENHANCED),
        (capabilities(BASIC_TEXT), basic_text.TEXT),
        (capabilities(), tid1500.REPORT),
        (capabilities(BASIC_TEXT, peer="PACS@other:104"), tid1500.REPORT),
        (None, tid1500.REPORT),
    ],
)
def test_best_form_is_the_first_that_this_peer_accepts(
    accepted: DestinationCapabilities | None, form: ResultKind
) -> None:
    route = Route(kinds=frozenset({"SC"}), forms=tuple(form.result_type for form in REPORT_FORMS), peer=PEER)
    assert route.with_accepted_form(accepted).kinds == {"SC", form.result_type.name}


def test_route_without_a_choice_is_unchanged() -> None:
    route = Route(kinds=frozenset({"SC"}), peer=PEER)
    assert route.with_accepted_form(capabilities(BASIC_TEXT)) is route


def test_report_is_sent_in_the_best_negotiated_form(database: Database, tmp_path: Path) -> None:
    node = InProcessNode(database, tmp_path, kinds=REPORT_FORMS, forms=tuple(form.result_type for form in REPORT_FORMS))
    with database.write() as transaction:
        destination_capabilities.store(transaction, capabilities(COMPREHENSIVE_3D))
        destination_capabilities.store(transaction, capabilities(ENHANCED, BASIC_TEXT))
    node.accept(films.dx())
    node.work()

    assert [str(report.SOPClassUID) for report in node.pacs.reports()] == [ENHANCED]


def test_stored_capabilities_equal_the_negotiated_ones(database: Database) -> None:
    first = capabilities(ENHANCED)
    second = capabilities(COMPREHENSIVE, destination="other")
    with database.write() as transaction:
        destination_capabilities.store(transaction, first)
        destination_capabilities.store(transaction, second)
    with database.read() as connection:
        assert destination_capabilities.latest(connection) == {"pacs": first, "other": second}
