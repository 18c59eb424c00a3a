"""`docs/how-to/tls.md`: its commands, as they stand, from a key to a C-ECHO over mutual TLS."""

import tomllib
from contextlib import ExitStack
from pathlib import Path

from cxr_node import config
from tests.support.films import ROOT
from tests.support.pages import background, blocks, environment, run
from tests.support.peers import free_port, program

PAGE = ROOT / "docs" / "how-to" / "tls.md"


def test_commands_of_the_page_lead_to_an_echo_over_mutual_tls(tmp_path: Path) -> None:
    program("openssl")
    page = PAGE.read_text(encoding="utf-8").replace("11112", str(free_port())).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    page = page.replace("echoscu", str(program("echoscu")))  # pynetdicom brings a program of the same name
    outputs: list[str] = []
    with ExitStack() as running:
        for language, content in blocks(page):
            if language == "toml":
                (tmp_path / "cxr-node.toml").write_text(content, encoding="utf-8")
            elif language == "toml results":
                results = content
            elif language == "sh background":
                running.enter_context(
                    background(content, tmp_path, environment(), is_ready=lambda log: "is ready" in log, what=content)
                )
            else:
                outputs.append(run(content, tmp_path, environment()))

    assert "node.pem: OK" in outputs[2]
    assert "DNS:cxr.hospital.example" in outputs[2]
    assert len(outputs) == 5
    assert config.parse(tomllib.loads(results)).deliver.destinations[0].name == "pacs"
