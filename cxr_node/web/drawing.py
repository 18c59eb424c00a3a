"""Readings as SVG shapes over their films, in layers. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cxr_node.domain import concepts
from cxr_node.domain.anatomy import Anatomy, key_without_side
from cxr_node.domain.hanging import hang_reading, states_sides, turn_of
from cxr_node.domain.reading import HeatMap, Measurement, NamedPoint, Observation, Point, Reading, Region, Topic
from cxr_node.report.labels import caliper_label, finding_label, measurement_label, observation_label
from cxr_node.report.pictures.overlay import ANGLES, CALIPERS, FINDING_COLORS, numbered_findings

_DRAWN = frozenset(
    {
        Anatomy.RIGHT_LUNG,
        Anatomy.LEFT_LUNG,
        Anatomy.HEART,
        Anatomy.AORTA,
        Anatomy.TRACHEA,
        Anatomy.RIGHT_CLAVICLE,
        Anatomy.LEFT_CLAVICLE,
    }
)
"""Ribs, scapulae and the spine are segmented but not drawn: they would cover the lungs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A line or outline over the film: SVG path in pixels of the film, and its name.

    `label` is written beside `at`. `mark` is the key of the finding or measurement that the shape belongs to.
    """

    path: str
    name: str
    style: str
    mark: str = ""
    label: str = ""
    at: Point = (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Shapes that are shown and hidden together: key, name on the page, and key on the keyboard."""

    key: str
    name: str
    shortcut: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Shapes over a film as it hangs, of `columns` by `rows` pixels, by layer."""

    columns: int
    rows: int
    layers: tuple[Layer, ...]

    def shapes(self, key: str) -> tuple[Shape, ...]:
        """Return the shapes of a layer."""
        return next(layer.shapes for layer in self.layers if layer.key == key)


def drawing(reading: Reading) -> Drawing | None:
    """Return a reading as shapes over its film as it hangs; None if the film's size is unknown."""
    reading = hang_reading(reading)
    if reading.geometry is None:
        return None
    arm = max(reading.geometry.columns, reading.geometry.rows) / 80
    layers = (
        ("outlines", "Outlines", "o", _findings(reading)),
        ("anatomy", "Anatomy", "a", _anatomy(reading, is_sided=states_sides(reading.geometry))),
        ("calipers", "Calipers", "c", _calipers(reading)),
        ("densities", "Densities", "d", _densities(reading)),
        ("borders", "Borders", "b", _borders(reading)),
        ("points", "Points", "p", _point_shapes(reading, arm=arm)),
    )
    return Drawing(
        columns=reading.geometry.columns,
        rows=reading.geometry.rows,
        layers=tuple(
            Layer(key=key, name=name, shortcut=shortcut, shapes=tuple(shapes)) for key, name, shortcut, shapes in layers
        ),
    )


def finding_colors(reading: Reading | None) -> Mapping[str, int]:
    """Return the number of the color, from 1, of each finding that is not absent, by its key."""
    findings = () if reading is None else numbered_findings(reading)
    return {finding.key: 1 + (number - 1) % len(FINDING_COLORS) for number, finding, _ in findings}


def _findings(reading: Reading) -> Iterator[Shape]:
    colors = finding_colors(reading)
    for finding in reading.prediction.findings if reading.prediction else ():
        for number, region in enumerate(finding.regions):
            yield Shape(
                path=_closed(region.outline),
                name=f"{finding.code.meaning}: where its score comes from",
                style=f"outline {finding.presence} color-{colors.get(finding.key, 1)}",
                mark=finding.key,
                label="" if number else finding_label(finding),
                at=min(region.outline, key=lambda point: point[1]),
            )


def _anatomy(reading: Reading, *, is_sided: bool) -> Iterator[Shape]:
    for structure in reading.prediction.structures if reading.prediction else ():
        if structure.regions and structure.key in _DRAWN:
            name = (structure.key if is_sided else key_without_side(structure.key)).replace("_", " ")
            yield Shape(
                path=" ".join(_closed(region.outline) for region in structure.regions),
                name=name,
                style=f"anatomy {structure.key}",
            )


