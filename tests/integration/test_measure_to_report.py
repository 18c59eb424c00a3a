"""Measurements and their places in report and picture, which outside validators and a viewer accept."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom.dataset import Dataset

from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Laterality, Prediction, Presence
from cxr_node.domain.result_names import MEASUREMENT_NAMES
from cxr_node.infer.card import RatioTable, ScoreLimits
from cxr_node.infer.findings import cardiomegaly
from cxr_node.measure.film import measure_film
from cxr_node.phantom.dicom import dataset
from cxr_node.phantom.film import film
from cxr_node.phantom.pathology import Kind, Pathology, Zone
from cxr_node.phantom.truth_types import PhantomFilm
from cxr_node.records import readings
from cxr_node.report import codes
from cxr_node.report.impression import impression_of
from cxr_node.report.kinds import presentation_state, tid1500
from cxr_node.report.languages.registry import ENGLISH, LANGUAGES
from cxr_node.report.pictures import overlay
from cxr_node.report.pictures.picture import films
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.tree import children_of, items, lines, name_of
from tests.support.node import MAX_WAIT_S, InProcessNode, StubNetwork, received
from tests.support.phantom_outlines import radiograph, structures
from tests.support.stub_prediction import prediction
from tests.support.validators import iod_errors, sr_errors, state_errors
from tests.unit.report.ohif import shown
from tests.unit.report.studies import NOW, composed, parsed, read

pytestmark = pytest.mark.ci_on_postgresql


@cache
def phantom_film(view: View = View.PA) -> PhantomFilm:
    torch.set_num_threads(1)
    filled = Pathology(kind=Kind.CONSOLIDATION, side=Laterality.RIGHT, zone=Zone.MIDDLE, severity=0.95)
    return film(seed=21, view=view, rows=256, columns=256, pathology=[filled])


def reported(view: View = View.PA, *, outlined: bool = True) -> ReportedFilm:
    """Return a phantom that was read and measured, with its header."""
    one = phantom_film(view)
    outlines = structures(one) if outlined else ()
    record = measure_film(radiograph(one), outlines)
    source = read(dataset(one, now=NOW), view=view)
    assert source.reading.prediction is not None
    prediction = replace(source.reading.prediction, structures=outlines)
    reading = replace(
        source.reading,
        geometry=radiograph(one).geometry,
        prediction=prediction,
        measurements=record.measurements,
        observations=record.observations,
    )
    return ReportedFilm(header=source.header, reading=reading)


def by_ratio(source: ReportedFilm, *, limit: float) -> ReportedFilm:
    """Return the film with the finding cardiomegaly by its ratio, present from `limit` up."""
    assert source.reading.prediction is not None
    assert source.reading.geometry is not None
    limits = ScoreLimits(score=limit, undetermined_from=limit, undetermined_to=limit)
    table = RatioTable(pa=limits, ap=limits, network_sha256="0" * 64)
    added = cardiomegaly(table, source.reading.measurements, source.reading.geometry.view)
    predicted = replace(source.reading.prediction, findings=(*source.reading.prediction.findings, *added))
    return ReportedFilm(header=source.header, reading=replace(source.reading, prediction=predicted))


def measurements(source: ReportedFilm) -> Dataset:
    """Return the report of all measurements of a film."""
    return parsed(composed(tid1500.REPORT_MEASUREMENTS, [source]))


def test_validators_find_no_error_in_a_report_of_measurements(tmp_path: Path) -> None:
    for number, source in enumerate(
        (reported(), reported(View.AP), reported(outlined=False), by_ratio(reported(), limit=0.3))
    ):
        for kind in (tid1500.REPORT, tid1500.REPORT_MEASUREMENTS, tid1500.REPORT_OHIF):
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(composed(kind, [source]).content)

            assert not iod_errors(path)
            assert not sr_errors(path)


def test_each_number_has_its_place_in_the_report_of_measurements() -> None:
    source = reported()

    numbers = [item for _, item in items(measurements(source)) if item.ValueType == "NUM"]

    # The ratio stands in the group on the film too.
    assert len(numbers) == len(source.reading.measurements) + 1
    assert all([child.ValueType for child in children_of(number)] == ["SCOORD"] for number in numbers)


def test_the_default_report_has_no_measurement_but_the_ratio() -> None:
    report = parsed(composed(tid1500.REPORT, [reported()]))

    assert [name_of(item) for _, item in items(report) if item.ValueType == "NUM"] == list(MEASUREMENT_NAMES)
    shown(parsed(composed(tid1500.REPORT_OHIF, [reported(outlined=False)])))


def test_zones_have_codes_of_snomed_and_no_finding_repeats_its_site() -> None:
    report = measurements(reported())

    sites = {
        str(item.ConceptCodeSequence[0].CodeValue)
        for _, item in items(report)
        if name_of(item) == codes.FINDING_SITE.value
    }
    assert {"281392002", "281393007", "281394001"} <= sites
    assert not [item for _, item in items(report) if name_of(item) == codes.FINDING.value]


def test_cardiomegaly_is_reported_with_ratio_and_limit_instead_of_a_score() -> None:
    source = by_ratio(reported(), limit=0.3)
    value = next(one.value for one in source.reading.measurements if one.key == "CTR")

    text = impression_of([source]).text
    report = parsed(composed(tid1500.REPORT, [source]))

    assert f"Suspected cardiomegaly (CTR {value:.2f}, threshold 0.30)." in text
    numbers = [item for _, item in items(report) if name_of(item) == "CTR"]
    assert [float(item.MeasuredValueSequence[0].NumericValue) for item in numbers] == [round(value, 2)] * 2
    in_german = impression_of([by_ratio(reported(), limit=0.9)], LANGUAGES["de"]).text
    assert "Kardiomegalie" in in_german


def test_an_obscured_border_has_its_lobe_and_line() -> None:
    report = measurements(reported())

    obscured = [item for _, item in items(report) if name_of(item) == concepts.OBSCURED.value]
    (border,) = [
        item for item in obscured if item.ConceptCodeSequence[0].CodeValue == concepts.RIGHT_HEART_BORDER.value
    ]
    below = {name_of(child): child for child in children_of(border)}

    assert codes.LATERALITY.value not in below  # its code names the side
    assert below[codes.FINDING_SITE.value].ConceptCodeSequence[0].CodeValue == concepts.MIDDLE_LOBE.value
    assert below[codes.IMAGE_REGION.value].GraphicType == "POLYLINE"


def test_quality_is_asserted_in_codes_of_dicom() -> None:
    report = parsed(composed(tid1500.REPORT, [reported(View.AP)]))

    quality = [item for _, item in items(report) if name_of(item) == codes.QUALITY_ASSESSMENT.value]

    assert [item.ConceptCodeSequence[0].CodeValue for item in quality] == ["111236"]


def test_a_measurement_that_failed_is_reported_with_its_reason() -> None:
    report = measurements(reported(outlined=False))

    text = [line for _, line in lines(report)]

    assert "Not measurable: Cardiothoracic ratio" in text
    assert "Comment: no heart outlined" in text
    assert not [item for _, item in items(report) if item.ValueType == "NUM" and name_of(item) == "CTR"]


def test_the_impression_has_ratio_and_quality_and_no_other_measurement() -> None:
    report = parsed(composed(tid1500.REPORT, [reported(View.AP)]))

    (summary,) = [str(item.TextValue) for _, item in items(report) if name_of(item) == codes.SUMMARY.value]

    assert re.search(r"CTR 0\.\d\d \(normal < 0\.50; AP film: the heart is magnified\)\.\n", summary)
    assert re.search(r"Image quality: usable with limits \(projection.*\)\.", summary)
    assert "Share of the zone" not in summary
    assert "Border obscured" not in summary


def test_a_picture_shows_what_it_is_for() -> None:
    """Findings with the caliper of the ratio; in the other picture calipers and obscured borders."""
    source = reported()
    bare = replace(source, reading=replace(source.reading, measurements=(), observations=()))
    film = radiograph(phantom_film())

    for drawing, keys, border in (
        (overlay.FINDINGS, ("CTR", "MITD"), False),
        (overlay.ANATOMY, ("MTCD", "MITD"), True),
    ):
        drawn, plain = (np.asarray(films(reduce_film(film), one, ENGLISH, shown=drawing)[1]) for one in (source, bare))
        changed = (drawn != plain).any(2)
        lines = [one.line for one in source.reading.measurements if one.key in keys]
        if border:
            lines += [one.line for one in source.reading.observations if one.code == concepts.OBSCURED]
        assert len(lines) >= len(keys) + border
        scale = len(changed) / 256
        for points in lines:
            places = [(min(int(row * scale), 959), min(int(column * scale), 959)) for column, row in points]
            assert np.mean([changed[place] for place in places]) > 0.7


def test_a_presentation_state_has_calipers_and_obscured_borders(tmp_path: Path) -> None:
    marks = composed(presentation_state.PRESENTATION_STATE, [reported()])
    path = tmp_path / "marks.dcm"
    path.write_bytes(marks.content)

    layers = {str(one.GraphicLayer): one for one in parsed(marks).GraphicAnnotationSequence}
    texts = {
        name: [str(text.UnformattedTextValue) for text in one.get("TextObjectSequence", ())]
        for name, one in layers.items()
    }

    assert not state_errors(path)
    (ratio, *others) = texts["AI MEASUREMENTS"]
    assert re.fullmatch(r"CTR 0\.\d\d.* \(normal < 0\.50\)\r\nHeart \d+.mm", ratio)
    assert [re.sub(r" \((left|right)\)", "", re.sub(r"\d+", "0", text)) for text in others] == [
        "Chest 0\N{NO-BREAK SPACE}mm",
        "Trachea 0\N{NO-BREAK SPACE}mm",
        "Mediastinum 0\N{NO-BREAK SPACE}mm",
    ]
    assert "Border obscured: Right heart border (right) (Middle lobe of right lung)" in texts["AI BORDERS"]


def test_an_outlined_film_is_measured_stored_and_reported(database: Database, tmp_path: Path) -> None:
    one = phantom_film()

    def outlining(films: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        return tuple(replace(predicted, structures=structures(one)) for predicted in prediction(films))

    limits = ScoreLimits(score=0.3, undetermined_from=0.3, undetermined_to=0.3)
    table = RatioTable(pa=limits, ap=limits, network_sha256="0" * 64)
    node = InProcessNode(database, tmp_path, reader=StubNetwork(outlining, ratio_table=table))
    source = dataset(one, now=NOW)
    node.accept(source)
    node.turn(Stage.READ)
    node.clock.advance(seconds=MAX_WAIT_S)
    node.turn(Stage.COMPOSE)
    node.turn(Stage.DELIVER)

    (report,) = node.pacs.reports()
    with database.read() as connection:
        stored = readings.latest(connection, 1, received(source).identity)
    assert stored is not None
    measurements = {one.key: one for one in stored.measurements}
    ratio, _ = [item for _, item in items(report) if name_of(item) == "CTR"]
    assert one.truth.cardiothoracic_ratio is not None
    assert abs(measurements["CTR"].value - one.truth.cardiothoracic_ratio) <= 0.02
    assert float(ratio.MeasuredValueSequence[0].NumericValue) == round(measurements["CTR"].value, 2)
    assert stored.prediction is not None
    assert stored.prediction.findings[-1].key == concepts.CARDIOMEGALY_BY_RATIO
    assert stored.prediction.findings[-1].score == measurements["CTR"].value
    assert stored.prediction.findings[-1].presence is Presence.PRESENT
    (border,) = [one for one in stored.observations if one.key == "border/right_heart_border"]
    assert (border.code, border.site) == (concepts.OBSCURED, concepts.MIDDLE_LOBE)
