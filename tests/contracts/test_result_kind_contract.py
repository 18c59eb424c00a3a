"""Contract of result kinds: every kind of the registry passes; a new one takes one file and a line in each list."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from itertools import combinations
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.instance import Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Reading, Region, Structure
from cxr_node.domain.reasons import Reason
from cxr_node.pixels import film as pixels
from cxr_node.pixels.limits import Limits
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ComposeRequest, Observer, ReportedFilm
from tests.support import films
from tests.support.node import received, with_region
from tests.support.queue import NOON
from tests.support.stub_prediction import prediction
from tests.unit.report.studies import previous


@pytest.fixture(params=RESULT_KINDS, ids=lambda kind: str(kind.name))
def kind(request: pytest.FixtureRequest) -> ResultKind:
    assert isinstance(request.param, ResultKind)
    return request.param


def load_radiograph(film: ReportedFilm) -> Radiograph:
    return pixels.radiograph(film.header, limits=Limits())


def analysed(film: Dataset) -> ReportedFilm:
    reported = ReportedFilm(header=film, reading=_not_analysed(film))
    radiograph = load_radiograph(reported)
    (predicted,) = prediction([radiograph])
    place = ((4.0, 4.0), (20.0, 4.0), (20.0, 30.0))
    heart = Structure(key=Anatomy.HEART, confidence=0.9, regions=(Region(outline=place),))
    reading = Reading(
        film=received(film).identity,
        geometry=radiograph.geometry,
        grayscale=radiograph.grayscale,
        prediction=replace(with_region(predicted, place), structures=(heart,)),
    )
    return ReportedFilm(header=film, reading=reading)


def _not_analysed(film: Dataset) -> Reading:
    return Reading(
        film=received(film).identity,
        geometry=None,
        grayscale="",
        prediction=None,
        not_analysed=Reason.VIEW,
        detail="lateral",
    )


def request(*reported: ReportedFilm, minutes: int = 0, earlier: list[Instance] | None = None) -> ComposeRequest:
    return ComposeRequest(
        films=reported,
        load_film=lambda film: reduce_film(load_radiograph(film)),
        observer=Observer(),
        now=NOON + timedelta(minutes=minutes),
        earlier=[previous(instance, NOON) for instance in earlier or []],
    )


def test_the_same_films_give_the_same_instance_at_any_time(kind: ResultKind) -> None:
    (first,) = kind.compose(request(analysed(films.dx())))
    (second,) = kind.compose(request(analysed(films.dx()), minutes=5))

    assert first.identity == second.identity


def test_a_result_that_exists_is_not_composed_again(kind: ResultKind) -> None:
    results = kind.compose(request(analysed(films.dx())))

    assert kind.compose(request(analysed(films.dx()), minutes=5, earlier=results)) == []


def test_another_film_gives_the_next_instance_number_of_the_series(kind: ResultKind) -> None:
    first = kind.compose(request(analysed(films.dx())))
    second = kind.compose(request(analysed(films.dx()), analysed(films.cr()), minutes=5, earlier=first))

    numbers = [dcmread(BytesIO(result.content)).InstanceNumber for result in (*first, *second)]
    assert numbers == [1, 2]
    assert first[0].identity.series_instance_uid == second[0].identity.series_instance_uid
    assert first[0].identity.sop_instance_uid != second[0].identity.sop_instance_uid


def test_every_result_of_a_series_has_the_date_and_time_of_the_first(kind: ResultKind) -> None:
    first = kind.compose(request(analysed(films.dx())))
    second = kind.compose(request(analysed(films.dx()), analysed(films.cr()), minutes=5, earlier=first))

    results = [dcmread(BytesIO(result.content)) for result in (*first, *second)]
    assert {(one.SeriesDate, one.SeriesTime) for one in results} == {(f"{NOON:%Y%m%d}", f"{NOON:%H%M%S.%f}")}
    assert [one.InstanceCreationTime for one in results] != [results[0].InstanceCreationTime] * 2


def test_a_result_has_its_films_study_and_patient_and_its_own_identity(kind: ResultKind) -> None:
    film = films.dx()
    (result,) = kind.compose(request(analysed(film)))

    dataset = dcmread(BytesIO(result.content))
    assert (dataset.StudyInstanceUID, dataset.PatientID, dataset.PatientName) == (
        film.StudyInstanceUID,
        film.PatientID,
        film.PatientName,
    )
    assert str(dataset.SOPInstanceUID) == result.identity.sop_instance_uid
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert dataset.SOPClassUID == result.identity.sop_class_uid
    assert dataset.SeriesInstanceUID == result.identity.series_instance_uid
    assert result.digest == result_digest(result)
    assert "RESEARCH" in dataset.SeriesDescription


def test_a_film_that_was_not_analysed_has_only_reports(kind: ResultKind) -> None:
    film = films.dx()

    results = kind.compose(request(ReportedFilm(header=film, reading=_not_analysed(film))))

    is_report = kind.result_type.modality in ("SR", "DOC")
    assert len(results) == (1 if is_report else 0)


def test_a_result_keeps_the_promises_of_its_type(kind: ResultKind) -> None:
    (result,) = kind.compose(request(analysed(films.dx())))

    dataset = dcmread(BytesIO(result.content))
    assert dataset.Modality == kind.result_type.modality
    assert all(not dataset[keyword].is_empty for keyword in kind.result_type.type_1)
    assert all(keyword in dataset for keyword in kind.result_type.type_2)


def test_types_of_one_modality_promise_the_same() -> None:
    """The Conformance Statement lists promises by Modality."""
    for one, other in combinations([kind.result_type for kind in RESULT_KINDS], 2):
        if one.modality == other.modality:
            assert (one.type_1, one.type_2, one.flags) == (other.type_1, other.type_2, other.flags)


def test_names_and_type_names_are_unique() -> None:
    assert len({kind.name for kind in RESULT_KINDS}) == len(RESULT_KINDS)
    assert len({kind.result_type.name for kind in RESULT_KINDS}) == len(RESULT_KINDS)


_PLANTED = """
from dataclasses import replace
from cxr_node.domain.identifiers import Uid
from cxr_node.report.kinds import basic_text
from cxr_node.report.kinds.kind import document_kind

