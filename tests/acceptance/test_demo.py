"""The demo, as the README's first command runs it, and left running."""

import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from cxr_node.cli.database import reading_database
from cxr_node.queries import view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.simulators.demo_films import demo_films
from cxr_node.simulators.program import COMMAND


@pytest.mark.timeout(1300)
def test_the_demo_reads_its_films_right_and_leaves_objects_and_page(tmp_path: Path) -> None:
    # A shell that runs the tests in the background ignores SIGINT, which its children inherit.
    command = ["env", "--default-signal=INT", *COMMAND, "demo", "--keep", "--folder", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        printed = ""
        for line in running.stdout:
            printed += line
            if "password" in line:
                break
        link = re.search(r"http://[\d.:]+/films/\d+", printed)
        account = re.search(r"Name (\S+), password (\S+)", printed)
        assert link, printed
        assert account, printed
        with httpx.Client(base_url=link[0].partition("/films")[0], timeout=60) as client:
            client.post("/login", data={"name": account[1], "password": account[2]})
            page = client.get(link[0])
        running.send_signal(signal.SIGINT)
        printed += running.stdout.read()

    assert running.returncode == 0, printed
    assert page.status_code == 200
    assert "Opacity" in page.text
    present, film_rows = answers(tmp_path / "cxr-node.toml")
    for film in demo_films():
        assert present[str(dcmread(film.path).SOPInstanceUID)] == set(film.findings), film.name
        assert re.search(rf"{film.name} .*{re.escape(film.description)}.*http://[\d.:]+/films/\d+", printed)
        assert (tmp_path / "pictures" / f"{film.name}.png").is_file()
    assert film_rows == len(demo_films()) + 1
    assert re.search(r"lateral .*not analysed: Not a frontal view", printed)
    assert (tmp_path / "reports" / "lateral.txt").is_file()
    assert "IMPRESSION" in printed
    assert str(tmp_path) in printed.replace("\n", "")
    assert "NIH Clinical Center" in printed
    assert "Research use only" in printed


def answers(config: Path) -> tuple[dict[str, set[str]], int]:
    """Return the present findings by SOP Instance UID of the film, and the number of films."""
    with reading_database(config) as connection:
        films = view_rows.rows(connection, VIEWS["v1_films"])
        findings = view_rows.rows(connection, VIEWS["v1_findings"])
    present: dict[str, set[str]] = {film["sop_instance_uid"]: set() for film in films}
    for finding in findings:
        if finding["presence"] == "present":
            present[finding["sop_instance_uid"]].add(finding["key"])
    return present, len(films)
