"""A film with its reading, as it hangs: head up, the patient's right side on the left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from cxr_node.domain.geometry import Mask, fill
from cxr_node.domain.radiograph import Float32, Radiograph, UInt16
from cxr_node.domain.reading import Finding, HeatMap, Measurement, Observation, Reading
from cxr_node.domain.reduced_film import UInt8
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.pictures import picture
from cxr_node.report.pictures.overlay import ANATOMY, FINDINGS, Overlay
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ReportedFilm, header_of

Shown = Literal["findings", "anatomy"]
_OVERLAYS: Mapping[str, Overlay] = {"findings": FINDINGS, "anatomy": ANATOMY}
_TOP = np.float32(255)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChestFilm:
    """A film that was read.

    Parameters
    ----------
    radiograph
        P-values and geometry of the film as it hangs.
    reading
        The reading, in coordinates of the film as it hangs.
    """

    radiograph: Radiograph
    reading: Reading

    @property
    def p_values(self) -> UInt16:
        """P-values, shape (rows, columns), 0 black to 65535 white."""
        return self.radiograph.p_values

    @property
    def gray(self) -> UInt8:
        """The same as gray values, 0 black to 255 white."""
        return np.rint(self.p_values / np.float32(257)).astype(np.uint8)

    @property
    def not_analysed(self) -> str:
        """Code and detail of why the film was not analysed; empty if it was."""
        reason = self.reading.not_analysed
        return "" if reason is None else f"{reason.value}: {self.reading.detail or reason.meaning}"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings that the model looks for, also absent ones; none of a film that was not analysed."""
        return () if self.reading.prediction is None else self.reading.prediction.findings

    @property
    def measurements(self) -> Mapping[str, Measurement]:
        """Measurements by key, such as "CTR", the cardiothoracic ratio."""
        return {measurement.key: measurement for measurement in self.reading.measurements}

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Coded statements, such as that a border is obscured."""
        return self.reading.observations

    @property
    def structures(self) -> Mapping[str, Mask]:
        """Masks of the visible structures by key, such as "right_lung"; bool, shape (rows, columns)."""
        structures = () if self.reading.prediction is None else self.reading.prediction.structures
        return {
            structure.key: fill([region.outline for region in structure.regions], self.p_values.shape)
            for structure in structures
            if structure.regions
        }

    @property
    def maps(self) -> Mapping[str, Float32]:
        """Maps of the findings that are not absent, by key: which areas contribute to the score.

        Shape (rows, columns), 0 at the map's median and below to 1 at its maximum, 0 outside the area that the model
        sees. The scale is relative to each map, so two maps cannot be compared.
        """
        return {
            finding.key: _enlarged(finding.heat, self.p_values.shape)
            for finding in self.findings
            if finding.heat is not None
        }

    def overlay(self, shown: Shown = "findings") -> Image.Image:
        """Return the film with its findings or its anatomy drawn on it; the longer side has 960 pixels."""
        return picture.films(reduce_film(self.radiograph), self._reported(), ENGLISH, shown=_OVERLAYS[shown])[1]

    def picture(self, shown: Shown = "findings") -> Image.Image:
        """Return the picture that a PACS gets: the film, the film with its overlay, and the impression below."""
        return Image.fromarray(picture.painted(self.radiograph, self._reported(), shown=_OVERLAYS[shown]))

    def _reported(self) -> ReportedFilm:
        return ReportedFilm(header=header_of(self.reading.film), reading=self.reading)


def _enlarged(heat: HeatMap, shape: tuple[int, ...]) -> Float32:
    """Return a heat map in the pixels of the film, between its cells by linear interpolation."""
    across, down = zip(*heat.area.outline, strict=True)
    left, top, right, bottom = (round(edge) for edge in (min(across), min(down), max(across), max(down)))
    cells = np.frombuffer(heat.levels, np.uint8).reshape(heat.rows, heat.columns)
    resized = Image.fromarray(cells).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    enlarged = np.zeros(shape, np.float32)
    rows, columns = slice(max(top, 0), min(bottom, shape[0])), slice(max(left, 0), min(right, shape[1]))
    inside = np.asarray(resized, np.float32)[rows.start - top : rows.stop - top, columns.start - left :]
    enlarged[rows, columns] = inside[:, : columns.stop - columns.start] / _TOP
    return enlarged
