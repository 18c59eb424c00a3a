"""Builders of studies for the tests of reports: films with readings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.comparison import Change, ComparedValue, Comparison
from cxr_node.domain.film_geometry import Geometry, PixelSpacing, SpacingSource, View, ViewSource
from cxr_node.domain.identifiers import Digest, Uid, digest_of
from cxr_node.domain.instance import Identity, Instance
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import (
    Finding,
    Laterality,
    Measurement,
    ModelIdentity,
    Point,
    Prediction,
    Presence,
    Reading,
    Region,
    Structure,
)
from cxr_node.domain.reasons import Note, Reason
from cxr_node.report import codes
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ComposeRequest, Observer, PreviousReport, ReportedFilm
from tests.support import films

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
NODE = Observer(name="TESTNODE", serial_number="7", software_version="9.9")
WEIGHTS = digest_of(b"weights")
PATIENT_KEY = digest_of(b"patient")
MODEL = ModelIdentity(
    name="chest-opacity",
    version="1.0",
    manufacturer="cxr-node developers",
    weights_digest=WEIGHTS,
    preparation="whole film, 320 x 320",
    operating_points="Lung Opacity=0.5, undetermined 0.45 to 0.55",
)


def identity_of(header: Dataset, patient_key: Digest = PATIENT_KEY) -> Identity:
    """Return the identity of a film, with UIDs from its raw bytes."""
    return Identity(
        sop_class_uid=_uid(header, "SOPClassUID"),
        sop_instance_uid=_uid(header, "SOPInstanceUID"),
        series_instance_uid=_uid(header, "SeriesInstanceUID"),
        study_instance_uid=_uid(header, "StudyInstanceUID"),
        patient_key=patient_key,
    )


def square(left: float, top: float, side: float) -> Region:
    """Return a square with its upper left corner at (left, top)."""
    corners: tuple[Point, ...] = ((left, top), (left + side, top), (left + side, top + side), (left, top + side))
    return Region(outline=corners)


def finding(
    key: str,
    score: float,
    presence: Presence,
    *,
    laterality: Laterality | None = None,
    regions: tuple[Region, ...] = (),
    calibrated: bool = False,
) -> Finding:
    """Return a finding with code and site of its label."""
    code, site, _ = codes.FINDINGS[key]
    return Finding(
        key=key,
        code=code,
        site=site,
        score=score,
        operating_point=0.5,
        presence=presence,
        laterality=laterality,
        regions=regions,
        calibrated=calibrated,
    )


def read(
    header: Dataset,
    *findings: Finding,
    measurements: tuple[Measurement, ...] = (),
    notes: tuple[Note, ...] = (),
    patient_key: Digest = PATIENT_KEY,
    view: View = View.PA,
    structures: tuple[Structure, ...] = (),
) -> ReportedFilm:
    """Return a film that was read."""
    rows, columns = _size(header)
    geometry = Geometry(
        rows=rows,
        columns=columns,
        spacing=PixelSpacing(row_mm=0.2, column_mm=0.2, source=SpacingSource.DETECTOR),
        view=view,
        view_source=ViewSource.VIEW_POSITION,
        patient_orientation=("L", "F"),
    )
    reading = Reading(
        film=identity_of(header, patient_key),
        geometry=geometry,
        grayscale="window 2048/4096",
        prediction=Prediction(
            model=MODEL,
            findings=findings,
            analysed_area=square(0, 0, max(rows, columns) * 2),
            structures=structures,
        ),
        measurements=measurements,
        notes=notes,
    )
    return ReportedFilm(header=header, reading=reading)


def compared(
    film: ReportedFilm,
    ratio: float,
    prior_ratio: float,
    *,
    change: Change = Change.BEYOND,
    with_report: bool = True,
    values: tuple[ComparedValue, ...] = (),
) -> ReportedFilm:
    """Return a film compared with a prior film of 2025-03-02, and its report."""
    prior = replace(
        identity_of(films.dx(seed=77)), sop_class_uid=film.reading.film.sop_class_uid, patient_key=PATIENT_KEY
    )
    report = replace(
        prior, sop_class_uid=Uid(Comprehensive3DSRStorage), sop_instance_uid=Uid(f"{prior.sop_instance_uid}.1")
    )
    of_ratio = ComparedValue(
        key="CTR",
        code=codes.MEASUREMENTS["CTR"],
        unit=codes.RATIO,
        value=ratio,
        prior_value=prior_ratio,
        change=change,
        limit=None if change is Change.NOT_JUDGED else 0.02,
    )
    comparison = Comparison(
        prior=prior,
        prior_date="2025-03-02",
        values=(of_ratio, *values),
        prior_report=report if with_report else None,
    )
    return replace(film, comparison=comparison)


def not_read(header: Dataset, reason: Reason, detail: str = "") -> ReportedFilm:
    """Return a film that was not analysed."""
    reading = Reading(
        film=identity_of(header), geometry=None, grayscale="", prediction=None, not_analysed=reason, detail=detail
    )
    return ReportedFilm(header=header, reading=reading)


def everything(header: Dataset) -> ReportedFilm:
    """Return a film with every kind of finding: one region, several, none; present, undetermined, absent; a caliper.

    A lung is outlined with a hole in it, the heart as a square, ribs that have no standard code, and no other lung.
    """
    rows, columns = _size(header)
    side = min(rows, columns) / 8
    ratio = Measurement(
        key="CTR",
        code=codes.MEASUREMENTS["CTR"],
        value=0.53,
        unit=codes.RATIO,
        line=((side, rows / 2), (side * 5, rows / 2)),
        provenance="widest heart over widest thorax",
    )
    two = (square(side, side, side), square(4 * side, side, side))
    return read(
        header,
        finding(
            "Lung Opacity", 0.873, Presence.PRESENT, laterality=Laterality.LEFT, regions=(square(0, 3 * side, side),)
        ),
        finding("Pneumothorax", 0.5, Presence.UNDETERMINED, regions=two),
        finding("Cardiomegaly", 0.03, Presence.ABSENT),
        measurements=(ratio,),
        notes=(Note.BURNED_IN_TEXT, Note.NO_VOI),
        structures=(
            Structure(
                key=Anatomy.RIGHT_LUNG,
                confidence=0.91,
                regions=(square(side, side, 2 * side), square(side * 1.5, side * 1.5, side / 2)),
            ),
            Structure(key=Anatomy.LEFT_LUNG, confidence=0.0, regions=()),
            Structure(key=Anatomy.HEART, confidence=0.88, regions=(square(3 * side, 4 * side, 2 * side),)),
            Structure(key=Anatomy.POSTERIOR_RIBS, confidence=0.7, regions=(square(side, side, side),)),
        ),
    )


def gray(film: ReportedFilm) -> Radiograph:
    """Return a uniform gray film of the size in its reading."""
    geometry = film.reading.geometry
    if geometry is None:
        raise ValueError("a film that was not read")
    pixels = np.full((geometry.rows, geometry.columns), 0x8000, np.uint16)
    return Radiograph(p_values=pixels, geometry=geometry, grayscale="gray")


def request(
    reported: Sequence[ReportedFilm],
    *,
    observer: Observer = NODE,
    now: datetime = NOW,
    earlier: Sequence[PreviousReport] = (),
) -> ComposeRequest:
    """Return a request to compose the results of a study of gray films."""
    return ComposeRequest(
        films=reported, load_film=lambda film: reduce_film(gray(film)), observer=observer, now=now, earlier=earlier
    )


def composed(
    kind: ResultKind,
    reported: Sequence[ReportedFilm],
    *,
    observer: Observer = NODE,
    now: datetime = NOW,
    earlier: Sequence[PreviousReport] = (),
) -> Instance:
    """Return the one result of a kind on a study."""
    (result,) = kind.compose(request(reported, observer=observer, now=now, earlier=earlier))
    return result


def previous(instance: Instance, composed_at: datetime = NOW) -> PreviousReport:
    """Return a result as an earlier one."""
    identity = instance.identity
    return PreviousReport(
        sop_class_uid=identity.sop_class_uid,
        sop_instance_uid=identity.sop_instance_uid,
        series_instance_uid=identity.series_instance_uid,
        study_instance_uid=identity.study_instance_uid,
        composed_at=composed_at,
    )


def parsed(instance: Instance) -> Dataset:
    """Return the data set of an instance as a peer reads it."""
    return dcmread(BytesIO(instance.content))


def with_bytes(header: Dataset, values: Mapping[str, bytes]) -> Dataset:
    """Return `header` with raw, undecoded element values."""
    for keyword, value in values.items():
        tag = Tag(keyword)
        header[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    return header


def _size(header: Dataset) -> tuple[int, int]:
    return int(header.get("Rows", 1000)), int(header.get("Columns", 800))


def _uid(header: Dataset, keyword: str) -> Uid:
    value = header.get_item(keyword).value
    return Uid(value.decode().rstrip("\0") if isinstance(value, bytes) else str(value))
