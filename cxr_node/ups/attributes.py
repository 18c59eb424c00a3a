"""Data sets of the Unified Procedure Step service (PS3.4 table CC.2.5-3): what is asked, set, and read."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby

from pydicom.dataset import Dataset

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import AeTitle, Uid, parse_ae_title, parse_uid
from cxr_node.domain.procedure_step import (
    FinalState,
    RetrievalPlace,
    StepDetails,
    StepInput,
    StepOutput,
    StepProgress,
)

IN_PROGRESS, COMPLETED, CANCELED, SCHEDULED = "IN PROGRESS", "COMPLETED", "CANCELED", "SCHEDULED"
"""Procedure Step State (0074,1000), with a blank and no underscore (PS3.3 section C.30.1)."""

RETURN_KEYS = (
    "SOPInstanceUID",
    "ScheduledProcedureStepPriority",
    "ScheduledProcedureStepStartDateTime",
    "InputReadinessState",
)
SEARCHED_KEYWORDS = (
    *RETURN_KEYS,
    "ProcedureStepState",
    "WorklistLabel",
    "ScheduledWorkitemCodeSequence",
    "ScheduledStationNameCodeSequence",
)
"""Attributes of an answer to a query."""
DETAIL_KEYWORDS = (
    "ProcedureStepState",
    "ScheduledWorkitemCodeSequence",
    "InputInformationSequence",
    "StudyInstanceUID",
    "UnifiedProcedureStepPerformedProcedureSequence",
)
"""Attributes that N-GET asks for."""

_PRIORITIES = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}


def code_item(code: Code) -> Dataset:
    """Return an item of a code sequence (PS3.3 table 8.8-1)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def query(*, workitem: Code | None, station: Code | None, label: str) -> Dataset:
    """Return the Identifier of C-FIND: SCHEDULED steps of a workitem, a station and a worklist (section CC.2.8)."""
    identifier = Dataset()
    for keyword in RETURN_KEYS:
        setattr(identifier, keyword, "")
    identifier.ProcedureStepState = SCHEDULED
    identifier.WorklistLabel = label
    identifier.ScheduledWorkitemCodeSequence = [_matching(workitem)]
    identifier.ScheduledStationNameCodeSequence = [_matching(station)]
    return identifier


def _matching(code: Code | None) -> Dataset:
    item = Dataset()
    item.CodeValue = "" if code is None else code.value
    item.CodingSchemeDesignator = "" if code is None else code.scheme_designator
    return item


def matches(response: Dataset, *, workitem: Code | None, station: Code | None, label: str) -> bool:
    """Whether a response is what was asked for, and its inputs are ready: some managers do not match every key."""
    state = str(response.get("ProcedureStepState") or SCHEDULED)
    is_ready = str(response.get("InputReadinessState") or "READY") == "READY"
    has_label = not label or str(response.get("WorklistLabel") or label) == label
    return (
        state == SCHEDULED
        and is_ready
        and has_label
        and _has(response, "ScheduledWorkitemCodeSequence", workitem)
        and _has(response, "ScheduledStationNameCodeSequence", station)
    )


def _has(response: Dataset, keyword: str, wanted: Code | None) -> bool:
    if wanted is None:
        return True
    codes = [_code(item) for item in response.get(keyword) or ()]
    return any(code is not None and _key(code) == _key(wanted) for code in codes)


def _key(code: Code) -> tuple[str, str]:
    return code.value, code.scheme_designator


def claim_order(response: Dataset) -> tuple[int, str]:
    """Return the sort key of a step that may be claimed: priority, then scheduled start."""
    priority = _PRIORITIES.get(str(response.get("ScheduledProcedureStepPriority") or ""), 1)
    return priority, str(response.get("ScheduledProcedureStepStartDateTime") or "")


