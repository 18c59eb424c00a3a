"""Wrong settings: a sentence with key, value, place and remedy, exit status 2, no traceback and no role started."""

from pathlib import Path

import pytest
from apscheduler.triggers.cron import CronTrigger
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.cli.run import _Progress
from cxr_node.config import parse
from cxr_node.domain.cron import is_cron
from cxr_node.ops import preflight
from cxr_node.service import supervisor
from cxr_node.wiring.role_names import Role
from tests.support.peers import LOOPBACK, free_port

PACS = '[[deliver.destinations]]\nkind = "cstore"\nname = "pacs"\nhost = "h"\nae_title = "P"\nport = 104\n'
WORKLIST = (
    '[[ups.worklists]]\nkind = "dicom"\nname = "ris"\nhost = "h"\nae_title = "W"\nport = 104\nstation = "S^99H^s"\n'
)
PRIORS = "[priors]\ncompare = true\n"
SOURCE = '[[priors.sources]]\nkind = "dicom"\nname = "old"\nhost = "h"\nae_title = "A"\nport = 104\n'
FHIR = '[[deliver.destinations]]\nkind = "fhir"\nname = "emr"\nurl = "https://h/fhir"\n'
HL7 = '[[deliver.destinations]]\nkind = "hl7"\nname = "ris"\nhost = "h"\nport = 104\n'
RULE = '[[notify.rules]]\nname = "r"\nmail_to = ["a@b.org"]\n'
PEERS = '[[receive.peers]]\nae_title = "DX1"\n'
NO_DX9 = "[receive] admits no 'DX9'; it admits DX1; name one of these, or add it to receive.peers"
CASCADE = "[[read.cascade]]\n[[read.cascade]]\n" + 'bundle = "chest"\nviews = ["PA"]\n'
URGENT = "[[receive.urgent]]\npriority_boost_s = 60\n"
CALLED = "[receive]\nrequire_called_ae_title = true\n"
COMMITMENT = '[[receive.commitment_peers]]\nae_title = "DX9"\nhost = "h"\nport = 104\n'
CHARACTER_SET = '[[report.character_sets]]\nae_title = "DX9"\ncharacter_sets = ["GB18030"]\n'
WRONG: tuple[tuple[str, int, str, str], ...] = (
    ('[receive]\naetitle = "X"\n', 2, "receive.aetitle", "did you mean 'ae_title'"),
    ('[receive]\nae_title = "a title of twenty c."\n', 2, "receive.ae_title", "1 to 16 printable characters"),
    ("[receive]\nport = 99999\n", 2, "receive.port", "99999 is not right; expected at most 65535"),
    ('[receive]\nport = "x"\n', 2, "receive.port", '"x" is not right; expected a whole number'),
    ("[receive]\nacse_timeout_s = 0\n", 2, "receive.acse_timeout_s", "0 is not right; expected more than 0"),
    ("[receive]\nprocesses = 2\nport = 0\n", 3, "receive.port", "must not be 0"),
    ('[[web.users]]\nname = "k"\npassword_hash = "open"\n', 3, "web.users.k.password_hash", "not a password hash"),
    ('[[web.users]]\nname = "k"\nrole = "admin"\n', 3, "web.users.k.role", 'expected "viewer" or "operator"'),
    ('[report]\nlanguage = "pt"\n', 2, "report.language", "is no language of results; there are en"),
    (PACS + PACS, 7, "deliver.destinations.pacs", "is there twice; give each a name of its own"),
    (PACS + 'results = ["sr"]\n', 7, "deliver.destinations.pacs.results", "'sr' is no result; there are report"),
    (PACS.replace("cstore", "dicom"), 2, "deliver.destinations.pacs.kind", '"dicom" is not right; expected "cstore"'),
    (PACS.replace('host = "h"\n', ""), 1, "deliver.destinations.pacs.host", "must be set"),
    ("[network]\nx = 1\n", 1, "network", "there is no such setting"),
    ('[receive]\nbundle = "x"\n', 2, "receive.bundle", "it belongs to another table: read.bundle"),
    ('[read]\nbundle = "chexnet-9"\n', 2, "read.bundle", "there is no bundle 'chexnet-9'; name one of chest"),
    ('[read]\ndevice = "gpu"\n', 2, "read.device", '"gpu" is not right; expected "auto", "cpu", "cuda"'),
    ('[receive]\ntls_certificate = "no.pem"\ntls_key = "no.key"\n', 2, "receive.tls_certificate", "No such file"),
    ('[receive]\ntls_certificate = "no.pem"\n', 2, "receive.tls_certificate and", "one is of no use without the other"),
    ('[database]\nurl = "mysql://h/d"\n', 2, "database.url", "mysql is not supported; use postgresql://"),
    ('[oidc]\nclient_secret_file = "no"\n', 2, "oidc.client_secret_file", "cannot be read (No such file"),
    ('[constancy]\nat = "5 pm"\n', 2, "constancy.at", "expected a time such as 05:30"),
    ('[schedule]\nretention = "daily"\n', 2, "schedule.retention", "expected seconds, or a cron expression"),
    (PACS.replace("104", "0"), 6, "deliver.destinations.pacs.port", "0 is not right; expected at least 1"),
    ('[export]\nsecret = "short"\n', 2, "export.secret", "expected at least 32 characters, such as `openssl rand"),
    ('[export]\nsecret_file = "no"\n', 2, "export.secret_file", "no cannot be read (No such file"),
    (FHIR.replace("https:", "ftp:"), 4, "deliver.destinations.emr.url", "not right; expected http(s)://HOST:PORT/PATH"),
    (FHIR + 'results = ["segmentation"]\n', 5, "deliver.destinations.emr.results", "made of one of report, report-"),
    (FHIR + 'results = ["report", "segmentation"]\n', 5, "deliver.destinations.emr.results", "at most 1 entry"),
    (FHIR + 'patient_systems = ["urn:oid:1"]\n', 5, "deliver.destinations.emr.patient_systems", 'expected "ISSUER=urn'),
    (FHIR + 'auth = "bearer"\n', 1, "deliver.destinations.emr.token_file", 'must be set for auth = "bearer"'),
    (FHIR + 'tls_ca = "no.pem"\n', 5, "deliver.destinations.emr.tls_ca", "(No such file or directory); name a PEM"),
    (WORKLIST + WORKLIST, 8, "ups.worklists.ris", "is there twice; give each a name of its own"),
    (WORKLIST.replace("S^99H^s", "S"), 7, "ups.worklists.ris.station", 'expected a code as "value^scheme^meaning"'),
    (WORKLIST.replace('station = "S^99H^s"\n', ""), 1, "ups.worklists.ris", "set workitem or station, or the steps"),
    (SOURCE, 1, "priors.sources", "needs priors.compare = true"),
    (PRIORS + SOURCE + SOURCE, 9, "priors.sources.old", "is there twice; give each a name of its own"),
    (PRIORS + SOURCE.replace('"dicom"', '"pacs"'), 4, "priors.sources.old.kind", 'expected "dicom" or "dicomweb"'),
    ('[dicomweb]\norigins = ["ohif"]\n', 2, "dicomweb.origins", '"ohif" is not right; expected https://HOST'),
    ('[adt]\naddresses = ["ris"]\n', 2, "adt.addresses", '"ris" is not right; expected an address or a network'),
    ("[adt]\nenabled = true\n", 1, "adt.addresses", "name the hosts that may send, or nobody may"),
    ("[drift]\nalpha = 2\n", 2, "drift.alpha", "2 is not right; expected at most 0.2"),
    (
        FHIR + 'measurements = ["XYZ"]\n',
        5,
        "deliver.destinations.emr.measurements",
        '"XYZ" is not right; expected "CTR"',
    ),
    (
        HL7 + 'measurements = ["MTCD"]\n',
        6,
        "deliver.destinations.ris.measurements",
        '"MTCD" is not right; expected "CTR"',
    ),
    (
        PACS + 'results = ["text", "text"]\n',
        7,
        "deliver.destinations.pacs.results",
        "'text' is there twice; name it once",
    ),
    (
        PACS + 'when.findings = ["Mass"]\n',
        7,
        "deliver.destinations.pacs.when.findings",
        '"Mass" is not right; expected the',
    ),
    (
        RULE + 'findings = ["Mass"]\n',
        4,
        "notify.rules.r.findings",
        '"Mass" is not right; expected the key of a finding',
    ),
    (RULE.replace("a@b", "a b"), 3, "notify.rules.r.mail_to", "expected an address such as duty@example.org"),
    (RULE + RULE, 4, "notify.rules.r", "is there twice; give each a name of its own"),
    ('[alert]\nmail_from = "node"\n', 2, "alert.mail_from", "expected an address such as duty@example.org"),
    ('[trace]\nheaders = ["x"]\n', 2, "trace.headers", 'the value is not right; expected "Name=value"'),
    ('[schedule]\nretention = "0 24 * * *"\n', 2, "schedule.retention", "expected seconds, or a cron expression"),
    ('[gate]\nbody_parts = [""]\n', 2, "gate.body_parts", "expected at least 1 character"),
    ('[drift]\nreference_from = "2026-01-01"\n', 2, "drift.reference_from and", "set both, or neither"),
    ('[remote]\nfallback_bundle = "x"\n', 2, "remote.fallback_bundle", "there is no bundle 'x'; name one of chest"),
    (
        PEERS + PACS + 'when.calling_ae_titles = ["DX9"]\n',
        9,
        "deliver.destinations.pacs.when.calling_ae_titles",
        NO_DX9,
    ),
    (PEERS + URGENT + 'calling_ae_titles = ["DX9"]\n', 5, "receive.urgent.0.calling_ae_titles", NO_DX9),
    (PEERS + '[corrections]\nnotes_from = ["DX9"]\n', 4, "corrections.notes_from", NO_DX9),
    (PEERS + COMMITMENT, 4, "receive.commitment_peers.DX9.ae_title", NO_DX9),
    (PEERS + CHARACTER_SET, 4, "report.character_sets.DX9.ae_title", NO_DX9),
    (PEERS + '[constancy]\nat = "05:30"\n', 3, "constancy.calling_ae_title", "[receive] admits no 'CXRCONSTANCY'"),
    (
        '[receive]\ncalling_ae_titles = ["A"]\n' + PEERS,
        4,
        "receive.peers.DX1.ae_title",
        "does not permit it; add 'DX1'",
    ),
    (
        CALLED + URGENT + 'called_ae_titles = ["X"]\n',
        5,
        "receive.urgent.0.called_ae_titles",
        "only 'CXRNODE' is called",
    ),
)


