"""The installed node sends itself phantoms over its own port; the PACS beside it hears nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cxr_node.admin.cli import app
from cxr_node.domain.identifiers import AeTitle
from cxr_node.phantom.pacs import StandInPacs
from tests import films
from tests.peers import storescu
from tests.running import running, settings_file, to_pacs


@pytest.mark.long
def test_a_node_checks_itself_and_only_the_patients_report_reaches_the_pacs(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", ae_title=AeTitle("PACS"), port=0) as pacs:
        config = settings_file(tmp_path / "node", destinations=(to_pacs(pacs.port, "PACS"),))
        with running(config) as node:

            def said(command: str, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
                ended = CliRunner().invoke(app, ["constancy", command, "--config", str(config), *arguments])
                assert ended.exit_code == exit_code, ended.output
                answer: dict[str, Any] = json.loads(ended.output) if "--json" in arguments else {}
                return answer

            first = said("run", "--port", str(node.port), "--json")
            said("accept")
            second = said("run", "--port", str(node.port), "--json")
            path = tmp_path / "film.dcm"
            films.dx().save_as(path, enforce_file_format=True)
            assert storescu(node.port, path, called="CXRNODE", options=[]).returncode == 0
            node.until_idle()

    assert (first["state"], second["state"]) == ("unaccepted", "passed")
    values: list[dict[str, object]] = second["values"]
    assert {each["kind"] for each in values} == {"score", "measurement", "truth"}
    assert [each["is_held"] for each in values if each["kind"] == "truth"] == [True, True, True], values
    assert [path.suffix for path in (tmp_path / "pacs").iterdir()] == [".dcm"]
