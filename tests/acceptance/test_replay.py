"""Reproducible readings: report and job name the model, and `cxr-node replay` reads a film again."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cxr_node.cli.app import app
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.db.point_tables import point
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import finding
from cxr_node.domain.clock import utc_now
from cxr_node.domain.identifiers import digest_of
from cxr_node.report import codes
from cxr_node.report.sr.tree import items, name_of
from cxr_node.wiring import preprocessing
from cxr_node.wiring.audit import unrecorded
from cxr_node.wiring.live_settings import LiveSettings
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader
from tests.support import films, tiny_bundles
from tests.support.node import InProcessNode
from tests.support.running_node import opened, settings_file

Command = Callable[..., Result]


def network_digest() -> str:
    """Return the digest of the network that reads."""
    return digest_of(tiny_bundles.whole_network())


NEXT = ((r'version = "1.2.3"', 'version = "2.0.0"'),)
READ, COMPOSED, LATERAL = 1, 3, 2
"""Job numbers."""


def with_bundle(config: Path, folder: Path) -> None:
    """Let the settings name a bundle."""
    lines = [line for line in config.read_text(encoding="utf-8").splitlines() if not line.startswith("bundle")]
    at = lines.index("[read]") + 1
    config.write_text("\n".join([*lines[:at], f"bundle = {json.dumps(str(folder))}", *lines[at:]]), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Site:
    """A node that has read a film with its real reader and set another aside, and a copy of its folder."""

    folder: Path
    copy: Path
    node: InProcessNode

    @property
    def config(self) -> Path:
        """The settings of the node."""
        return self.folder / "node" / "cxr-node.toml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A node in a folder that each test finds as at first."""
    folder = tmp_path_factory.mktemp("replay") / "site"
    config = settings_file(folder / "node")
    with_bundle(
        config,
        tiny_bundles.whole_bundle(folder / "bundle", changes=((r"distance_limit = .*", "distance_limit = 1e6"),)),
    )
    settings = load(config)
    with opened(settings) as database:
        settings.node.data_folder.mkdir(parents=True)
        migrate.upgrade(database)
        reader = open_reader(Process(live=LiveSettings(settings), audit=unrecorded(settings, utc_now)))
        node = InProcessNode(
            database,
            settings.node.data_folder,
            network=lambda: reader,
            rules=preprocessing.read_rules(settings),
        )
        node.accept(films.dx(rows=300, columns=280))
        node.accept(films.dx(seed=1, changes={"ViewPosition": "LL", "ViewCodeSequence": None}))
        node.work()
        assert [job.state for job in node.jobs(Stage.READ)] == [State.DONE, State.NOT_ANALYSED]
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    return Site(folder, copy, node)


@pytest.fixture
def config(site: Site) -> Path:
    shutil.rmtree(site.folder)
    shutil.copytree(site.copy, site.folder)
    return site.config


@pytest.fixture
def cxr_node(config: Path) -> Command:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(config)])

    return run


def test_the_report_names_card_weights_preparation_and_operating_points(site: Site) -> None:
    report = next(
        report for report in site.node.pacs.reports() if report.StudyInstanceUID == films.dx().StudyInstanceUID
    )
    texts: dict[str, list[str]] = defaultdict(list)
    for _, item in items(report):
        texts[name_of(item)].append(str(item.get("TextValue", "")))

    assert "tiny" in texts[codes.ALGORITHM_NAME.value]
    assert "1.2.3" in texts[codes.ALGORITHM_VERSION.value]
    parameters = report.ContributingEquipmentSequence[-1].ContributionDescription.split("; ")
    assert f"weights SHA-256 {network_digest()}" in parameters
    assert "preparation=squash-area 32x32 of [0.0, 0.0, 1.0, 1.0]" in parameters
    assert "operating_points=tests 1" in parameters


def test_the_job_names_card_weights_preparation_and_operating_points(cxr_node: Command) -> None:
    expected = {
        "model_name": "tiny",
        "model_version": "1.2.3",
        "weights_digest": network_digest(),
        "preparation": "squash-area 32x32 of [0.0, 0.0, 1.0, 1.0]",
        "operating_points": "tests 1",
    }

    shown = json.loads(cxr_node("jobs", "show", str(READ), "--json").output)
    listed = json.loads(cxr_node("jobs", "list", "--stage", "read", "--json").output)

    assert shown.items() >= expected.items()
    assert listed[-1].items() >= expected.items()
    text = cxr_node("jobs", "show", str(READ)).output
    assert all(value in text for value in expected.values())
    for other in (LATERAL, COMPOSED):
        shown = json.loads(cxr_node("jobs", "show", str(other), "--json").output)
        assert [shown[key] for key in expected] == [None] * len(expected)


