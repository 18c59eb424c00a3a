"""Films that a person withdraws or shows again, and results issued anew, by command and by page, on both databases."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.domain.clock import utc_now
from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.records.rejection_notes import InstanceRejected
from cxr_node.simulators.rejections import HidingArchive
from cxr_node.web import server
from cxr_node.wiring.process import Process
from tests.support import films
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file
from tests.support.web import PASSWORD, token_of, users

pytestmark = pytest.mark.ci_on_postgresql


ACCESSION = "ACC-1"
OTHER = films.dx(seed=1, changes={"StudyInstanceUID": films.dx().StudyInstanceUID})
PEOPLE = users(("op", "operator", True), ("reader", "viewer", True))


class Site:
    """A node of a study of two films, with its settings, and what an archive shows."""

    def __init__(self, config: Path, node: InProcessNode) -> None:
        self.config, self.node, self.archive = config, node, HidingArchive()
        for film in (films.dx(), OTHER):
            node.accept(film)
        self.work()

    def work(self) -> None:
        self.node.clock.now = utc_now() + timedelta(seconds=1)  # after that of commands and page
        self.node.work()
        for content in self.node.pacs.received:
            self.archive.store(content)

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run a command, then the node; return its output."""
        command = [*arguments, "--config", str(self.config)]
        ended = CliRunner().invoke(app, command, env={"COLUMNS": "300"})
        assert ended.exit_code == exit_code, ended.output
        self.work()
        return ended.output

    def shown(self) -> list[str]:
        """Return the numbers of films that each visible report names."""
        named = {str(films.dx().SOPInstanceUID): "1", str(OTHER.SOPInstanceUID): "2"}
        return ["".join(name for uid, name in named.items() if uid in str(one)) for one in self.archive.visible()]


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    more = f"[web]\nport = 0\n{PEOPLE}"
    config = settings_file(tmp_path / "node", database_url=database_url, more=more)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        yield Site(config, InProcessNode(database, settings.node.data_folder))


def test_a_person_withdraws_films_and_shows_them_again(site: Site) -> None:
    assert site.shown() == ["12"]

    film = ("--film", str(OTHER.SOPInstanceUID))
    assert "1 film withdrawn" in site.run("withdraw", ACCESSION, *film, "--note", "moved")
    assert site.shown() == ["1"]
    assert "no such film" in site.run("withdraw", ACCESSION, *film, exit_code=1)
    assert "1 film withdrawn" in site.run("withdraw", ACCESSION, "--cause", "quality")
    assert site.shown() == []
    assert [site.archive.title(note.SOPInstanceUID) for note in site.archive.notes] == [
        RejectionTitle.SAFETY,
        RejectionTitle.QUALITY,
    ]
    with pytest.raises(InstanceRejected):
        site.node.accept(OTHER)
    assert "no film left" in site.run("reissue", ACCESSION, exit_code=1)
    story = site.run("study", ACCESSION)
    assert "withdrawn by a person: moved" in story
    assert "pacs told on" in story

    assert "2 films shown again" in site.run("withdraw", ACCESSION, "--undo")
    assert site.shown() == ["12"]
    assert "no withdrawn film" in site.run("withdraw", ACCESSION, "--undo", exit_code=1)
    assert site.node.accept(OTHER) is False


def test_an_operator_withdraws_on_the_page_and_a_viewer_does_not(site: Site) -> None:
    with Process.open(load(site.config)) as process, server.serve(process) as address:
        with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
            client.post("/login", data={"name": "reader", "password": PASSWORD})
            assert client.get("/actions/withdraw?study=1").status_code == 403
            assert "Withdraw or issue anew" not in client.get("/studies/1").text
            assert client.post("/actions/withdraw", data={"study": 1}).status_code == 403
        with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
            client.post("/login", data={"name": "op", "password": PASSWORD})
            form = {"study": 1, "token": token_of(client), "note": "wrong patient"}
            assert "Rejected for Patient Safety Reasons" in client.get("/actions/withdraw?study=1").text
            assert client.post("/actions/withdraw", data={"study": 1, "token": "x"}).status_code == 403
            assert client.post("/actions/reissue", data=form).status_code == 303
            site.work()
            assert (site.shown(), len(site.archive.notes)) == (["12"], 1)
            assert "in no report" not in client.get("/studies/1").text + client.get("/films/1").text
            assert client.post("/actions/withdraw", data={**form, "cause": "worklist"}).status_code == 303
            assert client.post("/actions/withdraw", data=form).status_code == 409
            assert client.post("/actions/reissue", data=form).status_code == 409
            site.work()
            assert site.shown() == []
            page = client.get("/studies/1").text
            assert "wrong patient" in page
            assert page.count("rejected: Incorrect Modality Worklist Entry; in no report") == 2
            assert page.count('<li class="rejected">') == 2
            film = client.get("/films/1").text
            assert '<p class="rejected-mark">Rejected: Incorrect Modality Worklist Entry</p>' in film
            assert film.count('<li class="rejected">') == 2
            assert client.post("/actions/withdraw/undo", data=form).status_code == 303
            site.work()
            assert site.shown() == ["12"]
