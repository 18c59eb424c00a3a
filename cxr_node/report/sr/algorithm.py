"""Algorithm Identification (TID 4019): of the model of a finding, and of the node's own measuring."""

from cxr_node.domain.reading import Finding, ModelIdentity, Prediction
from cxr_node.report import codes
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, text


def identification(
    film: ReportedFilm, prediction: Prediction, finding: Finding, relationship: Relationship, *more: str
) -> list[ContentItem]:
    """Return the rows of TID 4019 in `relationship` to a finding, with `more` Algorithm Parameters.

    Maker and family of the model are in Contributing Equipment Sequence.
    """
    model = prediction.model_of(finding)
    return identified(model, film.reading.grayscale, relationship, *more, calibrated=finding.calibrated)


def identified(
    model: ModelIdentity, grayscale: str, relationship: Relationship, *more: str, calibrated: bool
) -> list[ContentItem]:
    """Return the rows of TID 4019 of a model, with `more` Algorithm Parameters."""
    line = parameters(model, grayscale, calibrated=calibrated)
    return _rows(model.name, model.version, relationship, line, *more)


def measuring(film: ReportedFilm, observer: Observer, relationship: Relationship) -> list[ContentItem]:
    """Return the rows of TID 4019 of what the node itself measures, on the outlines of a model."""
    prediction = film.reading.prediction
    if prediction is None:
        return _rows(observer.model_name, observer.software_version, relationship)
    model = prediction.anatomy_model
    outlines = f"outlines={model.name} {model.version}; weights_sha256={model.weights_digest}"
    return _rows(observer.model_name, observer.software_version, relationship, outlines)


def parameters(model: ModelIdentity, grayscale: str, *, calibrated: bool) -> str:
    """Return the Algorithm Parameters that reproduce a score and state its meaning."""
    meaning = (
        "calibrated on the data that the model's card names" if calibrated else "not calibrated, not a probability"
    )
    lines = [
        f"weights_sha256={model.weights_digest}",
        f"preparation={model.preparation}",
        f"grayscale={grayscale}",
        f"operating_points={model.operating_points}",
        f"score={meaning}",
    ]
    return "; ".join(lines)


def _rows(name: str, version: str, relationship: Relationship, *lines: str) -> list[ContentItem]:
    return [
        text(codes.ALGORITHM_NAME, name, relationship),
        text(codes.ALGORITHM_VERSION, version, relationship),
        *(text(codes.ALGORITHM_PARAMETERS, line, relationship) for line in lines),
    ]
