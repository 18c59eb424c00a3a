"""Cascade in a whole node, from settings to database, results, page and replay, with small exported bundles."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset
from typer.testing import CliRunner

from cxr_node.cli.app import app
from cxr_node.config import ConfigurationError, load
from cxr_node.db import migrate
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import GiveUp, RetryLater
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.reading import Reading
from cxr_node.domain.reasons import Reason
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.reader import Reader
from cxr_node.queries import browse, view_rows
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import films as film_records
from cxr_node.records import readings
from cxr_node.report import codes
from cxr_node.report.kinds import registry, tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.sr.tree import children_of, items, name_of
from cxr_node.wiring import preprocessing
from cxr_node.wiring.cascade import ReadNetwork
from cxr_node.wiring.process import Process
from cxr_node.wiring.read import open_reader
from tests.support import films, tiny_bundles
from tests.support.node import LAST_ATTEMPT, InProcessNode
from tests.support.running_node import settings_file

ALWAYS = tuple((rf"{name} = 0\.\d", f"{name} = 0.0") for name in ("score", "undetermined_from", "undetermined_to"))
NEVER = tuple((rf"{name} = 0\.\d", f"{name} = 1.0") for name in ("score", "undetermined_from", "undetermined_to"))
EFFUSION = (
    (r'name = "tiny"', 'name = "fluid"'),
    (r'"lung_opacity"', '"effusion"'),
    (r'value = "112001", scheme_designator = "DCM", meaning = "Opacity"',
     'value = "60046008", scheme_designator = "SCT", meaning = "Pleural effusion"'),
)  # fmt: skip
FAR = ((r"distance_limit = .*", "distance_limit = 1e6"),)


@dataclass
class CascadeNode:
    """A node in this process whose network is that of its settings."""

    node: InProcessNode
    config: Path
    network: ReadNetwork

    def read(self, film: Dataset) -> Reading:
        """Accept a film, run everything, and return its stored reading."""
        self.node.accept(film)
        self.node.work()
        with self.node.database.read() as connection:
            row = view_rows.rows(connection, VIEWS["v1_films"], limit=1)[0]
            identity = film_records.get(connection, row["film_id"]).identity
            reading = readings.latest(connection, row["film_id"], identity)
        assert reading is not None
        return reading

    def rows(self, view: str) -> list[dict[str, object]]:
        with self.node.database.read() as connection:
            return view_rows.rows(connection, VIEWS[view])

    def command(self, *arguments: str) -> str:
        ended = CliRunner().invoke(app, [*arguments, "--config", str(self.config)], env={"COLUMNS": "200"})
        assert ended.exit_code == 0, ended.output
        return ended.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with bundles: opacity (with every output), effusion that is always and never present."""
    tiny_bundles.whole_bundle(tmp_path / "opacity", changes=(*ALWAYS, *FAR))
    tiny_bundles.bundle(tmp_path / "fluid", changes=(*EFFUSION, *ALWAYS))
    tiny_bundles.bundle(tmp_path / "none", changes=(*EFFUSION, *NEVER, (r'"fluid"', '"none"')))
    return tmp_path


def config_of(folder: Path, *entries: str) -> Path:
    tables = "\n".join(f"[[read.cascade]]\n{entry}" for entry in entries)
    path = settings_file(folder / "node", more=f"[gate]\nminimum_age_years = 0\n{tables}")
    own = f'[read]\nbundle = "{folder / "opacity"}"\n'
    path.write_text(path.read_text(encoding="utf-8").replace("[read]\n", own), encoding="utf-8")
    return path


