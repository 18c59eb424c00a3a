"""`docs/tutorial/first-report.md`: its commands, as they stand, from settings to a report in Orthanc."""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.films import ROOT
from tests.support.pages import background, blocks, environment, run
from tests.support.peers import echoscu, free_port, program, until

PAGE = ROOT / "docs" / "tutorial" / "first-report.md"


@pytest.mark.ci(short="tests/house/test_site.py::test_every_call_in_the_pages_has_its_command_and_options")
@pytest.mark.timeout(600)
def test_commands_of_the_tutorial_lead_to_a_report_in_orthanc(tmp_path: Path) -> None:
    """Ports are replaced by free ones. The engine is not measured, which takes longer than the rest."""
    program("Orthanc")
    page = PAGE.read_text(encoding="utf-8")
    pacs = free_port()
    for port, free in {"4242": pacs, "8042": free_port(), "11112": free_port(), "8011": free_port()}.items():
        page = page.replace(port, str(free))
    receive = page.partition("CXRNODE@127.0.0.1:")[2].partition("\n")[0]
    page = page.replace("--user kim", f"--port {receive} --user kim")
    parts = [(language, content) for language, content in blocks(page) if language not in ("json", "sh install")]
    (tmp_path / "orthanc.json").write_text(dict(blocks(page))["json"], encoding="utf-8")
    variables, outputs = environment(), []

    with ExitStack() as running:
        for language, content in parts:
            if content.startswith("cxr-node run"):
                settings = tmp_path / "cxr-node.toml"
                text = settings.read_text(encoding="utf-8")
                settings.write_text(_with(text, '[read]\nengine = "eager"', "[web]\nport = 0"), encoding="utf-8")
            if language == "sh background":
                is_ready = _is_running if content.startswith("cxr-node") else partial(_answers, pacs)
                command = background(content, tmp_path, variables, is_ready=is_ready, what=content)
                running.enter_context(command)
            elif language == "sh wait":
                until(
                    lambda: "delivered to pacs" in run("cxr-node study PHANTOM-1", tmp_path, variables),
                    what="a delivered report",
                    timeout_s=120,
                    pause_s=2.0,
                )
                outputs.append(run(content, tmp_path, variables))
            else:
                outputs.append(run(content, tmp_path, variables))

    (series, *_) = json.loads(outputs[-1])
    assert series["MainDicomTags"]["Modality"] == "SR"
    assert "stored  0x0000" in outputs[1]


def _with(text: str, *tables: str) -> str:
    """Return settings with a key in tables that a comment may introduce already."""
    for table in tables:
        heading, _, line = table.partition("\n")
        text = (
            text.replace(f"{heading}\n", f"{heading}\n{line}\n", 1)
            if f"\n{heading}\n" in text
            else f"{text}\n{table}\n"
        )
    return text


def _is_running(log: str) -> bool:
    return log.count("is ready") >= 4


def _answers(port: int, _log: str) -> bool:
    return echoscu(port, called="ORTHANC").returncode == 0
