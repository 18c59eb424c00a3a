"""Pictures of films as they hang, and readings as SVG shapes over them."""

import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_node.domain.anatomy import Anatomy, key_without_side
from cxr_node.domain.errors import GiveUp, ProcessDied
from cxr_node.domain.hanging import hang_reading, states_sides, turn_of
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import KeptFile
from cxr_node.domain.reading import HeatMap, NamedPoint, Point, Reading, Region, Topic
from cxr_node.process_pool.executor import Executor
from cxr_node.report.pictures.overlay import CALIPERS
from cxr_node.wiring.pictures import PictureContext, render

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
_MAX_AGE_S = 86400.0
_CRASH_LIMIT = 2
_MOST_CRASHES = 1000


class Pictures:
    """Cache of pictures of archived films, in a folder; renders on first use in `executor`, one film at a time.

    A film that ended its process twice is not rendered again.
    """

    def __init__(self, executor: Executor[PictureContext], folder: Path) -> None:
        self._executor = executor
        self._folder = folder
        self._lock = threading.Lock()
        self._crashes: OrderedDict[str, int] = OrderedDict()

    def get(self, archive_key: str, digest: Digest, kind: str) -> bytes | None:
        """Return a PNG of a film, without metadata; None if the film cannot be rendered."""
        path = self._folder / digest[:2] / f"{digest}-{kind}.png"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        with self._lock:
            pngs = self._render(KeptFile(archive_key=archive_key, digest=digest))
        for name, picture in pngs.items():
            _write(self._folder / digest[:2] / f"{digest}-{name}.png", picture)
        return pngs.get(kind)

    def _render(self, film: KeptFile) -> dict[str, bytes]:
        if self._crashes.get(film.digest, 0) >= _CRASH_LIMIT:
            return {}
        try:
            (pngs,) = self._executor.map(render, [film])
        except ProcessDied:
            self._crashes[film.digest] = self._crashes.get(film.digest, 0) + 1
            if len(self._crashes) > _MOST_CRASHES:
                self._crashes.popitem(last=False)
            return {}
        except GiveUp:
            return {}
        return pngs

    def remove_old(self) -> int:
        """Remove pictures older than a day, so that none outlives its film by more; return their number."""
        old = [path for path in self._folder.glob("*/*.png") if time.time() - path.stat().st_mtime > _MAX_AGE_S]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(uuid.uuid4().hex)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.rename(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A line or outline over the film: SVG path in pixels of the film, and its name."""

    path: str
    name: str
    style: str
    label: str = ""
    at: Point = (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Shapes over a film as it hangs, of `columns` by `rows` pixels, by layer."""

    columns: int
    rows: int
    outlines: tuple[Shape, ...]
    anatomy: tuple[Shape, ...]
    calipers: tuple[Shape, ...]
    borders: tuple[Shape, ...]
    points: tuple[Shape, ...]

    @property
    def layers(self) -> Iterator[tuple[str, str, tuple[Shape, ...]]]:
        """Yield key, label and shapes of each layer."""
        yield "outlines", "Outlines", self.outlines
        yield "anatomy", "Anatomy", self.anatomy
        yield "calipers", "Calipers", self.calipers
        yield "borders", "Borders", self.borders
        yield "points", "Points", self.points


def drawing(reading: Reading) -> Drawing | None:
    """Return a reading as shapes over its film as it hangs; None if the film's size is unknown."""
    reading = hang_reading(reading)
    if reading.geometry is None:
        return None
    prediction = reading.prediction
    sided = states_sides(reading.geometry)
    return Drawing(
        columns=reading.geometry.columns,
        rows=reading.geometry.rows,
        outlines=tuple(
            Shape(
                path=_closed(region.outline),
                name=f"{finding.code.meaning}: where its score comes from",
                style=f"outline {finding.presence}",
                label="" if number else finding.code.meaning,
                at=min(region.outline, key=lambda point: point[1]),
            )
            for finding in (prediction.findings if prediction else ())
            for number, region in enumerate(finding.regions)
        ),
        anatomy=tuple(
            Shape(
                path=" ".join(_closed(region.outline) for region in structure.regions),
                name=(structure.key if sided else key_without_side(structure.key)).replace("_", " "),
                style=f"anatomy {structure.key}",
            )
            for structure in (prediction.structures if prediction else ())
            if structure.regions and structure.key in _DRAWN
        ),
        calipers=tuple(
            Shape(
                path=_open(measurement.line),
                name=f"{measurement.code.meaning} {measurement.value:.3g} {measurement.unit.value}",
                style="caliper",
                label=f"{CALIPERS[measurement.key]} {measurement.value:.3g} {measurement.unit.value}",
                at=measurement.line[0],
            )
            for measurement in reading.measurements
            if measurement.key in CALIPERS and len(measurement.line) > 1
        ),
        borders=tuple(
            Shape(
                path=_open(observation.line),
                name=f"{observation.code.meaning}: {observation.value.meaning}",
                style=f"border {observation.code.meaning.lower().replace(' ', '-')}",
            )
            for observation in reading.observations
            if observation.topic is Topic.BORDERS and len(observation.line) > 1
        ),
        points=_point_shapes(reading, arm=max(reading.geometry.columns, reading.geometry.rows) / 80),
    )


def _point_shapes(reading: Reading, *, arm: float) -> tuple[Shape, ...]:
    return tuple(
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
