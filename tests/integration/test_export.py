"""De-identified export: no canary in any byte, whole references, valid objects; folder, destination and audit trail."""

import csv
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset
from typer.testing import CliRunner

from cxr_node.archive.folder import FolderArchive
from cxr_node.cli.app import app
from cxr_node.composing.context import ComposeContext
from cxr_node.config import load
from cxr_node.db import migrate
from cxr_node.domain.identifiers import Uid
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction, Structure
from cxr_node.domain.result_names import RESULT_NAMES
from cxr_node.export import study as study_export
from cxr_node.export.film import LeftOut, deidentified_film
from cxr_node.export.options import Option
from cxr_node.export.study import StudyExport, StudyRequest, export_study
from cxr_node.queries import exports, view_rows
from cxr_node.queries.tables.paging import page
from cxr_node.queries.tables.registry import TABLES
from cxr_node.queries.tables.selection import SelectionText, parse_selection
from cxr_node.queries.views.registry import VIEWS
from cxr_node.records import dismissals, readings
from cxr_node.records import films as film_rows
from cxr_node.report.source import Observer
from cxr_node.simulators.pacs import SimulatedPacs
from tests.support import canaries, films, validators
from tests.support.node import InProcessNode, StubNetwork, with_region
from tests.support.peers import program
from tests.support.running_node import opened, settings_file, to_pacs
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql


SECRET = "a secret of the tests, not of a node"  # noqa: S105  # for pseudonyms of synthetic films
SQUARE = ((4.0, 4.0), (20.0, 4.0), (20.0, 30.0))
ALL_BUT_DEVICE = frozenset(Option) - {Option.DEVICE}


