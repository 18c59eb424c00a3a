"""Each reason why a film is not read reaches its job, the counts and a valid report that shows it."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless

from cxr_node import pipeline
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage, State
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Appearance, Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.phantom import film as phantom
from cxr_node.phantom.dicom import dataset
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.view import TEXTS
from cxr_node.queue import search
from cxr_node.queue.search import Count
from cxr_node.reading.context import ReadRules
from cxr_node.report.sr import tree
from tests.support import films
from tests.support.films import real
from tests.support.node import InProcessNode, StubNetwork, received
from tests.support.peers import program
from tests.support.queue import NOON, SENDER
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")  # two real films have such UIDs

SMALL = ReadRules(gate=Rules(minimum_side_pixels=16), limits=Limits(maximum_samples=10_000))


def _unread_color(film: Dataset) -> Dataset:
    film.PhotometricInterpretation, film.SamplesPerPixel, film.PlanarConfiguration = "RGB", 3, 0
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit = 7
    pixels = np.zeros((film.Rows, film.Columns, 3), np.uint8)
    pixels[..., 0] = 200
    film.PixelData = pixels.tobytes()
    return film


def _lying_fragments(film: Dataset) -> Dataset:
    film.file_meta.TransferSyntaxUID = JPEG2000Lossless
    film.PixelData = (
        b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x08\0\0\0\xff\x4f\xff\x51\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    )
    film["PixelData"].is_undefined_length = True
    return film


def _decubitus() -> Dataset:
    modifier, view = Dataset(), Dataset()
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = "102536004", "SCT", "left"
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399348003", "SCT", "antero-posterior"
    view.ViewModifierCodeSequence = [modifier]
    return view


def _gives_up(reason: Reason) -> Callable[..., tuple[()]]:
    def fail(*_: object) -> tuple[()]:
        raise GiveUp(reason, "on purpose")

    return fail


FILMS: dict[Reason, Callable[[], Dataset]] = {
    Reason.BODY_PART: lambda: films.dx(changes={"BodyPartExamined": "HIP", "AnatomicRegionSequence": None}),
    Reason.NOT_HUMAN: lambda: films.dx(changes={"PatientSpeciesDescription": "Canis lupus familiaris"}),
    Reason.VIEW: lambda: films.dx(changes={"ViewPosition": "LL", "ViewCodeSequence": None}),
    Reason.SPECIAL_VIEW: lambda: films.dx(changes={"ViewCodeSequence": [_decubitus()]}),
    Reason.QUALITY_CONTROL: lambda: films.dx(changes={"QualityControlImage": "YES"}),
    Reason.CAPTURE: lambda: films.sc(changes={"SeriesDescription": "AI heat map"}),
    Reason.TOMOSYNTHESIS: lambda: films.dx(changes={"DerivationDescription": "tomosynthesis"}),
    Reason.BONE_SUPPRESSED: lambda: films.dx(changes={"DerivationDescription": "bone suppression"}),
    Reason.DUAL_ENERGY: lambda: films.dx(changes={"DerivationDescription": "dual energy"}),
    Reason.STITCHED: lambda: films.dx(changes={"DerivationDescription": "stitched"}),
    Reason.AGE: lambda: films.dx(changes={"PatientAge": "003Y"}),
    Reason.FOR_PROCESSING: lambda: films.dx(for_processing=True),
    Reason.MULTI_FRAME: lambda: films.sc(changes={"NumberOfFrames": 2}),
    Reason.NO_PIXELS: lambda: films.dx(changes={"PixelData": None}),
    Reason.TOO_LARGE: lambda: films.dx(rows=200, columns=100),
    Reason.DECODE: lambda: _lying_fragments(films.dx()),
    Reason.COLOR: lambda: _unread_color(films.sc()),
    Reason.QUALITY: lambda: films.dx(changes={"PixelData": bytes(64 * 48 * 2)}),
    Reason.UNUSUAL: films.dx,
    Reason.TURNED: films.dx,
    Reason.NO_MODEL: films.dx,
    Reason.MODEL_ERROR: films.dx,
    Reason.TIMEOUT: films.dx,
    Reason.DAMAGED: films.dx,
}
OF_WHAT_IS_NO_FILM = {Reason.DUPLICATE, Reason.CORRECTION, Reason.DISMISSED, Reason.IDENTITY, Reason.RESULT}
"""Reasons that a study, an object or a person gives, tested with the worker, with reports and commands."""


def test_every_reason_of_a_film_is_tried() -> None:
    assert FILMS.keys() == set(Reason) - OF_WHAT_IS_NO_FILM


@pytest.mark.parametrize("reason", FILMS)
def test_the_reason_reaches_job_counts_and_a_valid_report(reason: Reason, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    migrate.upgrade(database)
    node = InProcessNode(database, tmp_path, reader=StubNetwork(_gives_up(reason)), rules=SMALL)

    node.accept(FILMS[reason]())
    node.work()

    job = node.jobs(Stage.READ)[0]
    assert (job.state, job.reason) == (State.NOT_ANALYSED, reason)
    assert job.detail
    with database.read() as connection:
        assert Count(stage=Stage.READ, state=State.NOT_ANALYSED, reason=reason, jobs=1) in search.counts(connection)
    (sent,) = node.pacs.received
    assert any(reason.meaning in text for _, text in tree.lines(dcmread(BytesIO(sent)), brief=True))
    _hold_against_dciodvfy(sent, tmp_path)
    database.close()


def _portable(*absent: str) -> Dataset:
    """Return a portable phantom's data set without some elements."""
    film = dataset(phantom.film(seed=3, view=View.AP, rows=256, columns=256), now=NOON)
    for keyword in absent:
        if keyword in film:
            delattr(film, keyword)
    return film


