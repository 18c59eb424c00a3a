"""Wrong settings: a sentence with key, value, place and remedy, exit status 2, no traceback and no role started."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.cli.run import _Progress
from cxr_node.config import parse
from cxr_node.service import supervisor
from cxr_node.wiring.role_names import Role
from tests.support.peers import LOOPBACK, free_port

PACS = '[[deliver.destinations]]\nkind = "cstore"\nname = "pacs"\nhost = "h"\nae_title = "P"\nport = 104\n'
WORKLIST = '[[ups.worklists]]\nname = "ris"\nhost = "h"\nae_title = "W"\nport = 104\nstation = "S^99H^s"\n'
PRIORS = "[priors]\ncompare = true\n"
SOURCE = '[[priors.sources]]\nkind = "dicom"\nname = "old"\nhost = "h"\nae_title = "A"\nport = 104\n'
FHIR = '[[deliver.destinations]]\nkind = "fhir"\nname = "emr"\nurl = "https://h/fhir"\n'
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
    (WORKLIST + WORKLIST, 7, "ups.worklists.ris", "is there twice; give each a name of its own"),
    (WORKLIST.replace("S^99H^s", "S"), 6, "ups.worklists.ris.station", 'expected a code as "value^scheme^meaning"'),
    (WORKLIST.replace('station = "S^99H^s"\n', ""), 1, "ups.worklists.ris", "set workitem or station, or the steps"),
    (SOURCE, 1, "priors.sources", "needs priors.compare = true"),
    (PRIORS + SOURCE + SOURCE, 9, "priors.sources.old", "is there twice; give each a name of its own"),
    (PRIORS + SOURCE.replace('"dicom"', '"pacs"'), 4, "priors.sources.old.kind", 'expected "dicom" or "dicomweb"'),
    ('[dicomweb]\norigins = ["ohif"]\n', 2, "dicomweb.origins", '"ohif" is not right; expected https://HOST'),
    ('[adt]\naddresses = ["ris"]\n', 2, "adt.addresses", '"ris" is not right; expected an address or a network'),
    ("[adt]\nenabled = true\n", 1, "adt.addresses", "name the hosts that may send, or nobody may"),
    ("[drift]\nalpha = 2\n", 2, "drift.alpha", "2 is not right; expected at most 0.2"),
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
