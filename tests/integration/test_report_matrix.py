"""Every result kind of many kinds of study, before every outside validator; the short form runs a few."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from pydicom.dataset import Dataset
from pydicom.uid import ChestCADSRStorage

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_geometry import View
from cxr_node.domain.instance import Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Note, Reason
from cxr_node.measure.film import measure_film
from cxr_node.phantom.dicom import EXAMPLE_TIME, dataset
from cxr_node.phantom.film import film as phantom
from cxr_node.phantom.pathology import Kind, Pathology, Zone
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.suitability import judge_header
from cxr_node.report import codes
from cxr_node.report.kinds import basic_text, chest_cad, key_objects, tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ComposeRequest, Observer, PreviousReport, ReferredResult, ReportedFilm
from cxr_node.report.sr.tree import items, name_of
from tests.support import films, phantom_outlines
from tests.support.readers import (
    is_measurement_report,
    read_by_dcmqi,
    read_by_dsr2html,
    read_by_highdicom,
    segment_by_dcmqi,
)
from tests.support.validators import entity_errors, iod_errors, sr_errors, state_errors, template_errors
from tests.unit.report.names import NAMES
from tests.unit.report.ohif import shown
from tests.unit.report.studies import (
    NODE,
    NOW,
    everything,
    finding,
    gray,
    not_read,
    parsed,
    previous,
    read,
    square,
    with_bytes,
)

_TYPE_2 = "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber"
_BAD = {"PatientSex": b"U", "PatientBirthDate": b"19600000", "StudyTime": b"10:11:12", "PatientAge": b"45"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """A study, with its films at each composing, oldest first.

    `is_clean`: dcentvfy, which compares bytes, can compare films and results. It cannot where films are in another
    character set than UTF-8, or where values are missing or normalized.
    """

    rounds: Sequence[Sequence[ReportedFilm]]
    is_clean: bool = True
    observer: Observer = NODE
    load_radiograph: Callable[[ReportedFilm], Radiograph] | None = None

    @property
    def regions(self) -> int:
        """Number of Image Regions in the last report. PixelMed errs where it is one."""
        predictions = [film.reading.prediction for film in self.rounds[-1] if film.reading.prediction]
        return sum(len(finding.regions) for prediction in predictions for finding in prediction.findings)


def _named(name: str) -> Study:
    declared, sent, _ = NAMES[name]
    header = with_bytes(films.cr(), {"SpecificCharacterSet": declared, "PatientName": sent})
    return Study(rounds=[[everything(header)]], is_clean=False)


def _order() -> Dataset:
    order = Dataset()
    order.RequestedProcedureID = "RP-1"
    return order


@cache
def _phantom(view: View) -> ReportedFilm:
    """Return a phantom as a modality sends it: measured on its true outlines, or refused by the gate."""
    torch.set_num_threads(1)
    filled = Pathology(kind=Kind.CONSOLIDATION, side=Laterality.RIGHT, zone=Zone.MIDDLE, severity=0.95)
    synthetic = phantom(seed=21, view=view, rows=256, columns=256, pathology=[filled])
    header = dataset(synthetic, now=EXAMPLE_TIME)
    refused = judge_header(header, Rules()).refused
    if refused is not None:
        return not_read(header, refused, view)
    structures = phantom_outlines.structures(synthetic)
    record = measure_film(phantom_outlines.radiograph(synthetic), structures, is_adult=True)
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(60, 120, 40), square(60, 40, 9)))
    film = read(header, opacity, finding("Effusion", 0.1, Presence.ABSENT), view=view, structures=structures)
    return ReportedFilm(
        header=header,
        reading=replace(film.reading, measurements=record.measurements, observations=record.observations),
    )


def _phantoms(*views: View) -> Study:
    return Study(
        rounds=[[_phantom(view) for view in views]],
        is_clean=False,  # its declared character set is not that of the results
        load_radiograph=lambda film: radiograph(film.header, limits=Limits()),
    )


_LATERAL = films.cr(changes={"ViewPosition": "LL"})
_BUILDERS: dict[str, Callable[[], Study]] = {
    "DX": lambda: Study(rounds=[[everything(films.dx())]]),
    "CR": lambda: Study(rounds=[[everything(films.cr())]]),
    "SC": lambda: Study(rounds=[[everything(films.sc())]]),
    "MONOCHROME1": lambda: Study(rounds=[[everything(films.cr(changes={"PhotometricInterpretation": "MONOCHROME1"}))]]),
    "no finding": lambda: Study(rounds=[[read(films.dx(), finding("Lung Opacity", 0.1, Presence.ABSENT))]]),
    "undetermined": lambda: Study(rounds=[[read(films.dx(), finding("Lung Opacity", 0.5, Presence.UNDETERMINED))]]),
    "one region": lambda: Study(
        rounds=[[read(films.dx(), finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(2, 2, 9),)))]]
    ),
    "every note": lambda: Study(
        rounds=[[read(films.dx(), finding("Effusion", 0.1, Presence.ABSENT), notes=tuple(Note))]]
    ),
    "two views": lambda: Study(rounds=[[everything(films.dx()), not_read(_LATERAL, Reason.VIEW, "LATERAL")]]),
    "three films": lambda: Study(rounds=[[everything(films.dx()), everything(films.cr()), everything(films.sc())]]),
    "late film": lambda: Study(
        rounds=[[everything(films.dx())], [everything(films.dx()), not_read(_LATERAL, Reason.VIEW, "LATERAL")]]
    ),
    "reprocessed": lambda: Study(rounds=[[not_read(films.dx(), Reason.TIMEOUT)], [everything(films.dx())]]),
    "no type 2 attributes": lambda: Study(
        rounds=[[everything(films.cr(changes=dict.fromkeys(_TYPE_2.split())))]], is_clean=False
    ),
    "bad values": lambda: Study(rounds=[[everything(with_bytes(films.cr(), _BAD))]], is_clean=False),
    "phantom PA": lambda: _phantoms(View.PA),
    "phantom AP": lambda: _phantoms(View.AP),
    "phantom lateral": lambda: _phantoms(View.LATERAL),
    "phantom PA and lateral": lambda: _phantoms(View.PA, View.LATERAL),
    "order and time zone": lambda: Study(
        rounds=[
            [everything(films.dx(changes={"RequestAttributesSequence": [_order()], "TimezoneOffsetFromUTC": "-0330"}))]
        ]
    ),
    **{
        f"not analysed {reason.value}": lambda reason=reason: Study(  # type: ignore[misc]  # a default binds it
            rounds=[[not_read(films.dx(), reason, "detail")]]
        )
        for reason in Reason
    },
    **{f"name in {name}": lambda name=name: _named(name) for name in NAMES},  # type: ignore[misc]  # a default binds it
    **{
        f"in {name}": lambda name=name: Study(  # type: ignore[misc]  # a default binds it
            rounds=[[everything(films.dx()), not_read(_LATERAL, Reason.VIEW)]],
            observer=Observer(name="TESTNODE", serial_number="7", software_version="9.9", language=LANGUAGES[name]),
        )
        for name in LANGUAGES
        if name != "en"
    },
}
_SHORT = [
    "DX",
    "late film",
    "phantom PA and lateral",
    "no type 2 attributes",
    "not analysed AGE",
    "name in Japanese, ISO 2022 IR 87",
    "in zh",
]

_IN_MAKE_TEST = ("phantom PA and lateral", "name in Japanese, ISO 2022 IR 87")
_DOCUMENTS = [kind for kind in RESULT_KINDS if kind.result_type.modality in ("SR", "KO")]
_WITHOUT_REGIONS = (basic_text.TEXT, key_objects.KEY_IMAGES, chest_cad.CHEST_CAD)

_REAL = [
    "CR-MONO1-10-chest",
    "RG1_J2KI",
    "RG1_JLSN",
    "RG2_J2KR",
    "RG2_JPLL",
    "RG2_JPLY",
    "RG3_JPLL",
    "RG3_RLE",
    "chrJapMulti",
    "chrKoreanMulti",
    "dog_DX_lateral",
    "nih_DX_in_SC",
    "pseudo_phi_RLE",
    "pseudo_phi_no_pixels",
    "siim_SC_JPEG",
    "siim_SC_wrong_MONOCHROME1",
]
"""All readable films but CR-ModalitySequenceLUT, whose own UIDs are invalid and fail in the validators."""


def test_the_matrix_has_at_least_forty_studies() -> None:
    assert len(_BUILDERS) >= 40
    assert set(_SHORT) < set(_BUILDERS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=() if name in _IN_MAKE_TEST else pytest.mark.ci(short="test_results_of_a_study_are_valid")
        )
        for name in _SHORT
    ],
)
def test_results_of_a_study_are_valid(name: str, tmp_path: Path) -> None:
    _validate(_BUILDERS[name](), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in _BUILDERS if name not in _SHORT])
def test_results_of_every_study_are_valid(name: str, tmp_path: Path) -> None:
    _validate(_BUILDERS[name](), tmp_path)


@pytest.mark.long
@films.needs_real_films
@pytest.mark.parametrize("name", _REAL)
def test_results_of_a_real_film_are_valid(name: str, tmp_path: Path) -> None:
    _validate(_real(name), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("kind", [tid1500.REPORT_MEASUREMENTS, key_objects.KEY_IMAGES], ids=lambda kind: str(kind.name))
def test_pixelmed_finds_no_error_in_a_document_of_the_set(kind: ResultKind, tmp_path: Path) -> None:
    study = _BUILDERS["DX"]()
    (*_, document) = [instance for composed, instance in _composed(study) if composed is kind]
    assert template_errors(_written(document, tmp_path)) == []


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [name for name in _BUILDERS if not name.startswith("in ")])
def test_pixelmed_finds_no_error_in_the_documents_of_a_study(name: str, tmp_path: Path) -> None:
    """The last version of each; PixelMed takes every group of a report with one region for TID 1410."""
    study = _BUILDERS[name]()
    documents = {kind: instance for kind, instance in _composed(study) if kind.result_type.modality in ("SR", "KO")}
    chosen = _DOCUMENTS if name in _SHORT else (tid1500.REPORT, basic_text.TEXT, key_objects.KEY_IMAGES)
    for kind, instance in documents.items():
        if kind in chosen and (study.regions != 1 or kind in _WITHOUT_REGIONS):
            assert template_errors(_written(instance, tmp_path)) == [], kind.name


def _real(name: str) -> Study:
    header = films.with_file_meta(films.real(name))
    refused = judge_header(header, Rules()).refused
    film = everything(header) if refused is None else not_read(header, refused)
    if refused is None:
        try:
            decoded = radiograph(header, limits=Limits())
        except GiveUp as gave_up:
            film = not_read(header, gave_up.reason, gave_up.detail)
    return Study(rounds=[[film]], is_clean=False, load_radiograph=lambda _: decoded)


def _composed(study: Study) -> Iterator[tuple[ResultKind, Instance]]:
    """Yield each result of each kind over repeated composing, as the node composes them."""
    earlier: dict[str, list[PreviousReport]] = {kind.name: [] for kind in RESULT_KINDS}
    for reported in (*study.rounds, study.rounds[-1]):
        results: list[ReferredResult] = []
        for kind in sorted(RESULT_KINDS, key=lambda kind: kind.order):
            request = replace(_request(study, reported, earlier[kind.name]), results=tuple(results))
            composed = kind.compose_all(request)
            results += kind.referred(composed)
            for instance in filter(request.is_new, composed):
                assert len(earlier[kind.name]) < len(study.rounds) * len(reported), "composed again without a change"
                earlier[kind.name] = [*earlier[kind.name], previous(instance)]
                yield kind, instance


def _request(study: Study, reported: Sequence[ReportedFilm], earlier: Sequence[PreviousReport]) -> ComposeRequest:
    return ComposeRequest(
        films=reported,
        load_film=lambda film: reduce_film((study.load_radiograph or gray)(film)),
        observer=study.observer,
        now=NOW,
        earlier=tuple(earlier),
    )


def _validate(study: Study, folder: Path) -> None:
    written: list[Path] = []
    for kind, instance in _composed(study):
        path = _written(instance, folder)
        written.append(path)
        dataset = parsed(instance)
        errors = iod_errors(path)
        if dataset.Modality in ("SR", "KO"):
            errors += sr_errors(path)
        if dataset.Modality == "PR" and _may_be_checked(dataset):
            errors += state_errors(path)
        assert errors == [], f"{kind.name}: {errors}"
        _read(path, dataset, study.observer.language.phrases.caution)
        if kind is tid1500.REPORT_OHIF:
            assert shown(dataset)
    sources = {film.reading.film.sop_instance_uid: film.header for film in study.rounds[-1]}
    if study.is_clean:
        written += [films.written(source, folder) for source in sources.values()]
    assert len(written) > len(sources)
    assert entity_errors(*written) == []


def _read(path: Path, dataset: Dataset, caution: str) -> None:
    """Read a result with readers that did not make it: all groups, references, segments and pixels."""
    read = read_by_highdicom(path)
    if is_measurement_report(dataset):
        groups = [item for _, item in items(dataset) if name_of(item) == codes.MEASUREMENT_GROUP.value]
        assert read == read_by_dcmqi(path) == len(groups)
    if dataset.Modality == "SR":
        assert caution in read_by_dsr2html(path) or dataset.SOPClassUID == ChestCADSRStorage
    if dataset.Modality == "KO":
        assert read == sum(item.ValueType == "IMAGE" for _, item in items(dataset))
    if dataset.Modality == "SEG":
        assert read == len(dataset.SegmentSequence)
        assert "Plane Orientation (Patient) is missing" in segment_by_dcmqi(path, path.parent)
    if dataset.Modality == "OT":
        assert read


def _may_be_checked(state: Dataset) -> bool:
    """Whether dcmpschk can check a presentation state: it requires ASCII and a name, which is type 2."""
    texts = [str(text.UnformattedTextValue) for text in state.GraphicAnnotationSequence[0].TextObjectSequence]
    return bool(state.PatientName) and all(text.isascii() for text in [str(state.PatientName), *texts])


def _written(instance: Instance, folder: Path) -> Path:
    path = folder / f"{instance.identity.sop_instance_uid}.dcm"
    path.write_bytes(instance.content)
    return path
