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
def test_the_demo_reads_its_films_right_and_leaves_its_objects(tmp_path: Path) -> None:
    ended = subprocess.run([*COMMAND, "demo", "--folder", tmp_path], capture_output=True, text=True, timeout=1260)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    present, film_rows = answers(tmp_path / "cxr-node.toml")
    for film in demo_films():
        assert present[str(dcmread(film.path).SOPInstanceUID)] == set(film.findings), film.name
        assert re.search(rf"{film.name} .*{re.escape(film.description)}.*pictures/{film.name}\.png", ended.stdout)
        assert (tmp_path / "pictures" / f"{film.name}.png").is_file()
    assert film_rows == len(demo_films()) + 1
    assert re.search(r"lateral .*not analysed: Not a frontal view.*reports/lateral\.txt", ended.stdout)
    assert "IMPRESSION" in ended.stdout
    assert str(tmp_path) in ended.stdout.replace("\n", "")
    assert "NIH Clinical Center" in ended.stdout
    assert "Research use only" in ended.stdout


@pytest.mark.timeout(1300)
def test_a_demo_that_is_kept_shows_its_films_on_the_page(tmp_path: Path) -> None:
    film, *_ = demo_films()
    command = [*COMMAND, "demo", "--keep", "--folder", str(tmp_path), str(film.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
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
        rest = running.stdout.read()

    assert page.status_code == 200
    assert "Opacity" in page.text
    assert running.returncode == 0, printed + rest


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