class Nodes:
    """Opens nodes and closes them after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *entries: str, kinds: Sequence[ResultKind] = (tid1500.REPORT,)) -> Iterator[CascadeNode]:
        config = config_of(self.folder, *entries)
        settings = load(config)
        settings.node.data_folder.mkdir(parents=True)
        with Process.open(settings) as process:
            migrate.upgrade(process.database)
            network = ReadNetwork(process, open_reader)
            node = InProcessNode(
                process.database,
                settings.node.data_folder,
                network=network.current,
                last_network=network.last,
                rules=preprocessing.read_rules(settings),
                kinds=kinds,
            )
            yield CascadeNode(node=node, config=config, network=network)


@pytest.fixture
def two(folder: Path) -> Iterator[CascadeNode]:
    """Opacity, then effusion where there is an opacity."""
    yield from Nodes(folder)("", f'bundle = "{folder / "fluid"}"\nfinding = "lung_opacity"')


def models_in(report: Dataset) -> dict[str, tuple[str, str]]:
    """Return name and version of the algorithm of each finding of a TID 1500 report."""
    groups = [item for _, item in items(report) if name_of(item) == codes.MEASUREMENT_GROUP.value]
    models: dict[str, tuple[str, str]] = {}
    for group in groups:
        rows = children_of(group)
        texts = {name_of(row): str(row.TextValue) for row in rows if row.ValueType == "TEXT"}
        row = next((row for row in rows if name_of(row) == codes.FINDING.value), None)
        if row is not None and codes.ALGORITHM_NAME.value in texts:
            name, version = texts[codes.ALGORITHM_NAME.value], texts[codes.ALGORITHM_VERSION.value]
            models[str(row.ConceptCodeSequence[0].CodeMeaning)] = (name, version)
    return models


def text_of(result: Dataset) -> str:
    """Return every value of a result, one a line."""
    return "\n".join(str(element.value) for element in result.iterall() if element.VR not in ("SQ", "OB", "OW"))


def a_film(seed: int = 0, **changes: object) -> Dataset:
    return films.dx(seed=seed, rows=300, columns=280, changes=changes)


def test_one_report_names_the_model_of_each_finding(two: CascadeNode) -> None:
    reading = two.read(a_film())

    report = next(result for result in two.node.pacs.reports() if result.SOPClassUID.endswith(".88.34"))
    assert models_in(report) == {"Opacity": ("tiny", "1.2.3"), "Pleural effusion": ("fluid", "1.2.3")}
    equipment = {
        str(item.get("ManufacturerModelName")): str(item.get("ContributionDescription"))
        for item in report.ContributingEquipmentSequence
    }
    assert f"weights SHA-256 {digest_of(tiny_bundles.whole_network())}; " in equipment["tiny"]
    assert f"weights SHA-256 {digest_of(tiny_bundles.network())}; " in equipment["fluid"]
    assert reading.prediction is not None
    assert [step.state for step in reading.prediction.steps] == ["answered", "answered"]


def test_every_kind_of_result_names_the_models(folder: Path) -> None:
    fluid = f'bundle = "{folder / "fluid"}"\nfinding = "lung_opacity"'
    for two in Nodes(folder)("", fluid, kinds=registry.RESULT_KINDS):
        two.read(a_film())
        texts = {str(result.SOPClassUID): text_of(result) for result in two.node.pacs.reports()}
    kinds = {kind.name: texts.get(kind.result_type.sop_class_uid, "") for kind in registry.RESULT_KINDS}
    assert "[tiny 1.2.3]" in kinds["text"]
    assert "[fluid 1.2.3]" in kinds["text"]
    assert f"fluid 1.2.3, SHA-256 {digest_of(tiny_bundles.network())}" in kinds["text"]
    for name in ("report", "report-comprehensive", "report-enhanced", "key-images"):
        assert all(model in kinds[name] for model in ("tiny", "fluid")), name
    assert "[fluid 1.2.3]" in kinds["presentation-state"]
    assert "tiny" in kinds["chest-cad"]
    for text in kinds.values():
        assert not text or "Analysis of the image; weights SHA-256 " + digest_of(tiny_bundles.network()) in text


def test_rows_views_and_page_name_the_model_of_each_finding(two: CascadeNode) -> None:
    two.read(a_film())

    named = {(row["key"], row["model_name"], row["model_version"]) for row in two.rows("v1_findings")}
    assert named == {("lung_opacity", "tiny", "1.2.3"), ("effusion", "fluid", "1.2.3")}
    digests = {row["key"]: row["weights_digest"] for row in two.rows("v1_findings")}
    assert digests["effusion"] == digest_of(tiny_bundles.network())
    steps = sorted(two.rows("v1_cascade"), key=lambda row: str(row["ordinal"]))
    assert [(row["name"], row["model_name"], row["state"]) for row in steps] == [
        ("read.bundle", "tiny", "answered"),
        (str(two.config.parent.parent / "fluid"), "fluid", "answered"),
    ]
    with two.node.database.read() as connection:
        detail = browse.film_detail(connection, 1)
    assert detail is not None
    assert len(detail["cascade"]) == 2


def test_a_bundle_whose_condition_is_not_met_reads_nothing_and_says_why(folder: Path) -> None:
    entries = ("", f'bundle = "{folder / "none"}"', f'bundle = "{folder / "fluid"}"\nfinding = "effusion"')
    for node in Nodes(folder)(*entries):
        reading = node.read(a_film())

        assert reading.prediction is not None
        assert [(step.state, step.detail) for step in reading.prediction.steps][2] == ("not_read", "effusion is absent")
        assert node.rows("v1_second_opinions") == []


def test_the_same_finding_of_a_later_bundle_is_a_second_opinion(folder: Path) -> None:
    entries = ("", f'bundle = "{folder / "fluid"}"', f'bundle = "{folder / "none"}"')
    for node in Nodes(folder)(*entries):
        reading = node.read(a_film())

        assert reading.prediction is not None
        assert [finding.key for finding in reading.prediction.findings] == ["lung_opacity", "effusion"]
        (opinion,) = node.rows("v1_second_opinions")
        assert (opinion["model_name"], opinion["presence"]) == ("none", "absent")
        assert (opinion["answer_model_name"], opinion["answer_presence"]) == ("fluid", "present")
        report = next(result for result in node.node.pacs.reports() if result.SOPClassUID.endswith(".88.34"))
        assert models_in(report)["Pleural effusion"][0] == "fluid"


def test_adults_and_children_are_read_by_their_own_bundles(folder: Path) -> None:
    entries = ("from_age_years = 16", f'bundle = "{folder / "fluid"}"\nbelow_age_years = 16')
    for node in Nodes(folder)(*entries):
        adult = node.read(a_film(PatientAge="050Y"))
        child = node.read(a_film(seed=1, PatientAge="015Y"))

        assert [reading.prediction and reading.prediction.model.name for reading in (adult, child)] == ["tiny", "fluid"]


def test_a_film_that_no_bundle_reads_gets_a_report_with_the_reason(folder: Path) -> None:
    for node in Nodes(folder)("from_age_years = 90"):
        reading = node.read(a_film(PatientAge="050Y"))

        assert reading.not_analysed is Reason.NO_MODEL
        assert "younger than 90 years" in reading.detail
        assert [job.state for job in node.node.jobs(Stage.READ)] == [State.NOT_ANALYSED]
        assert any("No model is configured" in text_of(result) for result in node.node.pacs.reports())


def test_the_film_is_answered_when_a_later_bundle_fails(two: CascadeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = two.network._named[str(two.config.parent.parent / "fluid")]

    def fail(_batch: object) -> None:
        raise GiveUp(Reason.MODEL_ERROR, "fluid 1.2.3: not finite")

    monkeypatch.setattr(failing, "forward", fail)

    reading = two.read(a_film())

    assert reading.prediction is not None
    assert [finding.key for finding in reading.prediction.findings] == ["lung_opacity"]
    report = next(result for result in two.node.pacs.reports() if result.SOPClassUID.endswith(".88.34"))
    assert report.CompletionFlag == "PARTIAL"
    assert "One of several models failed; its findings are missing" in text_of(report)
    assert "fluid 1.2.3: not finite" in text_of(report)
    assert codes.PART_WITH_FINDINGS.meaning in text_of(report)
    (failed,) = (row for row in two.rows("v1_cascade") if row["state"] == "failed")
    assert failed["reason"] == "MODELERROR"


def test_a_later_bundle_that_is_away_is_waited_for_and_then_left_out(
    two: CascadeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = two.network._named[str(two.config.parent.parent / "fluid")]
    attempts: list[object] = []

    def fail(batch: object) -> None:
        attempts.append(batch)
        raise RetryLater("the server of fluid is away")

    monkeypatch.setattr(away, "forward", fail)
    two.node.accept(a_film())
    two.node.work()
    states = [job.state for job in two.node.jobs(Stage.READ)]
    for _ in range(LAST_ATTEMPT):
        two.node.clock.advance(seconds=60)
        two.node.work()

    assert states == [State.WAITING]
    assert [job.state for job in two.node.jobs(Stage.READ)] == [State.DONE]
    assert len(attempts) == LAST_ATTEMPT
    (failed,) = (row for row in two.rows("v1_cascade") if row["state"] == "failed")
    assert failed["detail"] == "the server of fluid is away"
    assert [row["key"] for row in two.rows("v1_findings")] == ["lung_opacity"]


def test_a_film_of_a_cascade_is_replayed_bit_for_bit(two: CascadeNode) -> None:
    two.read(a_film())

    document = json.loads(two.command("replay", "1", "--json"))

    assert document["equal"] is True
    assert [score["finding"] for score in document["scores"]] == ["lung_opacity", "effusion"]
    assert [model["model"] for model in document["models"]] == ["tiny 1.2.3", "fluid 1.2.3"]


def test_a_film_read_again_replaces_its_steps(two: CascadeNode) -> None:
    two.read(a_film())
    two.command("jobs", "retry", "1")
    two.node.work()

    assert len(two.rows("v1_cascade")) == 2


def test_a_bundle_named_twice_is_opened_once(folder: Path) -> None:
    fluid = f'bundle = "{folder / "fluid"}"'
    opened_folders: list[Path | None] = []

    def opening(process: Process, path: Path | None) -> Reader:
        opened_folders.append(path)
        return open_reader(process, path)

    config = config_of(folder, "", f'{fluid}\nviews = ["PA"]', f'{fluid}\nviews = ["AP"]')
    settings = load(config)
    settings.node.data_folder.mkdir(parents=True)
    with Process.open(settings) as process:
        migrate.upgrade(process.database)
        ReadNetwork(process, opening)

    assert opened_folders == [folder / "fluid", None]


def test_a_condition_on_a_finding_of_no_earlier_bundle_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"read\.cascade\.1\.finding: no earlier bundle"):
        next(iter(Nodes(folder)("", f'bundle = "{folder / "fluid"}"\nfinding = "mass"')))


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (["from_age_years = 16\nbelow_age_years = 16"], "must be less than"),
        (["least_score = 0.5"], "needs read.cascade.0.finding"),
        (['finding = "lung_opacity"'], "no bundle reads before the first"),
    ],
)
def test_conditions_that_no_film_meets_are_refused(folder: Path, entries: list[str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load(config_of(folder, *entries))
