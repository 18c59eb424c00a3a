from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from cxr_node.domain import concepts
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.reading import Laterality, Observation, Presence, Topic
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.tree import children_of, items, name_of
from tests.support import films
from tests.unit.report.ohif import DoesNotOpen, shown
from tests.unit.report.studies import (
    NODE,
    NOW,
    PATIENT_KEY,
    WEIGHTS,
    composed,
    everything,
    finding,
    not_read,
    parsed,
    previous,
    read,
    square,
)

PRESENT = finding("Lung Opacity", 0.9, Presence.PRESENT)
ABSENT = finding("Lung Opacity", 0.1, Presence.ABSENT)


def _report(*study: ReportedFilm) -> Dataset:
    return parsed(composed(tid1500.REPORT, study))


def _for_ohif(*study: ReportedFilm) -> Dataset:
    return parsed(composed(tid1500.REPORT_OHIF, study))


def _rows(report: Dataset, name: str) -> list[Dataset]:
    return [item for _, item in items(report) if name_of(item) == name]


def _codes(report: Dataset, name: str) -> list[str]:
    return [str(row.ConceptCodeSequence[0].CodeValue) for row in _rows(report, name)]


def _texts(report: Dataset, name: str) -> list[str]:
    return [str(row.TextValue) for row in _rows(report, name)]


def _groups(report: Dataset) -> list[Dataset]:
    return _rows(report, "125007")


def test_a_report_is_in_the_study_of_its_film_and_describes_itself() -> None:
    film = films.dx()
    instance = composed(tid1500.REPORT, [read(film, PRESENT)])
    report = parsed(instance)
    assert instance.identity.study_instance_uid == report.StudyInstanceUID == film.StudyInstanceUID
    assert instance.identity.series_instance_uid == report.SeriesInstanceUID != film.SeriesInstanceUID
    assert instance.identity.sop_instance_uid == report.SOPInstanceUID == report.file_meta.MediaStorageSOPInstanceUID
    assert str(instance.identity.sop_class_uid) == report.SOPClassUID == Comprehensive3DSRStorage
    assert str(instance.transfer_syntax_uid) == report.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert instance.identity.patient_key == PATIENT_KEY
    assert instance.digest == digest_of(instance.content[films.data_set_offset(instance.content) :])
    assert report.PatientID == film.PatientID
    assert report.PatientName == film.PatientName


def test_a_report_calls_itself_research_unverified_and_preliminary() -> None:
    report = _report(read(films.dx(), PRESENT))
    assert report.ContentQualification == "RESEARCH"
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert report.CompletionFlag == "COMPLETE"
    assert any(comment.startswith("RESEARCH USE ONLY.") for comment in _texts(report, "121106"))


def test_a_score_has_a_concept_of_its_own_beside_its_threshold() -> None:
    report = _report(read(films.dx(), PRESENT, finding("Effusion", 0.042, Presence.ABSENT)))
    for name, expected in (("SCORE", [90, 4]), ("THRESHOLD", [50, 50])):
        values = [row.MeasuredValueSequence[0] for row in _rows(report, name)]
        assert [float(value.NumericValue) for value in values] == expected
        assert {value.MeasurementUnitsCodeSequence[0].CodeValue for value in values} == {"{score}"}
    assert any("score=not calibrated, not a probability" in line for line in _texts(report, "111002"))
    assert _rows(report, "122157") == []
    assert _rows(report, "111012") == []  # "absent, certainty 4 %" would be read as its contrary


def test_numbers_of_the_tree_have_the_digits_of_the_impression() -> None:
    long = replace(PRESENT, score=0.355829, operating_point=0.301)
    near = replace(finding("Effusion", 0.498, Presence.UNDETERMINED), operating_point=0.502)
    report = _report(read(films.dx(), long, near))
    written = [
        str(row.MeasuredValueSequence[0].NumericValue) for name in ("SCORE", "THRESHOLD") for row in _rows(report, name)
    ]
    assert written == ["36", "49.8", "30", "50.2"]
    (summary,) = _texts(report, "121111")
    assert "(score 36, threshold 30)" in summary
    assert "(score 49.8, threshold 50.2)" in summary