def claimable(responses: Iterable[Dataset], *, workitem: Code | None, station: Code | None, label: str) -> list[Uid]:
    """Return the steps of the responses to a query that may be claimed, the most urgent first."""
    wanted = [one for one in responses if matches(one, workitem=workitem, station=station, label=label)]
    uids = (_uid_or_empty(str(one.get("SOPInstanceUID") or "")) for one in sorted(wanted, key=claim_order))
    return list(dict.fromkeys(Uid(uid) for uid in uids if uid))


def details(attributes: Dataset) -> StepDetails:
    """Return a step by the Attribute List of N-GET; instances without valid UIDs are left out."""
    workitems = [_code(item) for item in attributes.get("ScheduledWorkitemCodeSequence") or ()]
    items = attributes.get("InputInformationSequence") or ()
    inputs = (one for item in items for one in _inputs(item))
    studies = [str(item.get("StudyInstanceUID") or "") for item in items]
    stated = str(attributes.get("StudyInstanceUID") or "")
    return StepDetails(
        state=str(attributes.get("ProcedureStepState") or "").strip(),
        study_instance_uid=_uid_or_empty(stated or next(filter(None, studies), "")),
        workitem=next((code for code in workitems if code is not None), None),
        inputs=tuple({one.sop_instance_uid: one for one in inputs}.values()),
        outputs=_outputs(attributes),
    )


def _outputs(attributes: Dataset) -> frozenset[str] | None:
    """Return the SOP Instance UIDs of the outputs; None if the manager does not return the sequence, not even empty."""
    if "UnifiedProcedureStepPerformedProcedureSequence" not in attributes:
        return None
    items = [
        item
        for performed in attributes.UnifiedProcedureStepPerformedProcedureSequence
        for item in performed.get("OutputInformationSequence") or ()
    ]
    references = [reference for item in items for reference in item.get("ReferencedSOPSequence") or ()]
    return frozenset(str(reference.get("ReferencedSOPInstanceUID") or "") for reference in references)


def _inputs(item: Dataset) -> Iterable[StepInput]:
    """Yield the instances of an item of Input Information Sequence (PS3.3 table 10-3b)."""
    titles = [str(one.get("RetrieveAETitle") or "") for one in item.get("DICOMRetrievalSequence") or ()]
    urls = [str(one.get("RetrieveURL") or "") for one in item.get("WADORSRetrievalSequence") or ()]
    places = [RetrievalPlace(ae_title=title) for one in titles if (title := _title(one)) is not None]
    places += [RetrievalPlace(url=url) for url in urls if url]
    for one in item.get("ReferencedSOPSequence") or ():
        sop_class_uid = _uid_or_empty(str(one.get("ReferencedSOPClassUID") or ""))
        sop_instance_uid = _uid_or_empty(str(one.get("ReferencedSOPInstanceUID") or ""))
        if sop_class_uid and sop_instance_uid:
            yield StepInput(
                study_instance_uid=_uid_or_empty(str(item.get("StudyInstanceUID") or "")),
                series_instance_uid=_uid_or_empty(str(item.get("SeriesInstanceUID") or "")),
                sop_class_uid=Uid(sop_class_uid),
                sop_instance_uid=Uid(sop_instance_uid),
                places=tuple(places),
            )


def _title(text: str) -> AeTitle | None:
    try:
        return parse_ae_title(text.strip())
    except ValueError:
        return None


def _uid_or_empty(text: str) -> str:
    try:
        return parse_uid(text)
    except ValueError:
        return ""


def _code(item: Dataset) -> Code | None:
    """Return the code of an item; a meaning that is not ASCII is left to the coding scheme."""
    value, scheme = str(item.get("CodeValue") or ""), str(item.get("CodingSchemeDesignator") or "")
    if not (value and scheme and value.isascii() and scheme.isascii()):
        return None
    meaning = str(item.get("CodeMeaning") or "")
    return Code(value=value, scheme_designator=scheme, meaning=meaning if meaning and meaning.isascii() else value)


