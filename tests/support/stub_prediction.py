"""What a stub network answers, and the rules of reading in tests; child processes import it, so it imports little."""

from collections.abc import Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Finding, HeatMap, ModelIdentity, Prediction, Presence, Region
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules
from cxr_node.reading.context import ReadRules

RULES = ReadRules(gate=Rules(minimum_side_pixels=16), limits=Limits())


def prediction(films: Sequence[Radiograph]) -> tuple[Prediction, ...]:
    """Return a prediction with an opacity for each film."""
    return tuple(_prediction(film) for film in films)


def _prediction(film: Radiograph) -> Prediction:
    right, bottom = float(film.geometry.columns), float(film.geometry.rows)
    area = Region(outline=((0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)))
    return Prediction(
        model=ModelIdentity(
            name="test",
            version="1",
            manufacturer="the tests",
            weights_digest=Digest("0" * 64),
            preparation="none",
            operating_points="0.5",
        ),
        findings=(
            Finding(
                key="lung_opacity",
                code=Code(value="112001", scheme_designator="DCM", meaning="Opacity"),
                site=Code(value="39607008", scheme_designator="SCT", meaning="Lung"),
                score=0.75,
                operating_point=0.5,
                presence=Presence.PRESENT,
                heat=HeatMap(rows=2, columns=3, levels=bytes((0, 51, 102, 153, 204, 255)), area=area),
            ),
        ),
        analysed_area=area,
    )
