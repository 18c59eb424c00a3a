"""Results before outside validators: dciodvfy, dsrdump, dcentvfy and PixelMed's DicomSRValidator."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from cxr_node.domain.instance import Instance
from cxr_node.domain.reading import Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report.kinds import basic_text, key_objects, presentation_state, secondary_capture, tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.tree import items
from tests.support import films, peers
from tests.support.validators import entity_errors, iod_errors, pixelmed, run, sr_errors, state_errors, template_errors
from tests.unit.report.studies import (
    compared,
    composed,
    everything,
    finding,
    not_read,
    parsed,
    previous,
    read,
    request,
    square,
    with_bytes,
)

_PRESENT = finding("Lung Opacity", 0.9, Presence.PRESENT)
_ONE_REGION = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(2, 2, 9),))
_NO_TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Modality",
]
_KOREAN = {
    "SpecificCharacterSet": b"\\ISO 2022 IR 149",
    "PatientName": b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
}
_BAD_VALUES = {
    "PatientSex": b"U",
    "PatientBirthDate": b"19600000",
    "StudyTime": b"10:11:12",
    "PatientAge": b"45",
    "PatientWeight": b"seventy",
}


def _order() -> Dataset:
    order = Dataset()
    order.RequestedProcedureID = "RP-1"
    return order


_STUDIES: dict[str, list[ReportedFilm]] = {
    "everything": [everything(films.dx())],
    "no finding": [read(films.cr(), finding("Lung Opacity", 0.1, Presence.ABSENT))],
    "one region": [read(films.cr(), _ONE_REGION)],
    "secondary capture": [read(films.sc(), _PRESENT)],
    "two views": [everything(films.dx()), not_read(films.cr(), Reason.VIEW, "LATERAL")],
    "a prior film": [compared(everything(films.dx()), 0.53, 0.47)],
    "three read": [everything(films.dx()), everything(films.cr()), everything(films.sc())],
    "for processing": [not_read(films.dx(for_processing=True), Reason.FOR_PROCESSING)],
    "no type 2 attributes": [read(films.cr(changes=dict.fromkeys(_NO_TYPE_2)), _PRESENT)],
    "no manufacturer": [not_read(films.sc(changes={"Manufacturer": None}), Reason.VIEW)],
    "Korean": [read(with_bytes(films.cr(), _KOREAN), _PRESENT)],
    "bad values": [read(with_bytes(films.cr(), _BAD_VALUES), _PRESENT)],
    "orders and time zone": [
        read(films.dx(changes={"RequestAttributesSequence": [_order()], "TimezoneOffsetFromUTC": "-0330"}), _PRESENT)
    ],
    **{f"not analysed: {reason.value}": [not_read(films.cr(), reason, "detail")] for reason in Reason},
}

_REAL = {
    "RG1_J2KI": True,
    "RG1_JLSN": True,
    "CR-MONO1-10-chest": True,
    "pseudo_phi_RLE": True,
    "siim_SC_JPEG": True,
    "siim_SC_wrong_MONOCHROME1": True,
    "nih_DX_in_SC": True,
    "pseudo_phi_no_pixels": False,
    "dog_DX_lateral": False,
    "RG2_J2KR": False,
    "RG2_JPLL": False,
    "RG2_JPLY": False,
    "RG3_JPLL": False,
    "RG3_RLE": False,
    "chrJapMulti": False,
    "chrKoreanMulti": False,
}
"""Real film to whether the node reads it; without CR-ModalitySequenceLUT, whose UIDs are invalid."""


@pytest.mark.parametrize("study", _STUDIES.values(), ids=_STUDIES)
def test_dciodvfy_and_dsrdump_find_no_error(study: list[ReportedFilm], tmp_path: Path) -> None:
    report = _written(composed(tid1500.REPORT, study), tmp_path)
    assert iod_errors(report) == []
    assert sr_errors(report) == []


@films.needs_real_films
@pytest.mark.parametrize(("name", "is_read"), _REAL.items(), ids=_REAL)
def test_the_report_of_a_real_film_is_valid_and_of_the_same_patient(name: str, is_read: bool, tmp_path: Path) -> None:
    header = dcmread(films.real(name), force=True, stop_before_pixels=True)
    film = everything(header) if is_read else not_read(header, Reason.BODY_PART)
    instance = composed(tid1500.REPORT, [film])
    report = _written(instance, tmp_path)
    assert iod_errors(report) == []
    assert sr_errors(report) == []
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate"):
        assert str(parsed(instance).get(keyword) or "") == str(header.get(keyword) or "")


def test_a_new_version_is_valid_too(tmp_path: Path) -> None:
    old = composed(tid1500.REPORT, [not_read(films.dx(), Reason.TIMEOUT)])
    new = composed(tid1500.REPORT, [everything(films.dx())], earlier=[previous(old)])
    report = _written(new, tmp_path)
    assert iod_errors(report) == []
    assert sr_errors(report) == []
    assert "Predecessor Docs" in run(peers.program("dsrdump"), report).stdout


def test_film_and_report_agree_about_patient_and_study(tmp_path: Path) -> None:
    film = films.dx(changes={"PatientComments": "none", "IssuerOfPatientID": "HOSPITAL", "StudyDescription": "Thorax"})
    path = films.written(film, tmp_path)
    report = _written(composed(tid1500.REPORT, [everything(film)]), tmp_path)
    assert entity_errors(path, report) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("three read", marks=pytest.mark.long),
        pytest.param(
            "two views",
            marks=pytest.mark.ci(short="tests/integration/test_report_matrix.py::test_results_of_a_study_are_valid"),
        ),
    ],
)
def test_pixelmed_finds_no_error_in_the_template_rows(name: str, tmp_path: Path) -> None:
    assert template_errors(_written(composed(tid1500.REPORT, _STUDIES[name]), tmp_path)) == []


@pytest.mark.parametrize("name", ["three read", "two views", "no type 2 attributes", "Korean"])
@pytest.mark.parametrize(
    "kind", [tid1500.REPORT_COMPREHENSIVE, tid1500.REPORT_ENHANCED], ids=lambda kind: str(kind.name)
)
def test_the_same_tree_is_valid_as_comprehensive_and_enhanced_sr(kind: ResultKind, name: str, tmp_path: Path) -> None:
    report = _written(composed(kind, _STUDIES[name]), tmp_path)
    assert iod_errors(report) == []
    assert sr_errors(report) == []


@pytest.mark.parametrize("name", ["three read", "two views", "no type 2 attributes", "Korean", "not analysed: AGE"])
def test_the_text_form_is_valid_as_basic_text_sr(name: str, tmp_path: Path) -> None:
    report = _written(composed(basic_text.TEXT, _STUDIES[name]), tmp_path)
    assert iod_errors(report) == []
    assert sr_errors(report) == []


@films.needs_real_films
@pytest.mark.parametrize("name", [name for name, is_read in _REAL.items() if is_read])
def test_picture_state_and_key_objects_of_a_real_film_are_valid(name: str, tmp_path: Path) -> None:
    header = dcmread(films.real(name), force=True, stop_before_pixels=True)
    results = [_written(result, tmp_path) for result in _pictures(everything(header))]
    assert [error for result in results for error in iod_errors(result)] == []


@pytest.mark.parametrize("name", ["everything", "one region", "secondary capture", "no type 2 attributes", "Korean"])
def test_all_results_of_a_study_are_valid_and_agree_about_it(name: str, tmp_path: Path) -> None:
    film = _STUDIES[name][0]
    results = [composed(tid1500.REPORT, [film]), *_pictures(film)]
    written = [_written(result, tmp_path) for result in results]
    assert [error for result in written for error in iod_errors(result)] == []
    assert entity_errors(*written) == []


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dcmpschk_accepts_the_presentation_state(photometric: str, tmp_path: Path) -> None:
    film = everything(films.cr(changes={"PhotometricInterpretation": photometric}))
    state = composed(presentation_state.PRESENTATION_STATE, [film])
    assert state_errors(_written(state, tmp_path)) == []


def _pictures(film: ReportedFilm) -> list[Instance]:
    kinds = (secondary_capture.PICTURE, presentation_state.PRESENTATION_STATE, key_objects.KEY_IMAGES)
    return [result for kind in kinds for result in kind.compose(request([film]))]


_CODES_OF_2022 = {
    "43468-8": ("18748-4", "LN", "Diagnostic Imaging Report"),
    "55112-7": ("121111", "DCM", "Summary"),
    "59776-5": ("121070", "DCM", "Findings"),
}
"""Present titles of CID 7000 and 7001 to those in PixelMed's lists of 2022."""


@pytest.mark.long
def test_pixelmed_finds_the_text_form_to_be_tid_2000(tmp_path: Path) -> None:
    report = parsed(composed(basic_text.TEXT, _STUDIES["two views"]))
    for _, item in items(report):
        name = item.ConceptNameCodeSequence[0]
        if name.CodeValue in _CODES_OF_2022:
            name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = _CODES_OF_2022[name.CodeValue]
    path = tmp_path / "text.dcm"
    report.save_as(path)
    output = pixelmed(path)
    assert "Found Root Template TID_2000" in output
    assert [line for line in output.splitlines() if line.startswith(("Error", "Warning"))] == []


def test_the_validators_detect_planted_errors(tmp_path: Path) -> None:
    broken = parsed(composed(tid1500.REPORT, [everything(films.dx())]))
    del broken.CompletionFlag
    broken.ContentSequence[3].RelationshipType = "INFERRED FROM"
    path = tmp_path / "broken.dcm"
    broken.save_as(path)
    assert iod_errors(path)
    assert sr_errors(path)


def _written(instance: Instance, folder: Path) -> Path:
    path = folder / f"{instance.identity.sop_instance_uid}.dcm"
    path.write_bytes(instance.content)
    return path
