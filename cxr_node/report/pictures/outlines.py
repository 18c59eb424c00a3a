"""Outlines and lines clipped to the film, as spatial coordinates must be (PS3.3 section C.18.6.1)."""

from collections.abc import Sequence
from statistics import fmean

from cxr_node.domain.geometry import polygon_area, polygon_centroid
from cxr_node.domain.reading import Point
from cxr_node.report.source import ReportedFilm

_DECIMALS = 1
"""A tenth of a pixel: finer than any map of the model, and equal digits on every machine."""

_WINDOW = 5
TRACED = 4 * _WINDOW + 1
"""Least number of points of an outline that was traced along pixels."""


def bounds(film: ReportedFilm) -> tuple[float, float]:
    """Return the film's (columns, rows), which is also the largest coordinate of a point on it."""
    geometry = film.reading.geometry
    if geometry is not None:
        return float(geometry.columns), float(geometry.rows)
    return float(film.header.get("Columns") or 0), float(film.header.get("Rows") or 0)


def fitted(points: Sequence[Point], within: tuple[float, float]) -> tuple[Point, ...]:
    """Return `points` moved onto the film, rounded, without immediate repetitions."""
    columns, rows = within
    fitted_points: list[Point] = []
    for column, row in points:
        point = (
            round(min(max(float(column), 0.0), columns), _DECIMALS),
            round(min(max(float(row), 0.0), rows), _DECIMALS),
        )
        if not fitted_points or fitted_points[-1] != point:
            fitted_points.append(point)
    return tuple(fitted_points)


def closed(outline: Sequence[Point], within: tuple[float, float]) -> tuple[Point, ...]:
    """Return an outline fitted to the film whose last point repeats the first; empty if it encloses nothing."""
    points = fitted(outline, within)
    if points and points[0] == points[-1]:
        points = points[:-1]
    return (*points, points[0]) if len(points) > 2 and polygon_area(points) > 0 else ()


def averaged(outline: Sequence[Point]) -> tuple[Point, ...]:
    """Return the mean of each point of an outline and its neighbors: the outline without its steps along pixels."""
    half, count = _WINDOW // 2, len(outline)
    windows = [[outline[(index + shift) % count] for shift in range(-half, half + 1)] for index in range(count)]
    return tuple((fmean(column for column, _ in one), fmean(row for _, row in one)) for one in windows)


def centroid(outline: Sequence[Point]) -> Point:
    """Return the centroid of a closed outline, rounded; it may lie outside of a concave one."""
    column, row = polygon_centroid(outline[:-1])
    return round(column, _DECIMALS), round(row, _DECIMALS)