def test_a_calibrated_score_is_marked_as_calibrated() -> None:
    calibrated = finding("Lung Opacity", 0.9, Presence.PRESENT, calibrated=True)
    report = _report(read(films.dx(), calibrated))
    assert any("score=calibrated" in line for line in _texts(report, "111002"))
    assert "not a probability" not in _texts(report, "121111")[0]


def test_every_group_names_its_algorithm_and_every_score_how_it_was_made() -> None:
    report = _report(everything(films.dx()), not_read(films.cr(), Reason.VIEW))
    for group in _groups(report):
        assert {"111001", "111003"} <= {name_of(row) for row in children_of(group)}
    for group in (group for group in _groups(report) if "SCORE" in {name_of(row) for row in children_of(group)}):
        (line,) = [str(row.TextValue) for row in children_of(group) if name_of(row) == "111002"]
        assert line == "score=not calibrated, not a probability"
    assert _rows(report, "SCORE")
    assert max(map(len, _texts(report, "111002"))) <= 40
    (described,) = [
        item.ContributionDescription
        for item in report.ContributingEquipmentSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == codes.PROCESSING_EQUIPMENT.value
    ]
    assert f"weights SHA-256 {WEIGHTS}; preparation=whole film, 320 x 320" in described
    assert "operating_points=Lung Opacity=0.5" in described
    assert "grayscale=window 2048/4096" in described


def test_an_absent_finding_is_written_and_not_left_out() -> None:
    report = _report(read(films.dx(), ABSENT))
    assert _codes(report, "121052") == ["272519000"]
    assert _codes(report, "111017") == ["111241"]
    assert "this does not exclude disease." in _texts(report, "121111")[0]


@pytest.mark.parametrize(
    ("study", "summary"),
    [
        ([read(films.dx(), PRESENT)], "111242"),
        ([read(films.dx(), ABSENT)], "111241"),
        ([read(films.dx(), finding("Lung Opacity", 0.5, Presence.UNDETERMINED))], "111242"),
        ([read(films.dx(), PRESENT), not_read(films.cr(), Reason.VIEW)], "111242"),
        ([read(films.dx(), ABSENT), not_read(films.cr(), Reason.VIEW)], "111241"),
        ([read(films.dx(), PRESENT), not_read(films.cr(), Reason.MODEL_ERROR)], "111244"),
        ([read(films.dx(), ABSENT), not_read(films.cr(), Reason.DECODE)], "111243"),
        ([not_read(films.dx(), Reason.VIEW), not_read(films.cr(), Reason.AGE)], "111245"),
    ],
)
def test_the_summary_code_states_analyses_and_findings(study: list[ReportedFilm], summary: str) -> None:
    assert _codes(_report(*study), "111017") == [summary]


@pytest.mark.parametrize("reason", list(Reason))
def test_a_film_not_analysed_has_its_reason_as_a_code_and_in_words(reason: Reason) -> None:
    report = _report(not_read(films.dx(), reason, "the detail"))
    assert _codes(report, "NOTPROC") == [reason.value]
    assert reason.meaning in _texts(report, "121111")[0]
    assert "the detail" in _texts(report, "121111")[0]
    assert _rows(report, "SCORE") == []
    assert len(_groups(report)) == 1
    shown(_for_ohif(not_read(films.dx(), reason, "the detail")))


def test_quality_is_asserted_only_where_it_prevented_the_analysis() -> None:
    assert _codes(_report(not_read(films.dx(), Reason.QUALITY)), "111050") == ["111235"]
    assert _codes(_report(not_read(films.dx(), Reason.VIEW)), "111050") == []
    assert _codes(_report(read(films.dx(), PRESENT)), "111050") == []


