"""Data sets, statuses and states of Unified Procedure Steps."""

import pytest
from pydicom.dataset import Dataset

from cxr_node.domain.codes import dcm
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.procedure_step import (
    OPEN,
    TRANSITIONS,
    ClaimState,
    FinalState,
    RetrievalPlace,
    StepAnswer,
    StepOutput,
    StepProgress,
)
from cxr_node.ups import attributes
from cxr_node.ups.application_entity import DicomWorklist
from cxr_node.ups.statuses import answer_of
from cxr_node.ups.worklist import WorklistKind, code_of
from cxr_node.ups.worklists import WORKLISTS
from tests.support.queue import NOON

WORKITEM = dcm("110003", "Computer Aided Diagnosis")
PROGRESS = StepProgress(percent=100, station=dcm("CXR1", "CXR1"), workitem=WORKITEM, started_at=NOON)


def _output(number: int, *retrievals: RetrievalPlace, series: str = "1.2.1") -> StepOutput:
    return StepOutput(
        study_instance_uid=Uid("1.2"),
        series_instance_uid=Uid(series),
        sop_class_uid=Uid("1.2.840.10008.5.1.4.1.1.88.34"),
        sop_instance_uid=Uid(f"1.2.1.{number}"),
        retrievals=retrievals,
    )


def test_every_open_state_can_end_and_no_ended_one_is_open() -> None:
    assert set(TRANSITIONS) == set(ClaimState)
    for state in ClaimState:
        reached = {state}
        for _ in TRANSITIONS:
            reached = reached.union(*(TRANSITIONS[one] for one in reached))
        assert reached - OPEN, state
    assert TRANSITIONS[ClaimState.COMPLETED] == TRANSITIONS[ClaimState.CANCELED] == frozenset()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (0x0000, StepAnswer.DONE),
        (0xB304, StepAnswer.DONE),
        (0xB306, StepAnswer.DONE),
        (0xC300, StepAnswer.ENDED),
        (0xC301, StepAnswer.TAKEN),
        (0xC302, StepAnswer.IN_PROGRESS),
        (0xC303, StepAnswer.RETRY),
        (0xC304, StepAnswer.NOT_MET),
        (0xC307, StepAnswer.UNKNOWN),
        (0xC310, StepAnswer.NOT_CLAIMED),
        (0x0110, StepAnswer.RETRY),
    ],
)
def test_each_status_has_one_meaning(status: int, answer: StepAnswer) -> None:
    assert answer_of(status) is answer


def test_results_of_one_series_and_place_are_one_output_item() -> None:
    archive, web = RetrievalPlace(ae_title=AeTitle("PACS")), RetrievalPlace(url="https://web.example.org/dicom-web/")
    outputs = [_output(1, archive, web), _output(2, archive, web), _output(3, archive), _output(4, web, series="1.2.2")]

    modifications = attributes.final_list(Uid("1.9"), FinalState(progress=PROGRESS, ended_at=NOON, outputs=outputs))

    (performed,) = modifications.UnifiedProcedureStepPerformedProcedureSequence
    items = performed.OutputInformationSequence
    instances = [[str(one.ReferencedSOPInstanceUID) for one in item.ReferencedSOPSequence] for item in items]
    assert sorted(instances) == [["1.2.1.1", "1.2.1.2"], ["1.2.1.3"], ["1.2.1.4"]]
    (both,) = [item for item in items if len(item.ReferencedSOPSequence) == 2]
    assert both.DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"
    address = "https://web.example.org/dicom-web/studies/1.2/series/1.2.1"
    assert both.WADORSRetrievalSequence[0].RetrieveURL == address
    assert performed.PerformedProcedureStepEndDateTime.endswith("+0000")


def test_inputs_without_valid_uids_are_left_out() -> None:
    def reference(uid: str) -> Dataset:
        one = Dataset()
        one.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        one.ReferencedSOPInstanceUID = uid
        return one

    item = Dataset()
    item.ReferencedSOPSequence = [reference("1.2.3"), reference("1.2.3"), reference(""), Dataset()]
    item.StudyInstanceUID = "1.2"
    step = Dataset()
    step.InputInformationSequence = [item, Dataset()]
    step.ScheduledWorkitemCodeSequence = [Dataset(), attributes.code_item(WORKITEM)]

    details = attributes.details(step)

    assert [one.sop_instance_uid for one in details.inputs] == ["1.2.3"]
    assert (details.study_instance_uid, details.workitem, details.state) == ("1.2", WORKITEM, "")


def test_a_code_that_is_not_ascii_keeps_its_value_as_meaning() -> None:
    step = Dataset()
    step.ScheduledWorkitemCodeSequence = [attributes.code_item(dcm("110003", "Prüfung"))]

    assert attributes.details(step).workitem == dcm("110003", "110003")


@pytest.mark.parametrize("text", ["110003", "110003^DCM", "1^DCM^a^b", "^DCM^a", "a b^DCM^x", "1^DCM^ä"])
def test_a_code_of_the_settings_has_three_parts(text: str) -> None:
    row = DicomWorklist.example().model_dump()
    with pytest.raises(ValueError, match="expected a code"):
        DicomWorklist.model_validate({**row, "workitem": text})


@pytest.mark.parametrize("kind", WORKLISTS)
def test_a_worklist_is_narrowed_to_this_node(kind: type[WorklistKind]) -> None:
    row = kind.example().model_dump()
    bare = kind.model_validate({**row, "workitem": "", "label": "chest"})

    assert list(bare.contradictions("ups.worklists.ris")) == [
        "ups.worklists.ris: set workitem or station, or the steps of every other performer are claimed too"
    ]
    assert code_of("") is None