def _calipers(reading: Reading) -> Iterator[Shape]:
    for measurement in reading.measurements:
        if measurement.key in (*CALIPERS, *ANGLES) and len(measurement.line) > 1:
            yield Shape(
                path=_open(measurement.line),
                name=measurement_label(measurement, reading),
                style="caliper",
                mark=measurement.key,
                label=caliper_label(measurement, reading),
                at=measurement.line[len(measurement.line) // 2 if measurement.key in ANGLES else 0],
            )


def _densities(reading: Reading) -> Iterator[Shape]:
    """Yield the zones of the lungs with their share of soft tissue, and metal."""
    values = {measurement.key: measurement.value for measurement in reading.measurements}
    for measurement in reading.measurements:
        share = values.get(measurement.key.replace("density/", "share_soft/"))
        if measurement.code == concepts.ZONE_DENSITY and share is not None and len(measurement.line) > 1:
            columns, rows = zip(*measurement.line, strict=True)
            yield Shape(
                path=_open(measurement.line),
                name=f"{_zone_name(measurement)}: {share:.0f} % as bright as soft tissue",
                style="zone",
                mark=measurement.key,
                label=f"{share:.0f} % soft",
                at=((min(columns) + max(columns)) / 2, (min(rows) + max(rows)) / 2),
            )
    for observation in reading.observations:
        if observation.code == concepts.METAL:
            path = " ".join(_closed(region.outline) for region in observation.regions)
            yield Shape(path=path, name=f"Metal: {observation.value.meaning}", style="metal")


def _zone_name(measurement: Measurement) -> str:
    site = measurement.site.meaning if measurement.site else "Lung zone"
    return f"{site}, {measurement.laterality}" if measurement.laterality else site


def _borders(reading: Reading) -> Iterator[Shape]:
    for observation in reading.observations:
        if observation.topic is Topic.BORDERS and len(observation.line) > 1:
            is_obscured = observation.code == concepts.OBSCURED
            yield Shape(
                path=_open(observation.line),
                name=observation_label(observation),
                style=f"border {_style_name(observation)}",
                label=observation_label(observation) if is_obscured else "",
                at=observation.line[len(observation.line) // 4],
            )


def _style_name(observation: Observation) -> str:
    return observation.code.meaning.lower().replace(" ", "-")


def _point_shapes(reading: Reading, *, arm: float) -> Iterator[Shape]:
    yield from (
        Shape(
            path=_cross(point.at, arm=arm),
            name=f"{_name(point)}, confidence {point.confidence:.2f}",
            style="point",
            label=point.code.meaning,
            at=point.at,
        )
        for point in (reading.prediction.visible_points if reading.prediction else ())
    )


def _name(point: NamedPoint) -> str:
    return point.code.meaning if point.laterality is None else f"{point.code.meaning}, {point.laterality}"


def hung_heat_map(heat_map: HeatMap, reading: Reading | None) -> HeatMap:
    """Return a heat map of a reading's film as this hangs."""
    geometry = None if reading is None else reading.geometry
    return heat_map if geometry is None else turn_of(geometry).heat_map(heat_map)


def hung_area(area: Sequence[Point], reading: Reading | None) -> tuple[Point, ...]:
    """Return the rectangle of a heat map on the film as it hangs."""
    geometry = None if reading is None else reading.geometry
    return tuple(area) if geometry is None else turn_of(geometry).rectangle(Region(outline=tuple(area))).outline


def _points(points: Iterable[Point]) -> str:
    return " L".join(f"{column:.1f} {row:.1f}" for column, row in points)


def _open(points: Iterable[Point]) -> str:
    return f"M{_points(points)}"


def _cross(at: Point, *, arm: float) -> str:
    column, row = at
    across, down = ((column - arm, row), (column + arm, row)), ((column, row - arm), (column, row + arm))
    return f"{_open(across)} {_open(down)}"


def _closed(points: Iterable[Point]) -> str:
    return f"M{_points(points)}Z"