def test_a_document_is_partial_where_a_model_failed_on_a_film() -> None:
    study = [read(films.dx(), PRESENT), not_read(films.cr(), Reason.MODEL_ERROR)]
    assert _report(*study).CompletionFlag == "PARTIAL"
    assert _report(read(films.dx(), PRESENT), not_read(films.cr(), Reason.VIEW)).CompletionFlag == "COMPLETE"


def test_one_region_makes_one_closed_polygon_on_the_film() -> None:
    film = films.dx(rows=64, columns=48)
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(30, 40, 100),))
    region = _rows(_report(read(film, opacity)), "111030")
    assert len(region) == 1
    assert list(region[0].GraphicData) == [30, 40, 48, 40, 48, 64, 30, 64, 30, 40]
    assert region[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID


def test_several_regions_share_one_score() -> None:
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(1, 1, 9), square(20, 1, 9)))
    report = _report(read(films.dx(), opacity))
    assert len(_rows(report, "111030")) == 2
    assert len(_rows(report, "SCORE")) == 1


def test_a_region_that_encloses_nothing_on_the_film_is_not_drawn() -> None:
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, regions=(square(500, 500, 9),))
    report = _report(read(films.dx(), opacity))
    assert _rows(report, "111030") == []
    assert len(_rows(report, "SCORE")) == 1


def test_ohif_draws_regions_with_their_finding_and_score_and_the_ratio() -> None:
    regions = ["Opacity: 87.00 {score}", "Pneumothorax: 50.00 {score}", "Pneumothorax: 50.00 {score}"]
    ratio = ["Cardiothoracic ratio: 0.53 {ratio}"]
    for study in ([everything(films.dx())], [everything(films.dx()), not_read(films.cr(), Reason.VIEW)]):
        report = _for_ohif(*study)
        drawn = shown(report)
        assert len(drawn) == len(_groups(report))
        assert all(one.graphics == 1 for one in drawn)
        labels = [list(one.labels) for one in drawn]
        assert labels == [*([label] for label in regions), ratio, *([[]] * (len(study) - 1))]


@pytest.mark.parametrize("kind", [tid1500.REPORT, tid1500.REPORT_MEASUREMENTS], ids=lambda kind: str(kind.name))
def test_ohif_does_not_open_the_other_reports(kind: ResultKind) -> None:
    absent = finding("Cardiomegaly", 0.03, Presence.ABSENT)
    with pytest.raises(DoesNotOpen):
        shown(parsed(composed(kind, [read(films.dx(), PRESENT, absent)])))


def test_the_outline_of_a_whole_film_has_no_words() -> None:
    """The form for OHIF needs coordinates of a film on which nothing was measured."""
    report = _for_ohif(not_read(films.dx(rows=64, columns=48), Reason.VIEW))
    (place,) = [item for _, item in items(report) if item.ValueType == "SCOORD"]
    assert list(place.GraphicData) == [0, 0, 48, 0, 48, 64, 0, 64, 0, 0]
    (drawn,) = shown(report)
    assert drawn.labels == ()


def test_no_coordinates_are_those_of_the_whole_film() -> None:
    film = everything(films.dx(rows=64, columns=48))
    for kind in (tid1500.REPORT, tid1500.REPORT_MEASUREMENTS):
        places = [item for _, item in items(parsed(composed(kind, [film]))) if item.ValueType == "SCOORD"]
        assert places
        for place in places:
            data = [float(value) for value in place.GraphicData]
            assert (min(data[::2]), max(data[::2])) != (0, 48) or (min(data[1::2]), max(data[1::2])) != (0, 64)
            assert name_of(place) == "111030"


