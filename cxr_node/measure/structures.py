"""Observations of anatomy: "seen" or "not seen" for each outlined structure and each derived line. Pure."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border
from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import (
    BORDERS,
    CARINA,
    COSTOPHRENIC_ANGLE,
    LEFT_MAIN_BRONCHUS,
    NOT_SEEN,
    PARTS,
    PLEURA,
    RIGHT_MAIN_BRONCHUS,
    SEEN,
)
from cxr_node.domain.reading import Laterality, Observation, Point, Structure, Topic
from cxr_node.measure.grid import Grid, Mask, Points
from cxr_node.measure.interfaces import Corner, Interface

OUTLINED = "outlined by the model"
_POINTS = 40
_DERIVED = "derived: {what}"
_BORDERS_FROM: Mapping[Border, tuple[tuple[Anatomy, ...], str]] = {
    Border.RIGHT_HEART_BORDER: ((Anatomy.HEART, Anatomy.RIGHT_LUNG), "the heart's outline beside the right lung"),
    Border.LEFT_HEART_BORDER: ((Anatomy.HEART, Anatomy.LEFT_LUNG), "the heart's outline beside the left lung"),
    Border.RIGHT_HEMIDIAPHRAGM: (
        (Anatomy.RIGHT_HEMIDIAPHRAGM, Anatomy.RIGHT_LUNG),
        "the upper edge of what lies below the right dome",
    ),
    Border.LEFT_HEMIDIAPHRAGM: (
        (Anatomy.LEFT_HEMIDIAPHRAGM, Anatomy.LEFT_LUNG),
        "the upper edge of what lies below the left dome",
    ),
    Border.AORTIC_KNOB: ((Anatomy.AORTA, Anatomy.LEFT_LUNG), "the aorta's outline beside the left lung, at the arch"),
}
_LUNGS = {Laterality.RIGHT: Anatomy.RIGHT_LUNG, Laterality.LEFT: Anatomy.LEFT_LUNG}
_BRONCHI = {Laterality.RIGHT: RIGHT_MAIN_BRONCHUS, Laterality.LEFT: LEFT_MAIN_BRONCHUS}


def side_of(structure: Anatomy) -> Laterality | None:
    """Return the side in a structure's name."""
    for side in (Laterality.RIGHT, Laterality.LEFT):
        if structure.value.startswith(side.value):
            return side
    return None


def outlined_structures(structures: Sequence[Structure]) -> Iterator[Observation]:
    """Yield an observation for each structure of the anatomy; one that the model does not outline is not seen."""
    by_key = {structure.key: structure for structure in structures}
    for part in Anatomy:
        structure = by_key.get(part.value)
        is_seen = structure is not None and bool(structure.regions)
        yield Observation(
            key=f"seen/{part.value}",
            topic=Topic.STRUCTURES,
            code=SEEN if is_seen else NOT_SEEN,
            value=PARTS[part],
            laterality=side_of(part),
            line=_simplified(structure) if structure is not None else (),
            confidence=structure.confidence if structure is not None else None,
            provenance=OUTLINED if structure is not None else "the model does not look for it",
        )


def _simplified(structure: Structure) -> tuple[Point, ...]:
    """Return a closed line of few points around the main part; the full outline is stored with the structure."""
    outline = max((region.outline for region in structure.regions), key=len, default=())
    if len(outline) < _POINTS:
        return (*outline, *outline[:1])
    return tuple(outline[round(k * len(outline) / (_POINTS - 1)) % len(outline)] for k in range(_POINTS))