PLANTED = document_kind(
    "planted",
    replace(basic_text.TEXT.result_type, name="PLANTED", sop_class_uid=Uid("1.2.840.10008.5.1.4.1.1.88.99")),
    basic_text.content,
)
"""
_PROGRAM = """
import importlib.util, sys
from pathlib import Path

from cxr_node.domain import result_names

result_names.RESULT_NAMES = ("planted", *result_names.RESULT_NAMES)

name = "cxr_node.report.kinds.registry"
spec = importlib.util.find_spec(name)
source = Path(spec.origin).read_text()
head, found, tail = source.partition("RESULT_KINDS: tuple[ResultKind, ...] = (\\n")
assert found
source = head.replace("\\nfrom", "\\nimport planted\\nfrom", 1) + found + "    planted.PLANTED,\\n" + tail
registry = importlib.util.module_from_spec(spec)
sys.modules[name] = registry
exec(source, registry.__dict__)

from cxr_node.config import parse
from cxr_node.ops import conformance, example_config
from cxr_node.ops.checks.destinations import SOP_CLASSES
from cxr_node.wiring import compose

destination = {"kind": "folder", "name": "out", "folder": "x", "results": ["planted"]}
settings = parse({"deliver": {"destinations": [destination]}})
assert compose.routes(settings)["out"].kinds == {"PLANTED"}
assert [kind.name for kind in compose.kinds_of("planted")] == ["planted"]
assert "planted, " in example_config.text()
assert "| planted |" in conformance.tables()["kinds"]
assert "1.2.840.10008.5.1.4.1.1.88.99" in SOP_CLASSES
"""


def test_a_new_kind_takes_one_file_and_a_line_in_each_of_two_lists(tmp_path: Path) -> None:
    """A planted kind reaches settings, example, composing, conformance statement and doctor."""
    (tmp_path / "planted.py").write_text(_PLANTED, encoding="utf-8")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{_PROGRAM}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def result_digest(result: Instance) -> str:
    """Return the SHA-256 of the data set in a result's bytes, found by File Meta Information Group Length."""
    return digest_of(result.content[films.data_set_offset(result.content) :])
