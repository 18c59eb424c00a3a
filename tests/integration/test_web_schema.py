"""Schemathesis against the OpenAPI description: no request causes a server error."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.web import served_page, token_of

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize("examples", [3, pytest.param(20, marks=pytest.mark.long)])
def test_no_described_request_is_a_server_error(tmp_path: Path, examples: int) -> None:
    with served_page(tmp_path / "node") as served, served.visited_by("op") as client:
        session = client.cookies["cxr-node-session"]
        ended = subprocess.run(
            [
                *(Path(sys.executable).parent / "schemathesis", "run"),
                f"http://{served.address}/api/v1/openapi.json",
                *("--checks", CHECKS, "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing"),
                *("--header", f"Cookie: cxr-node-session={session}", "--header", f"X-Token: {token_of(client)}"),
                *("--generation-deterministic", "--workers", "1", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )

    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    operations = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", ended.stdout)
    assert operations is not None, ended.stdout[-3000:]
    selected, described, tested = map(int, operations.groups())
    assert selected == described == tested >= 20
    cases = re.search(r"(\d+) generated, (\d+) passed", ended.stdout)
    assert cases is not None
    assert int(cases[1]) == int(cases[2]) > 100