class DerivedLines:
    """Observations of derived lines, each with the lowest confidence of the outlines that it depends on."""

    def __init__(self, grid: Grid, structures: Sequence[Structure]) -> None:
        self._grid = grid
        self._confidence = {structure.key: structure.confidence for structure in structures if structure.regions}

    def borders(self, interfaces: Mapping[Border, Interface]) -> Iterator[Observation]:
        """Yield each border of heart, domes and knob."""
        for name, (sources, what) in _BORDERS_FROM.items():
            line = interfaces[name].points if name in interfaces else None
            yield self._line(f"seen/{name.value}_line", BORDERS[name][0], name.side, line, sources, what)

    def corners(self, corners: Mapping[Laterality, Corner | None]) -> Iterator[Observation]:
        """Yield both costophrenic angles and the pleura along each lung's wall."""
        for side, lung in _LUNGS.items():
            corner = corners.get(side)
            line = None if corner is None else np.concatenate([corner.wall, corner.dome])
            what = "the lower outer corner of the lung's outline"
            yield self._line(f"seen/{side}_costophrenic_angle", COSTOPHRENIC_ANGLE, side, line, (lung,), what)
            wall = self._wall(lung, side)
            what = "the outer edge of the lung's outline, where its pleura lies; the pleura itself is not told apart"
            yield self._line(f"seen/{side}_pleura", PLEURA, side, wall, (lung,), what)

    def airways(self) -> Iterator[Observation]:
        """Yield the carina and the main bronchi."""
        trachea, bronchi = self._grid.mask(Anatomy.TRACHEA), self._grid.mask(Anatomy.BRONCHI)
        carina = _lowest(trachea)
        sources = (Anatomy.TRACHEA,)
        yield self._line("seen/carina", CARINA, None, carina, sources, "the lower end of the trachea's outline")
        middle = None if carina is None else float(carina[:, 0].mean())
        for side, code in _BRONCHI.items():
            line = None if middle is None else _beyond(bronchi, middle, side)
            what = "the bronchi's outline on one side of the trachea's lower end"
            key = f"seen/{side}_main_bronchus"
            yield self._line(key, code, side, line, (Anatomy.BRONCHI, Anatomy.TRACHEA), what)

    def _wall(self, lung: Anatomy, side: Laterality) -> Points | None:
        mask = self._grid.mask(lung)
        rows = np.flatnonzero(mask.any(1))[::4]
        if len(rows) < 2:
            return None
        width = mask.shape[1]
        edges = np.argmax(mask[rows], 1) if side is Laterality.RIGHT else width - np.argmax(mask[rows, ::-1], 1)
        return np.stack([edges.astype(np.float64), rows + 0.5], 1)

    def _line(
        self,
        key: str,
        code: Code,
        side: Laterality | None,
        line: Points | None,
        sources: tuple[Anatomy, ...],
        what: str,
    ) -> Observation:
        return Observation(
            key=key,
            topic=Topic.STRUCTURES,
            code=NOT_SEEN if line is None else SEEN,
            value=code,
            laterality=side,
            line=() if line is None else self._grid.transform.to_film(line),
            confidence=min((self._confidence.get(source.value, 0.0) for source in sources), default=0.0),
            provenance=_DERIVED.format(what=what),
        )


def _lowest(trachea: Mask) -> Points | None:
    """Return the lower end of the trachea as a short level line."""
    rows = np.flatnonzero(trachea.any(1))
    if not len(rows):
        return None
    row = int(rows[max(0, len(rows) - 3)])
    columns = np.flatnonzero(trachea[row])
    return np.array([(columns[0], row + 0.5), (columns[-1] + 1, row + 0.5)], np.float64)


def _beyond(bronchi: Mask, middle: float, side: Laterality) -> Points | None:
    """Return the middle line of the bronchi's outline on a side, from the trachea outwards."""
    columns = np.flatnonzero(bronchi.any(0))
    columns = columns[columns < middle - 2][::-1] if side is Laterality.RIGHT else columns[columns > middle + 2]
    if len(columns) < 4:
        return None
    part = bronchi[:, columns]
    centers = (np.arange(len(part)) @ part) / np.count_nonzero(part, axis=0) + 0.5
    return np.stack([columns + 0.5, centers], 1)