def test_a_report_of_two_findings_is_short_and_begins_with_the_impression() -> None:
    """The default report has less than 60 content items, and its impression before anything else."""
    ratio = everything(films.dx()).reading.measurements
    observations = (Observation(key="q", topic=Topic.QUALITY, code=concepts.QUALITY_ASSESSMENT, value=concepts.USABLE),)
    effusion = finding("Effusion", 0.8, Presence.PRESENT, laterality=Laterality.RIGHT, regions=(square(1, 1, 9),))
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, laterality=Laterality.LEFT, regions=(square(20, 1, 9),))
    film = read(films.dx(), opacity, effusion, measurements=ratio)
    film = replace(film, reading=replace(film.reading, observations=observations))

    report = _report(film)

    assert len(list(items(report))) < 60
    assert [name_of(item) for _, item in items(report)][:3] == ["126000", "121049", "121111"]


def test_the_procedure_is_that_of_the_film_or_a_plain_chest_radiograph() -> None:
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator = "36643-5", "LN"
    procedure.CodeMeaning = "XR Chest 2 Views"
    film = films.dx(changes={"ProcedureCodeSequence": [procedure]})
    assert _codes(_report(read(film, PRESENT)), "121058") == ["36643-5"]
    assert _codes(_report(read(films.dx(), PRESENT)), "121058") == ["399208008"]


def test_a_procedure_that_is_no_code_is_not_repeated() -> None:
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator, procedure.CodeMeaning = "", "LN", "XR Chest"
    film = films.dx(changes={"ProcedureCodeSequence": [procedure]})
    assert _codes(_report(read(film, PRESENT)), "121058") == ["399208008"]


def test_an_unpaired_structure_has_no_side() -> None:
    enlarged = finding("Cardiomegaly", 0.9, Presence.PRESENT, laterality=Laterality.LEFT)
    report = _report(read(films.dx(), enlarged))
    assert _codes(report, "363698007") == ["80891009"]
    assert _codes(report, "272741003") == []
    assert "left" not in _texts(report, "121111")[0]


def test_the_private_scheme_is_declared_with_its_uid() -> None:
    (scheme,) = _report(read(films.dx(), PRESENT)).CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99CXRNODE"
    assert scheme.CodingSchemeUID == codes.PRIVATE_SCHEME_UID


@pytest.mark.slow
def test_equal_content_is_one_instance_at_any_time_and_order() -> None:
    study = [read(films.dx(), PRESENT), read(films.cr(), ABSENT), not_read(films.sc(), Reason.VIEW)]
    later = NOW + timedelta(days=3)
    identities = {
        composed(tid1500.REPORT, order, now=now).identity for order in permutations(study) for now in (NOW, later)
    }
    assert len(identities) == 1


def test_other_content_is_another_instance_in_the_same_series() -> None:
    first = composed(tid1500.REPORT, [read(films.dx(), PRESENT)]).identity
    second = composed(tid1500.REPORT, [read(films.dx(), ABSENT)]).identity
    assert first.sop_instance_uid != second.sop_instance_uid
    assert first.series_instance_uid == second.series_instance_uid


def test_another_software_or_node_makes_another_instance() -> None:
    film = read(films.dx(), PRESENT)
    nodes = [NODE, Observer(name="TESTNODE", serial_number="7", software_version="10"), Observer(name="OTHER")]
    assert len({composed(tid1500.REPORT, [film], observer=node).identity.sop_instance_uid for node in nodes}) == 3
    assert len({composed(tid1500.REPORT, [film], observer=node).identity.series_instance_uid for node in nodes}) == 2


def test_a_finding_keeps_its_tracking_uid_when_it_is_read_again() -> None:
    def trackers(film: ReportedFilm) -> list[str]:
        return [str(row.UID) for row in _rows(_report(film), "112040")]

    assert trackers(read(films.dx(), PRESENT)) == trackers(read(films.dx(), ABSENT))