def test_a_replayed_reading_is_bit_identical(cxr_node: Command) -> None:
    again = cxr_node("replay", str(READ), "--json")

    assert again.exit_code == 0, again.output
    document = json.loads(again.output)
    assert (document["model"], document["weights_digest"]) == ("tiny 1.2.3", network_digest())
    assert (document["equal"], document["difference"]) == (True, 0.0)
    assert [score["finding"] for score in document["scores"]] == ["lung_opacity"]
    assert document["scores"][0]["stored"] == document["scores"][0]["now"]
    assert "bit-identical" in cxr_node("replay", str(READ)).output


def test_a_score_that_differs_in_its_last_bits_is_reported(config: Path, cxr_node: Command) -> None:
    with opened(load(config)) as database, database.write() as transaction:
        transaction.connection.execute(finding.update().values(score=finding.c.score + 1e-15))

    again = cxr_node("replay", str(READ), "--json")

    assert again.exit_code == 1
    assert 0 < json.loads(again.output)["difference"] < 1e-14
    assert "NOT the same: the largest difference is" in cxr_node("replay", str(READ)).output


def test_a_finding_that_disappeared_is_reported(config: Path, cxr_node: Command) -> None:
    with opened(load(config)) as database, database.write() as transaction:
        transaction.connection.execute(finding.update().values(key="effusion"))

    assert json.loads(cxr_node("replay", str(READ), "--json").output)["difference"] is None
    assert "NOT the same findings" in cxr_node("replay", str(READ)).output


def test_another_network_is_refused_naming_both(config: Path, cxr_node: Command, tmp_path: Path) -> None:
    with_bundle(config, tiny_bundles.bundle(tmp_path / "other"))

    again = cxr_node("replay", str(READ))

    assert again.exit_code == 1
    assert network_digest() in again.output
    assert digest_of(tiny_bundles.network()) in again.output


def test_a_film_read_with_an_activated_bundle_is_replayed_with_it(
    site: Site, config: Path, cxr_node: Command, tmp_path: Path
) -> None:
    assert cxr_node("bundle", "activate", str(site.folder / "bundle")).exit_code == 0
    assert cxr_node("bundle", "activate", str(tiny_bundles.bundle(tmp_path / "next", changes=NEXT))).exit_code == 0
    with_bundle(config, tiny_bundles.bundle(tmp_path / "other"))

    again = cxr_node("replay", str(READ), "--json")

    assert again.exit_code == 0, again.output
    assert json.loads(again.output)["weights_digest"] == network_digest()


def test_another_preparation_is_refused_naming_both(config: Path, cxr_node: Command, tmp_path: Path) -> None:
    smaller = ((r"(?m)^window = .*", "window = [0.1, 0.1, 0.9, 0.9]"),)
    with_bundle(config, tiny_bundles.whole_bundle(tmp_path / "other", changes=smaller))

    again = cxr_node("replay", str(READ))

    assert again.exit_code == 1
    assert "[0.0, 0.0, 1.0, 1.0]" in again.output
    assert "[0.1, 0.1, 0.9, 0.9]" in again.output


@pytest.mark.parametrize(
    ("job", "sentence"),
    [(LATERAL, "has no scores: not analysed"), (COMPOSED, "reads no film"), (99, "there is no job 99")],
)
def test_a_job_without_scores_is_not_replayed(cxr_node: Command, job: int, sentence: str) -> None:
    again = cxr_node("replay", str(job))

    assert again.exit_code == 1
    assert sentence in again.output


def test_points_and_embeddings_are_replayed_to_the_last_bit(tmp_path: Path) -> None:
    config = settings_file(tmp_path / "node", more="[gate]\nminimum_age_years = 0\n")
    with_bundle(config, tiny_bundles.pointing_bundle(tmp_path / "pointing"))
    settings = load(config)
    keeping = replace(preprocessing.read_rules(settings), keep_embeddings=True)
    with opened(settings) as database:
        settings.node.data_folder.mkdir(parents=True)
        migrate.upgrade(database)
        reader = open_reader(Process(live=LiveSettings(settings), audit=unrecorded(settings, utc_now)))
        node = InProcessNode(database, settings.node.data_folder, network=lambda: reader, rules=keeping)
        node.accept(films.dx(rows=300, columns=280))
        node.work()

    def cxr_node(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(config)])

    again = json.loads(cxr_node("replay", str(READ), "--json").output)
    same = {"point carina": True, "point tube_tip": True, "embedding of pointing 1.2.3": True}
    assert (again["equal"], again["others"]) == (True, same)
    exported = cxr_node("embeddings", "export", "--to", str(tmp_path / "films.csv"), "--json")
    assert json.loads(exported.output)["films"] == 1, exported.output
    assert (tmp_path / "films.csv").stat().st_mode & 0o777 == 0o600
    assert "names 0 models" in cxr_node("embeddings", "export", "--to", "a.npz", "--model", "other").output
    assert "ends in .npz or .csv" in cxr_node("embeddings", "export", "--to", "a.txt").output

    with opened(settings) as database, database.write() as transaction:
        transaction.connection.execute(point.update().values(column_px=point.c.column_px + 0.01))
    changed = cxr_node("replay", str(READ))
    assert changed.exit_code == 1
    assert "point carina: NOT the same" in changed.output