def state_change(state: str, transaction_uid: Uid) -> Dataset:
    """Return the Action Information of Change UPS State (section CC.2.1)."""
    information = Dataset()
    information.ProcedureStepState = state
    information.TransactionUID = transaction_uid
    return information


def progress_list(transaction_uid: Uid, progress: StepProgress) -> Dataset:
    """Return the Modification List of a step in progress (section CC.2.6)."""
    modifications = Dataset()
    modifications.TransactionUID = transaction_uid
    modifications.ProcedureStepProgressInformationSequence = [_progress_item(progress.percent)]
    modifications.UnifiedProcedureStepPerformedProcedureSequence = [_performed_item(progress)]
    return modifications


def final_list(transaction_uid: Uid, final: FinalState) -> Dataset:
    """Return the Modification List before the final state: what table CC.2.5-3 demands of COMPLETED or CANCELED."""
    item = _progress_item(final.progress.percent)
    if final.reason is not None:
        item.ProcedureStepCancellationDateTime = date_time(final.ended_at)
        item.ReasonForCancellation = final.reason.meaning
        item.ProcedureStepDiscontinuationReasonCodeSequence = [code_item(final.reason)]
    performed = _performed_item(final.progress)
    performed.PerformedProcedureStepEndDateTime = date_time(final.ended_at)
    performed.OutputInformationSequence = list(_output_items(final.outputs))
    modifications = Dataset()
    modifications.TransactionUID = transaction_uid
    modifications.ProcedureStepProgressInformationSequence = [item]
    modifications.UnifiedProcedureStepPerformedProcedureSequence = [performed]
    return modifications


def _progress_item(percent: int) -> Dataset:
    item = Dataset()
    item.ProcedureStepProgress = str(percent)
    return item


def _performed_item(progress: StepProgress) -> Dataset:
    item = Dataset()
    item.PerformedStationNameCodeSequence = [code_item(progress.station)]
    item.PerformedWorkitemCodeSequence = [code_item(progress.workitem)]
    item.PerformedProcedureStepStartDateTime = date_time(progress.started_at)
    item.OutputInformationSequence = []
    return item


def _output_items(outputs: Sequence[StepOutput]) -> Iterable[Dataset]:
    """Yield an item for each series and place (PS3.3 table 10-3b, Referenced Instances and Access Macro)."""

    def place(output: StepOutput) -> tuple[str, str, str]:
        return output.study_instance_uid, output.series_instance_uid, repr(output.retrievals)

    for (study_instance_uid, series_instance_uid, _), group in groupby(sorted(outputs, key=place), place):
        members = list(group)
        item = Dataset()
        item.TypeOfInstances = "DICOM"
        item.StudyInstanceUID, item.SeriesInstanceUID = study_instance_uid, series_instance_uid
        item.ReferencedSOPSequence = [_reference(output) for output in members]
        titles = [place.ae_title for place in members[0].retrievals if place.ae_title is not None]
        if titles:
            item.DICOMRetrievalSequence = [_titled(title) for title in titles]
        urls = [place.url for place in members[0].retrievals if place.url]
        if urls:
            path = f"/studies/{study_instance_uid}/series/{series_instance_uid}"
            item.WADORSRetrievalSequence = [_addressed(url.rstrip("/") + path) for url in urls]
        yield item


def _reference(output: StepOutput) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = output.sop_class_uid, output.sop_instance_uid
    return item


def _titled(ae_title: str) -> Dataset:
    item = Dataset()
    item.RetrieveAETitle = ae_title
    return item


def _addressed(url: str) -> Dataset:
    item = Dataset()
    item.RetrieveURL = url
    return item


def date_time(at: datetime) -> str:
    """Return a time as DT in UTC, with its offset (PS3.5 table 6.2-1)."""
    return f"{at.astimezone(UTC):%Y%m%d%H%M%S.%f}+0000"
