"""Algorithm Identification (TID 4019)."""

from cxr_node.domain.reading import Finding, ModelIdentity, Prediction
from cxr_node.report import codes
from cxr_node.report.source import ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, code, text


def identification(
    film: ReportedFilm, prediction: Prediction, finding: Finding, relationship: Relationship, *more: str
) -> list[ContentItem]:
    """Return the rows of TID 4019 in `relationship` to a finding, with `more` Algorithm Parameters."""
    model = prediction.model_of(finding)
    lines = [*parameters(model, film.reading.grayscale, calibrated=finding.calibrated), *more]
    return [
        text(codes.ALGORITHM_NAME, model.name, relationship),
        text(codes.ALGORITHM_VERSION, model.version, relationship),
        text(codes.ALGORITHM_MANUFACTURER, model.manufacturer, relationship),
        *(text(codes.ALGORITHM_PARAMETERS, line, relationship) for line in lines),
        code(codes.ALGORITHM_FAMILY, codes.ARTIFICIAL_INTELLIGENCE, relationship),
    ]


def parameters(model: ModelIdentity, grayscale: str, *, calibrated: bool) -> list[str]:
    """Return the Algorithm Parameters that reproduce a score and say what it means."""
    meaning = (
        "calibrated on the data that the model's card names" if calibrated else "not calibrated, not a probability"
    )
    return [
        f"weights_sha256={model.weights_digest}",
        f"preparation={model.preparation}",
        f"grayscale={grayscale}",
        f"operating_points={model.operating_points}",
        f"score={meaning}",
    ]
