"""Hanging: a film and its reading turned to the standard orientation and back. Pure.

A frontal film hangs with the head up and the patient's right side on the left: rows run to L, columns to F (PS3.3
section C.7.6.1.1.1). The network and all measurements see the film as it hangs. A reading has the coordinates of the
film's own pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxr_node.domain.film_geometry import Geometry, PixelSpacing
from cxr_node.domain.geometry import Orientation
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Finding, HeatMap, Measurement, Observation, Point, Prediction, Reading, Region

STANDARD = ("L", "F")
"""Patient Orientation of a frontal film that hangs as it should."""


def orientation_of(geometry: Geometry) -> Orientation:
    """Return how the stored film becomes the film as it hangs; the identity if the header does not say how it lies."""
    stated = geometry.patient_orientation
    return (Orientation.of_directions(*stated) if stated is not None else None) or Orientation()


def states_sides(geometry: Geometry) -> bool:
    """Whether the header says which side of a frontal film is the patient's right."""
    stated = geometry.patient_orientation
    return stated is not None and Orientation.of_directions(*stated) is not None


def hang_geometry(geometry: Geometry) -> Geometry:
    """Return the geometry of the film as it hangs; Patient Orientation is L and F, or None if it is not stated."""
    orientation = orientation_of(geometry)
    rows, columns = orientation.shape(geometry.rows, geometry.columns)
    spacing, aspect_ratio = geometry.spacing, geometry.aspect_ratio
    if orientation.transposed:
        aspect_ratio = 1 / aspect_ratio
        if spacing is not None:
            spacing = PixelSpacing(row_mm=spacing.column_mm, column_mm=spacing.row_mm, source=spacing.source)
    return replace(
        geometry,
        rows=rows,
        columns=columns,
        spacing=spacing,
        aspect_ratio=aspect_ratio,
        patient_orientation=STANDARD if states_sides(geometry) else None,
    )


def hang(film: Radiograph) -> Radiograph:
    """Return the film as it hangs: itself if it does already."""
    orientation = orientation_of(film.geometry)
    if orientation == Orientation():
        return replace(film, geometry=hang_geometry(film.geometry))
    p_values = np.ascontiguousarray(orientation.of_pixels(film.p_values))
    p_values.setflags(write=False)
    return replace(film, p_values=p_values, geometry=hang_geometry(film.geometry))


def hang_reading(reading: Reading) -> Reading:
    """Return a reading with coordinates and geometry of the film as it hangs, for a picture of it."""
    if reading.geometry is None:
        return reading
    turn = turn_of(reading.geometry)
    return replace(
        reading,
        geometry=hang_geometry(reading.geometry),
        prediction=None if reading.prediction is None else turn.prediction(reading.prediction),
        measurements=turn.measurements(reading.measurements),
        observations=turn.observations(reading.observations),
    )


def turn_of(geometry: Geometry) -> "Turn":
    """Return the turn from the film that `geometry` describes to the film as it hangs."""
    return Turn(orientation=orientation_of(geometry), rows=geometry.rows, columns=geometry.columns)


def turn_back(geometry: Geometry) -> "Turn":
    """Return the turn from the film as it hangs to the film that `geometry` describes."""
    orientation = orientation_of(geometry)
    rows, columns = orientation.shape(geometry.rows, geometry.columns)
    return Turn(orientation=orientation.inverse, rows=rows, columns=columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An orientation applied to the coordinates on a picture of `rows` and `columns`."""

    orientation: Orientation
    rows: int
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the turned picture."""
        return self.orientation.shape(self.rows, self.columns)

    def prediction(self, prediction: Prediction) -> Prediction:
        """Return a prediction with its area, regions, heat maps, structures and points turned."""
        if self.orientation == Orientation():
            return prediction
        return replace(
            prediction,
            findings=tuple(self._finding(finding) for finding in prediction.findings),
            analysed_area=self.rectangle(prediction.analysed_area),
            structures=tuple(
                replace(structure, regions=self._regions(structure.regions)) for structure in prediction.structures
            ),
            steps=tuple(
                replace(step, analysed_area=step.analysed_area and self.rectangle(step.analysed_area))
                for step in prediction.steps
            ),
            points=tuple(replace(point, at=self.points([point.at])[0]) for point in prediction.points),
        )

    def measurements(self, measurements: Sequence[Measurement]) -> tuple[Measurement, ...]:
        """Return measurements with their lines turned."""
        return tuple(replace(measurement, line=self.points(measurement.line)) for measurement in measurements)

    def observations(self, observations: Sequence[Observation]) -> tuple[Observation, ...]:
        """Return observations with their lines and regions turned."""
        return tuple(
            replace(observation, line=self.points(observation.line), regions=self._regions(observation.regions))
            for observation in observations
        )

    def _finding(self, finding: Finding) -> Finding:
        heat = None if finding.heat is None else self.heat_map(finding.heat)
        return replace(finding, regions=self._regions(finding.regions), heat=heat)

    def heat_map(self, heat: HeatMap) -> HeatMap:
        """Return a heat map with its cells and its area turned."""
        cells = np.frombuffer(heat.levels, np.uint8).reshape(heat.rows, heat.columns)
        turned = self.orientation.of_pixels(cells)
        rows, columns = turned.shape
        return HeatMap(rows=rows, columns=columns, levels=turned.tobytes(), area=self.rectangle(heat.area))

    def rectangle(self, area: Region) -> Region:
        """Return a rectangle with its corners clockwise from the upper left again."""
        across, down = zip(*self.points(area.outline), strict=True)
        left, top, right, bottom = min(across), min(down), max(across), max(down)
        return Region(outline=((left, top), (right, top), (right, bottom), (left, bottom)))

    def _regions(self, regions: Sequence[Region]) -> tuple[Region, ...]:
        return tuple(Region(outline=self.points(region.outline)) for region in regions)

    def points(self, points: Sequence[Point]) -> tuple[Point, ...]:
        """Return points turned."""
        if self.orientation == Orientation():
            return tuple(points)
        return self.orientation.of_points(points, rows=self.rows, columns=self.columns)
