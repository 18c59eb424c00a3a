"""Network of scratch nodes: its score is a digest of the film's pixels and has no meaning."""

from collections.abc import Sequence

import numpy as np

from cxr_node.domain.codes import Code
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import Finding, Measurement, ModelIdentity, Prediction, Presence, Region
from cxr_node.reading.network import Outputs

_MODEL = ModelIdentity(
    name="scratch",
    version="1",
    manufacturer="cxr-node",
    weights_digest=digest_of(b"none"),
    preparation="none",
    operating_points="none",
)
_OPACITY = Code(value="112001", scheme_designator="DCM", meaning="Opacity")
_LUNG = Code(value="39607008", scheme_designator="SCT", meaning="Lung")


class ScratchAdapter:
    """Reduces a film to 16 bits of its digest, shape (1, 1), used as the score."""

    outlines_anatomy = False

    def preprocess(self, film: Radiograph) -> Float32:
        """Return 16 bits of the digest."""
        return np.array([[int(digest_of(film.p_values.tobytes())[:4], 16)]], np.float32)

    def decode_appearance(self, outputs: Outputs) -> None:
        """Return none: no film is tried turned."""

    def decode_outputs(self, geometry: Geometry, outputs: Outputs) -> Prediction:
        """Return a prediction with one finding."""
        score = int(outputs["digest"][0, 0]) / 0xFFFF
        finding = Finding(
            key="lung_opacity",
            code=_OPACITY,
            site=_LUNG,
            score=score,
            operating_point=0.5,
            presence=Presence.PRESENT if score >= 0.5 else Presence.ABSENT,
        )
        right, bottom = float(geometry.columns), float(geometry.rows)
        outline = ((0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom))
        return Prediction(model=_MODEL, findings=(finding,), analysed_area=Region(outline=outline))

    def findings_by_measurement(self, measurements: Sequence[Measurement], view: View) -> tuple[Finding, ...]:  # noqa: ARG002
        """Return none."""
        return ()


class ScratchNetwork:
    """Returns its input."""

    batch_size = 1
    adapter = ScratchAdapter()

    def forward(self, batch: Sequence[Float32]) -> Sequence[Outputs]:
        """Return each film's digest."""
        return [{"digest": film} for film in batch]