@pytest.mark.parametrize(
    ("film", "rules", "is_read"),
    [
        (_portable(), Rules(), True),
        (_portable(), Rules(no_chest_score=0.6), False),
        (_portable("ViewPosition", "ViewCodeSequence", *TEXTS), Rules(), False),
        (_portable("BodyPartExamined", "AnatomicRegionSequence", *TEXTS), Rules(), False),
    ],
)
def test_a_stated_frontal_chest_is_refused_only_by_a_certain_model(
    film: Dataset, rules: Rules, is_read: bool, tmp_path: Path
) -> None:
    def doubting(films: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        appearance = Appearance(view=None, score=0.7, distance=1.0, limit=4.0)
        return tuple(replace(predicted, appearance=appearance) for predicted in prediction(films))

    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    migrate.upgrade(database)
    node = InProcessNode(database, tmp_path, reader=StubNetwork(doubting), rules=ReadRules(gate=rules, limits=Limits()))

    node.accept(film)
    node.work()

    job = node.jobs(Stage.READ)[0]
    (sent,) = node.pacs.received
    note = "Stated chest doubted" in " ".join(text for _, text in tree.lines(dcmread(BytesIO(sent))))
    assert (job.state, note) == ((State.DONE, True) if is_read else (State.NOT_ANALYSED, False))
    assert job.reason == (None if is_read else Reason.BODY_PART)
    database.close()


GARBLED: dict[str, Callable[[bytes], bytes]] = {
    "a Value Representation that is none": lambda content: content.replace(b"T\0 \x02SQ", b"T\0 \x02J\0"),
    "cut off within an element": lambda content: content[: content.index(b"\xe0\x7f\x10\x00") + 10],
}


@pytest.mark.parametrize("damage", GARBLED)
def test_the_study_report_names_a_garbled_film_beside_those_read(damage: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    migrate.upgrade(database)
    node = InProcessNode(database, tmp_path, rules=ReadRules(gate=Rules(), limits=Limits()))
    film = films.dx(seed=1)
    film.StudyInstanceUID = films.dx(seed=2).StudyInstanceUID
    good = received(film)
    content = GARBLED[damage](good.content)
    garbled = replace(good, content=content, digest=digest_of(content[films.data_set_offset(content) :]))

    pipeline.accept(garbled, SENDER, archive=node.archive, database=database, clock=node.clock)
    node.accept(films.dx(seed=2))
    node.work()

    assert garbled.content != good.content
    assert [job.state for job in node.jobs(Stage.COMPOSE)] == [State.DONE]
    (sent,) = node.pacs.received
    assert {film.SOPInstanceUID, films.dx(seed=2).SOPInstanceUID} <= _named(dcmread(BytesIO(sent)))
    _hold_against_dciodvfy(sent, tmp_path)
    database.close()


def _named(report: Dataset) -> set[str]:
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    return {
        image.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }


READABLE = ["RG1_J2KI", "RG1_JLSN", "CR-MONO1-10-chest", "pseudo_phi_RLE", "siim_SC_JPEG", "nih_DX_in_SC"]
REFUSED = {
    "pseudo_phi_no_pixels": Reason.NO_PIXELS,
    "dog_DX_lateral": Reason.NOT_HUMAN,
    "RG2_J2KR": Reason.BODY_PART,
    "RG2_JPLL": Reason.BODY_PART,
    "RG2_JPLY": Reason.BODY_PART,
    "RG3_JPLL": Reason.BODY_PART,
    "RG3_RLE": Reason.BODY_PART,
    "CR-ModalitySequenceLUT": Reason.BODY_PART,
}


@pytest.mark.parametrize("name", [*READABLE, "siim_SC_wrong_MONOCHROME1"])
def test_a_readable_chest_film_is_read(name: str, tmp_path: Path) -> None:
    job, report = _read_real(name, tmp_path)

    assert job.state is State.DONE
    assert "Opacity" in str(report)


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_an_unsuitable_film_gets_a_report_with_the_reason(name: str, reason: Reason, tmp_path: Path) -> None:
    job, report = _read_real(name, tmp_path)

    assert (job.state, job.reason) == (State.NOT_ANALYSED, reason)
    assert reason.meaning in str(report)


def test_a_contradicted_polarity_is_in_the_report(tmp_path: Path) -> None:
    _, report = _read_real("siim_SC_wrong_MONOCHROME1", tmp_path)

    assert "Photometric Interpretation contradicts the picture" in str(report)


def _read_real(name: str, tmp_path: Path) -> tuple[search.JobRow, Dataset]:
    database = Database(f"sqlite:///{tmp_path / 'node.db'}")
    migrate.upgrade(database)
    node = InProcessNode(database, tmp_path, rules=ReadRules(gate=Rules(), limits=Limits()))
    try:
        node.accept(films.with_file_meta(real(name)))
        node.work()
        (report,) = node.pacs.reports()
        return node.jobs(Stage.READ)[0], report
    finally:
        database.close()


def _hold_against_dciodvfy(content: bytes, folder: Path) -> None:
    path = folder / "report.dcm"
    path.write_bytes(content)
    verified = subprocess.run([program("dciodvfy"), path], capture_output=True, text=True)
    assert "Error" not in verified.stderr, verified.stderr
    assert verified.returncode == 0
