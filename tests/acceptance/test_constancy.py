"""The installed node sends itself phantoms over its own port; the PACS beside it hears nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.domain.identifiers import AeTitle
from cxr_node.simulators.pacs import SimulatedPacs
from tests.support import certificates, films
from tests.support.peers import storescu
from tests.support.running_node import running, settings_file, to_pacs


@pytest.mark.long
def test_a_node_that_requires_certificates_presents_one_to_itself(tmp_path: Path) -> None:
    ca = certificates.authority(tmp_path)
    own, shown = (certificates.issued(tmp_path, ca, name) for name in ("node", "constancy"))
    client_files = {"tls_ca": ca.certificate, "tls_certificate": shown.certificate, "tls_key": shown.key}
    section = "[constancy]\n" + "".join(f"{name} = {json.dumps(str(path))}\n" for name, path in client_files.items())
    config = settings_file(tmp_path / "node", more=section)
    files = {"tls_certificate": own.certificate, "tls_key": own.key, "tls_peers_ca": ca.certificate}
    tls = "".join(f"{name} = {json.dumps(str(path))}\n" for name, path in files.items())
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[receive]\n", f"[receive]\n{tls}", 1), encoding="utf-8")

    with running(config) as node:
        run = ("constancy", "run", "--config", str(config), "--port", str(node.port), "--json")
        checked = CliRunner().invoke(app, run)
        config.write_text(config.read_text(encoding="utf-8").replace(section, "[constancy]\n"), encoding="utf-8")
        unsecured = CliRunner().invoke(app, run)

    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.output)["state"] == "unaccepted"
    assert unsecured.exit_code == 1, unsecured.output


@pytest.mark.long
def test_a_constancy_check_leaves_the_pacs_the_report_of_the_patient(tmp_path: Path) -> None:
    with SimulatedPacs(tmp_path / "pacs", ae_title=AeTitle("PACS"), port=0) as pacs:
        config = settings_file(tmp_path / "node", destinations=(to_pacs(pacs.port, "PACS"),))
        with running(config) as node:

            def run_command(command: str, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
                ended = CliRunner().invoke(app, ["constancy", command, "--config", str(config), *arguments])
                assert ended.exit_code == exit_code, ended.output
                answer: dict[str, Any] = json.loads(ended.output) if "--json" in arguments else {}
                return answer

            first = run_command("run", "--port", str(node.port), "--json")
            run_command("accept")
            second = run_command("run", "--port", str(node.port), "--json")
            path = tmp_path / "film.dcm"
            films.dx().save_as(path, enforce_file_format=True)
            assert storescu(node.port, path, called="CXRNODE", options=[]).returncode == 0
            node.until_idle()

    assert (first["state"], second["state"]) == ("unaccepted", "passed")
    values: list[dict[str, object]] = second["values"]
    assert {value["kind"] for value in values} == {"score", "measurement", "truth"}
    assert [value["is_within_tolerance"] for value in values if value["kind"] == "truth"] == [True, True, True], values
    assert [path.suffix for path in (tmp_path / "pacs").iterdir()] == [".dcm"]
