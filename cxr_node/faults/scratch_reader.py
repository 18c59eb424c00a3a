"""A reader that needs no network: what it says follows from the film alone."""

from collections.abc import Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import digest_of
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Finding, ModelIdentity, Prediction, Presence, Region

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


class ScratchReader:
    """Takes the place of the model in a scratch node: the score is a digest of the picture and means nothing."""

    batch_size = 1

    def warm_up(self) -> None:
        """Do nothing; it is as fast the first time."""

    def read(self, films: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        """Return one prediction for each film, in order."""
        return tuple(self._prediction(film) for film in films)

    @staticmethod
    def _prediction(film: Radiograph) -> Prediction:
        score = int(digest_of(film.p_values.tobytes())[:4], 16) / 0xFFFF
        rows, columns = film.p_values.shape
        finding = Finding(
            key="lung_opacity",
            code=_OPACITY,
            site=_LUNG,
            score=score,
            operating_point=0.5,
            presence=Presence.PRESENT if score >= 0.5 else Presence.ABSENT,
        )
        outline = ((0.0, 0.0), (float(columns), 0.0), (float(columns), float(rows)), (0.0, float(rows)))
        return Prediction(model=_MODEL, findings=(finding,), analysed_area=Region(outline=outline))
