"""Result set of a study: the report comes last and refers to the other results of its run."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from cxr_node import pipeline
from cxr_node.composing.context import ComposeContext
from cxr_node.composing.route import Route
from cxr_node.db.database import Database
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Prediction
from cxr_node.process_pool.executor import InProcess
from cxr_node.queue import queue
from cxr_node.records import films as film_rows
from cxr_node.records import readings
from cxr_node.report.kinds import basic_text, key_objects, presentation_state, secondary_capture, tid1500
from cxr_node.report.source import Observer
from tests.support import films
from tests.support.node import InProcessNode, StubNetwork, with_region
from tests.support.queue import NOON
from tests.support.stub_prediction import prediction

pytestmark = pytest.mark.ci_on_postgresql


_KINDS = (
    tid1500.REPORT,
    basic_text.TEXT,
    secondary_capture.PICTURE,
    presentation_state.PRESENTATION_STATE,
    key_objects.KEY_IMAGES,
)


def _with_a_region(radiographs: Sequence[Radiograph]) -> tuple[Prediction, ...]:
    return tuple(with_region(one, ((4.0, 4.0), (20.0, 4.0), (20.0, 30.0))) for one in prediction(radiographs))


@pytest.fixture
def node(database: Database, tmp_path: Path) -> InProcessNode:
    return InProcessNode(database, tmp_path, reader=StubNetwork(answer=_with_a_region), kinds=_KINDS)


def _evidence(document: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def _is_report(document: Dataset) -> bool:
    return bool(document.SOPClassUID == tid1500.REPORT.result_type.sop_class_uid)


def test_the_report_is_sent_last_and_names_what_was_sent_before(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()

    received = node.pacs.reports()

    assert [one.Modality for one in received] == ["SR", "OT", "PR", "KO", "SR"]
    assert _is_report(received[-1])
    film_and_pictures = {films.dx().SOPInstanceUID, *(one.SOPInstanceUID for one in received[1:4])}
    assert _evidence(received[-1]) == film_and_pictures


def test_a_late_film_makes_a_report_that_names_old_and_new_results(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    node.clock.advance(minutes=5)
    node.accept(films.cr())
    node.work()

    received = node.pacs.reports()

    first, second = (one for one in received if _is_report(one))
    pictures = {str(one.SOPInstanceUID) for one in received if one.Modality in ("OT", "PR")}
    assert len(pictures) == 4
    assert pictures < _evidence(second)
    assert len(pictures & _evidence(first)) == 2
    key_images = [str(one.SOPInstanceUID) for one in received if one.Modality == "KO"]
    assert key_images[-1] in _evidence(second)


def test_a_film_read_again_with_the_same_results_sends_nothing(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    sent = len(node.pacs.received)
    with node.database.write() as transaction:
        queue.requeue(transaction, [1], actor="person/ann", now=node.clock.now)

    node.work()

    assert node.reader.calls == 2
    assert len(node.pacs.received) == sent


def test_a_report_names_nothing_that_no_destination_of_it_is_sent(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.work()
    with node.database.read() as connection:
        (film,) = film_rows.of_study(connection, 1)
        reading = readings.latest(connection, film.film_id, film.identity)
    assert reading is not None
    names = {"pacs": {"TID1500", "SC"}, "research": {"PR"}, "folder": {"TID1500"}}

    composed = pipeline.compose(
        [(film, reading)],
        [],
        executor=InProcess(ComposeContext(archive=node.archive, kinds=_KINDS, observer=Observer())),
        routes={name: Route(kinds=frozenset(kinds)) for name, kinds in names.items()},
        archive=node.archive,
        now=NOON,
    )

    *_, report = composed
    by_kind = {one.kind: one.instance.identity.sop_instance_uid for one in composed}
    assert set(by_kind) == {"SC", "PR", "TID1500"}
    assert report.destinations == ("pacs", "folder")
    assert _evidence(dcmread(BytesIO(report.instance.content))) == {films.dx().SOPInstanceUID, by_kind["SC"]}


def test_reports_on_two_patients_do_not_name_each_others_results(node: InProcessNode) -> None:
    node.accept(films.dx())
    node.accept(films.cr(changes={"PatientID": "SOMEONE-ELSE"}))
    node.work()

    reports = [one for one in node.pacs.reports() if _is_report(one)]

    assert {frozenset(_evidence(one)) for one in reports} == {
        frozenset({films.dx().SOPInstanceUID}),
        frozenset({films.cr().SOPInstanceUID}),
    }
