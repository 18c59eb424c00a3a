"""Pictures are composed of what reading has left of a film: with the same bytes as of the film decoded again."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from cxr_node.archive.folder import FolderArchive
from cxr_node.archive.integrity import read_intact
from cxr_node.archive.reduced_films import ReducedFilms
from cxr_node.archive.store import prior_key
from cxr_node.composing.context import ComposeContext
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain import result_names
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.process_pool.executor import InProcess
from cxr_node.reading.context import ReadContext
from cxr_node.reading.preprocess import preprocess
from cxr_node.records import films as film_rows
from cxr_node.report.kinds import encapsulated_pdf, secondary_capture, tid1500
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.source import Observer, ReportedFilm
from tests.support import films, pixel_films
from tests.support.node import InProcessNode, StubNetwork
from tests.support.stub_prediction import RULES
from tests.unit.report import studies

PAINTED = (secondary_capture.PICTURE, secondary_capture.ANATOMY_PICTURE, encapsulated_pdf.ENCAPSULATED_PDF)
KINDS = (tid1500.REPORT, *PAINTED)


class Decoded(Exception):
    """A frame was to be decoded."""


def refuse(_limits: Limits, _frame: int, _samples: int) -> "subprocess.Popen[bytes]":
    raise Decoded


def node_of(
    database: Database, folder: Path, *, left: bool, start: Callable[..., "subprocess.Popen[bytes]"] | None = None
) -> InProcessNode:
    """Return a node; with `left`, reading leaves reduced films for composing."""
    archive = FolderArchive(folder / "archive")
    reduced = ReducedFilms(folder / "reduced") if left else None
    return InProcessNode(
        database,
        folder,
        executor=InProcess(ReadContext(archive=archive, rules=RULES, reduced_films=reduced)),
        compose_executor=InProcess(
            ComposeContext(
                archive=archive,
                kinds=KINDS,
                observer=Observer(),
                sandbox=None if start is None else Sandbox(Limits(), start=start),
                reduced_films=reduced,
            )
        ),
        kinds=KINDS,
    )


def compressed(syntax: UID, **changes: object) -> Dataset:
    """Return a film in a transfer syntax."""
    return dcmread(BytesIO(pixel_films.encoded(films.dx(rows=150, columns=130, changes=changes), syntax)))


@pytest.fixture
def new_database(tmp_path: Path, migrated_file: Path) -> Iterator[Callable[[str], Database]]:
    """A function that creates a database by its name."""
    with ExitStack() as stack:

        def create(name: str) -> Database:
            path = tmp_path / f"{name}.db"
            shutil.copyfile(migrated_file, path)
            database = Database(f"sqlite:///{path}")
            stack.callback(database.close)
            return database

        yield create


@pytest.mark.parametrize(
    ("syntax", "changes"),
    [
        (ExplicitVRLittleEndian, {}),
        (ExplicitVRLittleEndian, {"PatientOrientation": ["R", "F"]}),
        (ExplicitVRLittleEndian, {"PatientOrientation": None}),
        (ExplicitVRLittleEndian, {"PixelAspectRatio": [3, 2]}),
        (JPEGLosslessSV1, {}),
        (JPEG2000Lossless, {"PatientOrientation": ["F", "R"]}),
        (RLELossless, {}),
    ],
)
def test_results_have_the_same_bytes_and_nothing_is_decoded_for_them(
    syntax: UID, changes: dict[str, object], tmp_path: Path, new_database: Callable[[str], Database]
) -> None:
    film = compressed(syntax, **changes)
    decoding = node_of(new_database("decoding"), tmp_path / "decoding", left=False)
    leaving = node_of(new_database("leaving"), tmp_path / "leaving", left=True, start=refuse)
    for node in (decoding, leaving):
        node.accept(film)
        node.work()

    assert len(leaving.pacs.received) == len(KINDS)
    assert leaving.pacs.received == decoding.pacs.received
    assert list((tmp_path / "leaving" / "reduced").iterdir()) == []


def test_a_film_that_is_not_there_any_more_is_decoded(tmp_path: Path, new_database: Callable[[str], Database]) -> None:
    film = compressed(JPEGLosslessSV1)
    nodes = [node_of(new_database(name), tmp_path / name, left=True) for name in ("removed", "altered", "whole")]
    for node, name in zip(nodes, ("removed", "altered", "whole"), strict=True):
        node.accept(film)
        node.turn(Stage.READ)
        (path,) = (tmp_path / name / "reduced").iterdir()
        if name == "removed":
            path.unlink()
        if name == "altered":
            path.write_bytes(path.read_bytes()[:-1] + b"\0")
        node.work()

    removed, altered, whole = (node.pacs.received for node in nodes)
    assert len(whole) == len(KINDS)
    assert removed == altered == whole


def test_a_film_damaged_after_it_was_read_is_in_no_picture(
    tmp_path: Path, new_database: Callable[[str], Database]
) -> None:
    node = node_of(new_database("node"), tmp_path, left=True)
    node.accept(films.dx())
    node.turn(Stage.READ)
    (path,) = (tmp_path / "archive" / "films").glob("*/*.dcm")
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)

    node.work()

    assert {report.Modality for report in node.pacs.reports()}.isdisjoint({"OT"})
    assert list((tmp_path / "reduced").iterdir()) == []


def test_fetched_films_and_refused_ones_are_not_left(tmp_path: Path, new_database: Callable[[str], Database]) -> None:
    """The former have no results, the latter no picture."""
    database = new_database("node")
    node = node_of(database, tmp_path, left=True)
    node.accept(films.dx(seed=1))
    node.accept(films.dx(seed=2, changes={"BodyPartExamined": "HAND", "ViewPosition": "LL"}))
    with database.read() as connection:
        read, refused = (film_rows.get(connection, film_id) for film_id in (1, 2))
    key = prior_key(read.digest)
    node.archive.put(key, read_intact(node.archive, read))
    reduced = ReducedFilms(tmp_path / "reduced")
    context = ReadContext(archive=node.archive, rules=RULES, reduced_films=reduced)
    for film in (replace(read, archive_key=key), refused):
        preprocess(context, film, adapter=StubNetwork())
    assert (reduced.get(read.digest), reduced.get(refused.digest)) == (None, None)

    preprocess(context, read, adapter=StubNetwork())
    assert reduced.get(read.digest) is not None


def test_the_settings_know_the_results_that_show_the_film() -> None:
    """Reading leaves films for these kinds alone."""
    film = studies.read(films.cr())
    loaded: list[ReportedFilm] = []
    request = studies.request([film])

    def load(film: ReportedFilm) -> ReducedFilm | None:
        loaded.append(film)
        return request.load_film(film)

    painted = set()
    for kind in RESULT_KINDS:
        loaded.clear()
        kind.compose(replace(request, load_film=load))
        if loaded:
            painted.add(kind.name)

    assert painted == result_names.PAINTED