@pytest.fixture(autouse=True)
def no_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_run_roles", lambda *_arguments, **_named: pytest.fail("roles were started"))


def refused(path: Path, *command: str) -> str:
    ended = CliRunner().invoke(app, [*command, "--config", str(path)])
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    return " ".join(ended.output.split())


@pytest.mark.parametrize(("text", "line", "key", "sentence"), WRONG, ids=[row[2] for row in WRONG])
def test_a_wrong_setting_is_answered_by_a_sentence(
    text: str, line: int, key: str, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")

    for command in (["run"], ["config", "check"]):
        output = refused(path, *command)
        assert f"configuration: {key}" in output, output
        assert f"(line {line} of {path})" in output, output
        assert sentence in output, output


UNKNOWN_FINDINGS = (
    (RULE + 'findings = ["effuson"]\n', 4, "notify.rules.r.findings", "there are lung_opacity, pleural_effusion, card"),
    (
        PACS + 'when.findings = ["mass"]\n',
        7,
        "deliver.destinations.pacs.when.findings",
        "has the finding 'mass'; there are",
    ),
    (
        CASCADE + 'finding = "mass"\n',
        5,
        "read.cascade.1.finding",
        "no earlier bundle of the cascade has the finding 'mass'",
    ),
)


@pytest.mark.parametrize(
    ("text", "line", "key", "sentence"), UNKNOWN_FINDINGS, ids=[row[2] for row in UNKNOWN_FINDINGS]
)
def test_a_finding_of_no_bundle_is_named(
    text: str,
    line: int,
    key: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node starts all the same: the bundle activated for all hosts may not be installed on this one yet."""
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    started: list[Path] = []
    monkeypatch.setattr(supervisor, "run", lambda _settings, file, *_rest, **_named: started.append(file))

    output = refused(path, "config", "check")
    ended = CliRunner().invoke(app, ["run", "--config", str(path)])

    assert ended.exit_code == 0, ended.output
    assert started == [path]
    for answer in (output, " ".join(ended.output.split())):
        assert f"configuration: {key} (line {line} of {path}): " in answer
        assert sentence in answer


@pytest.mark.parametrize(
    ("text", "key", "extra"),
    [
        ('[read]\nengine = "openvino"\n', "read.engine", "openvino"),
        ('[archive]\nbucket = "films"\n', "archive.bucket", "s3"),
        ('[trace]\nendpoint = "http://h:4318"\n', "trace.endpoint", "otel"),
        ('[oidc]\nissuer = "https://h"\nclient_id = "c"\nviewers = ["v"]\n', "oidc.issuer", "oidc"),
    ],
)
def test_a_setting_whose_library_is_missing_names_the_extra(
    text: str, key: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(preflight, "find_spec", lambda _module: None)

    for command in (["run"], ["config", "check"]):
        output = refused(path, *command)
        assert f"{key} (line 2 of {path}): needs the extra {extra}: pip install 'cxr-node[{extra}]'" in output


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("30 2 * * *", True),
        ("*/5 0-6/2 1,15 jan-mar mon,fri", True),
        ("60 * * * *", False),
        ("* * 0 * *", False),
        ("* * * * 7", False),
        ("5-1 * * * *", False),
        ("*/0 * * * *", False),
        ("a b c d e", False),
        ("* * * *", False),
    ],
)
def test_cron_expressions_are_those_of_the_scheduler(text: str, is_right: bool) -> None:
    assert is_cron(text) is is_right
    if is_right:
        CronTrigger.from_crontab(text)
    else:
        with pytest.raises(ValueError, match=r".+"):
            CronTrigger.from_crontab(text)


def test_broken_toml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("[receive]\nae_title = CXR\n", encoding="utf-8")

    assert "at line 2" in refused(path, "run")
    assert "texts need quotes" in refused(path, "doctor")


def test_a_postgresql_server_that_is_down_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    url = f"postgresql://cxr@{LOOPBACK}:{free_port()}/cxr"
    path.write_text(f'[receive]\nport = 0\n[web]\nport = 0\n[database]\nurl = "{url}"\n', encoding="utf-8")

    output = refused(path, "run")

    assert output.count("configuration:") == 1
    assert f"database.url (line 6 of {path}): the server gives no response" in output
    assert "cxr-node doctor" in output


def test_the_start_ends_with_ready_and_the_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    progress = _Progress(parse({}), [Role.RECEIVE, Role.READ, Role.ADMIN, Role.SHADOW])
    for role, address in ((Role.RECEIVE, "127.0.0.1:104"), (Role.ADMIN, "127.0.0.1:8011"), (Role.READ, "")):
        progress.note_ready(role, address)
    progress.note_ready(Role.READ, "")  # restarted

    assert capsys.readouterr().out.splitlines() == [
        "receive is ready at 127.0.0.1:104",
        "admin is ready at 127.0.0.1:8011",
        "read is ready",
        "ready: films to CXRNODE@127.0.0.1:104, page at http://127.0.0.1:8011",
        "read is ready",
    ]