def outlined(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
    """Return predictions with places, so that every kind of result is composed."""
    heart = Structure(
        key="heart", confidence=0.9, regions=with_region(prediction(radiographs)[0], SQUARE).findings[0].regions
    )
    return tuple(replace(with_region(one, SQUARE), structures=(heart,)) for one in prediction(radiographs))


class Exporting:
    """A node with read films, its settings file, and its exports."""

    def __init__(self, config: Path, node: InProcessNode) -> None:
        self.config, self.node = config, node

    def take(self, *datasets: Dataset) -> None:
        """Receive films and read them."""
        for film in datasets:
            self.node.accept(film)
        self.node.work()

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run `cxr-node export` and return its output."""
        command = ["export", *arguments, "--config", str(self.config)]
        ended = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert ended.exit_code == exit_code, ended.output
        return ended.output

    def study(
        self, study_id: int, options: frozenset[Option], *, secret: str = SECRET, kinds: Sequence[str] = RESULT_NAMES
    ) -> StudyExport:
        """Return the export of a study."""
        with self.node.database.read() as connection:
            received = film_rows.of_study(connection, study_id)
            read = [(film, readings.latest(connection, film.film_id, film.identity)) for film in received]
        request = StudyRequest(
            films=[(film, reading) for film, reading in read if reading is not None],
            kinds=kinds,
            options=options,
            secret=secret,
            composed_at=self.node.clock(),
        )
        archive = FolderArchive(load(self.config).node.data_folder / "archive")
        named = Observer(name="CANARYNODE", serial_number="CANARY4711")
        return export_study(ComposeContext(archive=archive, kinds=(), observer=named), request)


@contextmanager
def running(folder: Path, url: str, *, destinations: tuple[Mapping[str, object], ...] = ()) -> Iterator[Exporting]:
    """Open a node with a secret of exports, on an empty database."""
    secret = f'[export]\nsecret = "{SECRET}"'
    config = settings_file(folder / "node", database_url=url, more=secret, destinations=destinations)
    settings = load(config)
    with opened(settings) as database:
        migrate.upgrade(database)
        yield Exporting(config, InProcessNode(database, settings.node.data_folder, reader=StubNetwork(answer=outlined)))


@pytest.fixture
def exporting(tmp_path: Path, migrated_file: Path) -> Iterator[Exporting]:
    shutil.copyfile(migrated_file, tmp_path / "node.db")
    with running(tmp_path, f"sqlite:///{tmp_path / 'node.db'}") as node:
        yield node


def contents(study: StudyExport) -> list[bytes]:
    """Return the files of an export."""
    return [one.instance.content for one in study.objects]


def parsed(study: StudyExport) -> list[FileDataset]:
    """Return the objects of an export."""
    return [dcmread(BytesIO(content)) for content in contents(study)]


def uids(dataset: Dataset, keyword: str) -> set[str]:
    """Return the values of a UID in a data set and its items."""
    return {str(element.value) for element in dataset.iterall() if element.keyword == keyword}


@pytest.mark.parametrize("studies", [2, pytest.param(15, marks=pytest.mark.long)])
def test_no_byte_of_exported_objects_has_a_canary(exporting: Exporting, studies: int) -> None:
    numbers = range(1, studies + 1)
    exporting.take(*(canaries.film(number, patient=number, study=number) for number in numbers))

    exported = [exporting.study(number, ALL_BUT_DEVICE if number % 2 else frozenset()) for number in numbers]

    objects = [one for study in exported for one in study.objects]
    assert {one.kind for one in objects} >= {"film", "report", "picture", "pdf", "segmentation", "presentation-state"}
    assert len(objects) >= 14 * studies, [study.left_out for study in exported]
    for one in objects:
        content = canaries.unpacked(one.instance.content)
        assert [sought for sought in canaries.SOUGHT if sought in content] == [], one.kind


def test_what_is_sought_is_in_the_films_themselves() -> None:
    out = BytesIO()
    canaries.film(1, patient=1, study=1).save_as(out, enforce_file_format=True)

    assert [sought for sought in canaries.SOUGHT[:6] if sought not in out.getvalue()] == []


def test_each_object_is_marked_and_refers_to_objects_of_the_export(exporting: Exporting) -> None:
    exporting.take(canaries.film(1, patient=1, study=1), canaries.film(2, patient=1, study=1))

    objects = parsed(exporting.study(1, frozenset({Option.MODIFIED_DATES})))

    exported = {str(one.SOPInstanceUID) for one in objects}
    for one in objects:
        assert one.PatientIdentityRemoved == "YES"
        assert one.LongitudinalTemporalInformationModified == "MODIFIED"
        codes = [item.CodeValue for item in one.DeidentificationMethodCodeSequence]
        of_results = [] if one.Modality == "DX" else ["113105"]
        assert codes == ["113100", "113103", "113104", *of_results, "113107"]
        assert one.get("BurnedInAnnotation", "NO") == "NO"
        assert uids(one, "ReferencedSOPInstanceUID") <= exported
        assert uids(one, "StudyInstanceUID") == {str(objects[0].StudyInstanceUID)}
    assert len(exported) == len(objects) >= 15


def test_a_secret_gives_the_same_pseudonyms_and_another_others(exporting: Exporting) -> None:
    exporting.take(films.dx(seed=1), films.dx(seed=2))

    first, again = exporting.study(1, frozenset(Option)), exporting.study(1, frozenset(Option))
    same_patient = exporting.study(2, frozenset(Option))
    other = exporting.study(1, frozenset(Option), secret=SECRET[::-1])

    assert contents(first) == contents(again)
    assert first.pseudonym == same_patient.pseudonym != other.pseudonym
    known = {str(one.SOPInstanceUID) for one in parsed(first)}
    assert known.isdisjoint(str(one.SOPInstanceUID) for one in parsed(other))
    assert parsed(first)[0].StudyDate == parsed(same_patient)[0].StudyDate != parsed(other)[0].StudyDate


def test_exported_objects_are_as_valid_as_their_sources(exporting: Exporting, tmp_path: Path) -> None:
    program("dciodvfy")
    exporting.take(films.dx(seed=1), films.cr(seed=2), films.sc(seed=3))

    for options in (frozenset[Option](), frozenset(Option)):
        for number in (1, 2, 3):
            for one in exporting.study(number, options).objects:
                path = tmp_path / f"{one.kind}.dcm"
                path.write_bytes(one.instance.content)
                assert validators.iod_errors(path) == [], one.kind


def faults(path: Path) -> set[str]:
    """Return the errors of dciodvfy without the UIDs that they quote."""
    return {re.sub(r"<[0-9.]+>", "", error) for error in validators.iod_errors(path)}


@films.needs_real_films
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of UIDs and character sets of these films
def test_exported_real_films_are_as_valid_as_they_were(exporting: Exporting, tmp_path: Path) -> None:
    """Films of several makers in eight transfer syntaxes; one has text burned in that the header does not state."""
    program("dciodvfy")
    exported = tmp_path / "film.dcm"
    left_out: list[str] = []
    for path in sorted((films.FILMS / "dicom").glob("*.dcm")):
        exporting.take(films.with_file_meta(path))
        with exporting.node.database.read() as connection:
            studies = exports.selected_films(connection)
        study = exporting.study(studies[-1].study_id, frozenset(Option), kinds=())
        left_out += [path.stem for _ in study.left_out]
        for one in study.objects:
            exported.write_bytes(one.instance.content)
            assert faults(exported) <= faults(path), path.name

    assert "pseudo_phi_RLE" in left_out
    assert len(left_out) < 6


def test_text_in_the_picture_leaves_a_film_out(exporting: Exporting) -> None:
    declared = films.dx(seed=1, changes={"BurnedInAnnotation": "YES"})
    exporting.take(declared, films.dx(seed=2, changes={"StudyInstanceUID": declared.StudyInstanceUID}))

    planned = json.loads(exporting.run("--since", "2020-01-01", "--dry-run", "--json"))
    study = exporting.study(1, frozenset())

    assert (planned["films"], list(planned["left_out"].values())) == (1, [1])
    assert [one.kind for one in study.objects].count("film") == 1
    assert list(study.left_out.values()) == [1]


def test_a_study_of_two_patients_is_left_out(exporting: Exporting) -> None:
    first = films.dx(seed=1)
    exporting.take(first, films.dx(seed=2, changes={"StudyInstanceUID": first.StudyInstanceUID, "PatientID": "OTHER"}))

    study = exporting.study(1, frozenset())

    assert (study.objects, sum(study.left_out.values())) == ((), 2)


def test_the_command_writes_a_folder_with_a_manifest(exporting: Exporting, tmp_path: Path) -> None:
    exporting.take(films.dx(seed=1), films.dx(seed=2))
    folder = tmp_path / "out"

    first = exporting.run(str(folder), "--table", "findings", "--where", "score>70", "--retain", "modified-dates")
    again = exporting.run(str(folder), "--since", "2020-01-01", "--retain", "modified-dates")

    assert "to export: 2 films of 2 studies" in first
    assert "there already: 2 studies" in again
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} >= {"film", "report", "picture", "pdf"}
    assert {row["file"] for row in rows} == {str(path.relative_to(folder)) for path in folder.rglob("*.dcm")}
    assert len({row["patient_id"] for row in rows}) == 1
    text = "".join((folder / name).read_text(encoding="utf-8") for name in ("manifest.csv", "conditions.json"))
    assert films.PATIENT_ID not in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--retain", "device"), "another secret, options or results"),
        (("--result", "nonsense"), "is no result"),
        (("--retain", "nonsense"), "expected one of"),
        (("--where", "nonsense=1"), "has no column"),
    ],
)
def test_other_conditions_are_refused(
    exporting: Exporting, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    exporting.take(films.dx(seed=1))
    exporting.run(str(tmp_path / "out"), "--since", "2020-01-01", "--result", "none")

    ended = exporting.run(str(tmp_path / "out"), "--since", "2020-01-01", *arguments, exit_code=1)

    assert expected in ended


def test_an_interrupted_export_goes_on(exporting: Exporting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporting.take(films.dx(seed=1), films.dx(seed=2))
    folder = tmp_path / "out"
    rename, renamed = Path.rename, []

    def full(path: Path, target: Path) -> Path:
        if path.name.startswith(".partial-"):
            renamed.append(path)
            if len(renamed) == 2:
                raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    sentence = exporting.run(str(folder), "--since", "2020-01-01", "--result", "none", exit_code=1)
    left = [path.name for path in folder.iterdir() if path.is_dir()]
    monkeypatch.undo()
    (folder / ".partial-1.2.3").mkdir()
    ended = exporting.run(str(folder), "--since", "2020-01-01", "--result", "none")

    assert "No space left on device" in sentence
    assert len(left) == 1
    assert not left[0].startswith(".")
    assert "there already: 1 study" in ended
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == [".lock"]
    assert len(list(folder.glob("*/*.dcm"))) == 2
    failed, completed = listed(exporting)
    assert (failed["outcome"], failed["studies"], failed["objects"]) == ("failed", 1, 1)
    assert "No space left on device" in failed["detail"]
    assert (completed["outcome"], completed["studies"], completed["present_studies"]) == ("completed", 1, 1)


def listed(exporting: Exporting) -> list[dict[str, Any]]:
    """Return the rows of the list of exports, the oldest first."""
    with exporting.node.database.read() as connection:
        return sorted(view_rows.rows(connection, VIEWS["v1_exports"]), key=itemgetter("export_id"))


def test_the_list_of_exports_names_no_patient_and_no_film(exporting: Exporting, tmp_path: Path) -> None:
    film, burned_in = films.dx(seed=1), films.dx(seed=2, changes={"BurnedInAnnotation": "YES"})
    exporting.take(film, burned_in)
    secret = tmp_path / "project.secret"
    secret.write_text(SECRET[::-1], encoding="utf-8")
    one = f"study_instance_uid={film.StudyInstanceUID}"

    exporting.run(str(tmp_path / "a"), "--study", str(film.StudyInstanceUID), "--secret-file", str(secret))
    exporting.run(
        str(tmp_path / "b"), "--where", one, "--where", "state=done", "--result", "none", "--retain", "device"
    )
    exporting.run(str(tmp_path / "c"), "--since", "2020-01-01", "--until", "2100-01-01", "--result", "report")

    rows = listed(exporting)
    with exporting.node.database.read() as connection:
        text = SelectionText(since="all")
        selection = parse_selection(TABLES["exports"], text, now=exporting.node.clock(), sees_films=False)
        shown = page(connection, selection, limit=10).rows
    everything = json.dumps([rows, shown], default=str)
    for hidden in (film.PatientID, film.StudyInstanceUID, film.SOPInstanceUID, SECRET, SECRET[::-1]):
        assert str(hidden) not in everything
    assert [row["export_id"] for row in shown] == [3, 2, 1]
    assert [row["selection"] for row in rows] == [
        "one study",
        "films with study_instance_uid=... and state=done",
        "since 2020-01-01, until 2100-01-01",
    ]
    assert [row["conditions"] for row in rows[1:]] == ["retains device; no results", "basic profile; report"]
    assert [(row["outcome"], row["target"]) for row in rows] == [("completed", str(tmp_path / name)) for name in "abc"]
    assert (rows[2]["planned_films"], rows[2]["kinds"], rows[2]["objects"]) == (1, "1 film, 1 report", 2)
    assert (rows[2]["left_out"], rows[2]["reasons"]) == (1, f"1 {LeftOut.BURNED_IN}")
    assert rows[2]["begun_by"].startswith("person/")


def test_the_audit_trail_names_the_study_that_left(exporting: Exporting, tmp_path: Path) -> None:
    film = films.dx(seed=1)
    exporting.take(film)

    exporting.run(str(tmp_path / "out"), "--study", film.PatientID)

    trail = b"".join(path.read_bytes() for path in (load(exporting.config).node.data_folder / "audit").glob("*"))
    (exported,) = [line for line in trail.splitlines() if b'csd-code="110106"' in line]
    assert str(film.StudyInstanceUID).encode() in exported
    assert re.search(rb"file:///\S*/out", exported)
    assert b'ParticipantObjectID="export"' in trail


def test_the_plan_counts_films_by_the_reason_on_both_databases(tmp_path: Path, database_url: str) -> None:
    with running(tmp_path, database_url) as exporting:
        exporting.take(films.dx(seed=1), films.dx(seed=2, changes={"BurnedInAnnotation": "YES"}), films.dx(seed=3))
        dismissed = str(films.dx(seed=3).SOPInstanceUID)
        with exporting.node.database.write() as transaction:
            dismissals.dismiss_film(transaction, Uid(dismissed), detail="", actor="test", now=exporting.node.clock())
        exporting.node.accept(films.dx(seed=4))

        planned = json.loads(exporting.run("--since", "2020-01-01", "--dry-run", "--json"))
        of_table = json.loads(exporting.run("--table", "studies", "--where", "study_id<3", "--dry-run", "--json"))

    reasons = {str(LeftOut.BURNED_IN): 1, str(LeftOut.DISMISSED): 1, str(LeftOut.NOT_READ): 1}
    assert (planned["films"], planned["studies"], planned["left_out"]) == (1, 1, reasons)
    assert (of_table["films"], of_table["left_out"]) == (1, {str(LeftOut.BURNED_IN): 1})


def test_a_destination_gets_films_and_results(tmp_path: Path, migrated_file: Path) -> None:
    shutil.copyfile(migrated_file, tmp_path / "node.db")
    with SimulatedPacs(tmp_path / "pacs") as pacs:
        to = to_pacs(pacs.port, pacs.ae_title)
        with running(tmp_path, f"sqlite:///{tmp_path / 'node.db'}", destinations=(to,)) as exporting:
            exporting.take(films.dx(seed=1))
            sent = exporting.run("--destination", "pacs", "--since", "2020-01-01", "--result", "report")
            unknown = exporting.run("--destination", "other", "--since", "2020-01-01", exit_code=1)

    kinds = {str(dcmread(path).Modality): dcmread(path) for path in (tmp_path / "pacs").glob("*.dcm")}
    assert "exported: 1 study: 1 film, 1 report" in sent
    assert "there are pacs" in unknown
    assert kinds.keys() == {"DX", "SR"}
    assert kinds["SR"].PatientID == kinds["DX"].PatientID != films.PATIENT_ID
    with running(tmp_path, f"sqlite:///{tmp_path / 'node.db'}", destinations=(to,)) as exporting:
        away = exporting.run("--destination", "pacs", "--since", "2020-01-01", exit_code=1)
    assert "pacs: no " in away


def test_a_film_that_makes_an_error_ends_no_export(exporting: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    first = films.dx(seed=1)
    exporting.take(first, films.dx(seed=2, changes={"StudyInstanceUID": first.StudyInstanceUID}))
    deidentified, calls = deidentified_film, []

    def faulty(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyError(films.PATIENT_NAME)
        return deidentified(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(study_export, "deidentified_film", faulty)
    study = exporting.study(1, frozenset(), kinds=())

    assert [one.kind for one in study.objects] == ["film"]
    assert study.left_out == {LeftOut.FAULT: 1}


def test_a_secret_is_needed_and_may_be_in_a_file(exporting: Exporting, tmp_path: Path) -> None:
    exporting.take(films.dx(seed=1))
    short, long = tmp_path / "short", tmp_path / "long"
    short.write_text("short", encoding="utf-8")
    long.write_text(SECRET[::-1], encoding="utf-8")
    selected = ("--since", "2020-01-01", "--result", "none")

    refused = exporting.run(str(tmp_path / "a"), *selected, "--secret-file", str(short), exit_code=1)
    exporting.run(str(tmp_path / "b"), *selected, "--secret-file", str(long))
    exporting.run(str(tmp_path / "c"), *selected)

    exporting.config.write_text(exporting.config.read_text(encoding="utf-8").replace(SECRET, ""), encoding="utf-8")
    unset = exporting.run(str(tmp_path / "d"), *selected, exit_code=1)
    counted = exporting.run(*selected, "--dry-run")

    assert "fewer than 32" in refused
    assert "export.secret is not set" in unset
    assert "to export: 1 film of 1 study" in counted
    names = [{path.name for path in (tmp_path / name).glob("*/*.dcm")} for name in "bc"]
    assert names[0].isdisjoint(names[1])