def test_a_new_version_names_the_one_it_replaces() -> None:
    old = composed(tid1500.REPORT, [not_read(films.dx(), Reason.TIMEOUT)])
    new = composed(tid1500.REPORT, [read(films.dx(), PRESENT)], earlier=[previous(old)])
    predecessors = parsed(new).PredecessorDocumentsSequence
    series = predecessors[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == new.identity.series_instance_uid
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old.identity.sop_instance_uid
    assert parsed(new).InstanceNumber == 2


def test_times_are_in_the_offset_of_the_source() -> None:
    report = _report(read(films.dx(changes={"TimezoneOffsetFromUTC": "+0900"}), PRESENT))
    assert (report.ContentDate, report.ContentTime) == ("20260301", "213015.000000")
    assert report.TimezoneOffsetFromUTC == "+0900"


def test_no_offset_is_invented_where_the_source_has_none() -> None:
    report = _report(read(films.dx(), PRESENT))
    assert "TimezoneOffsetFromUTC" not in report
    assert report.ContentTime == "123015.000000"


def test_the_orders_of_the_film_are_the_orders_of_the_report() -> None:
    order = Dataset()
    order.RequestedProcedureID = "RP-1"
    order.AccessionNumber = "ACC-1"
    report = _report(read(films.dx(changes={"RequestAttributesSequence": [order]}), PRESENT))
    request = report.ReferencedRequestSequence[0]
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP-1", "ACC-1")
    assert request.StudyInstanceUID == report.StudyInstanceUID
    assert request["PlacerOrderNumberImagingServiceRequest"].is_empty


def test_the_modality_is_contributing_equipment_not_manufacturer() -> None:
    report = _report(read(films.dx(changes={"Manufacturer": "Maker of detectors"}), PRESENT))
    assert report.Manufacturer == NODE.manufacturer
    names = [str(item.Manufacturer) for item in report.ContributingEquipmentSequence]
    assert names == ["Maker of detectors", "cxr-node developers"]


_OTHER_PATIENT: Sequence[dict[str, object]] = (
    {"PatientID": "SOMEONE-ELSE"},
    {"PatientName": "Someone^Else"},
    {"PatientBirthDate": "19010101"},
)


@pytest.mark.parametrize("changes", _OTHER_PATIENT)
def test_films_that_disagree_about_the_patient_make_no_report(changes: dict[str, object]) -> None:
    study = [read(films.dx(), PRESENT), read(films.cr(changes=changes), PRESENT)]
    with pytest.raises(GiveUp) as given_up:
        composed(tid1500.REPORT, study)
    assert given_up.value.reason is Reason.IDENTITY
    assert not any(str(value) in str(given_up.value) for value in changes.values())


def test_films_of_two_studies_make_no_report() -> None:
    with pytest.raises(GiveUp) as given_up:
        composed(tid1500.REPORT, [read(films.dx(), PRESENT), read(films.cr(seed=1), PRESENT)])
    assert given_up.value.reason is Reason.IDENTITY


def test_a_reading_is_never_reported_under_another_films_header() -> None:
    film = read(films.dx(), PRESENT)
    with pytest.raises(GiveUp) as given_up:
        composed(tid1500.REPORT, [ReportedFilm(header=films.cr(), reading=film.reading)])
    assert given_up.value.reason is Reason.IDENTITY


def test_a_study_without_films_makes_no_report() -> None:
    with pytest.raises(ValueError, match="at least one film"):
        composed(tid1500.REPORT, [])


def test_absent_patient_attributes_are_empty_in_the_report() -> None:
    absent = dict.fromkeys(["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyTime"])
    report = _report(read(films.cr(changes=absent), PRESENT))
    for keyword in absent:
        assert report[keyword].is_empty


def test_the_time_of_the_request_is_used_and_not_the_clock() -> None:
    moment = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
    report = parsed(composed(tid1500.REPORT, [read(films.dx(), PRESENT)], now=moment))
    assert report.InstanceCreationDate == report.ContentDate == "19991231"
