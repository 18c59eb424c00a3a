"""Algorithm Identification (TID 4019): of the model of a finding, and of the node's own measuring.

Algorithm Parameters are short: a line of more than 40 characters is an annex of its own in DCMTK's pages. What else
reproduces a score is in Contributing Equipment Sequence (`header.equipment`), with maker and family of the model.
"""

from cxr_node.domain.reading import Finding, ModelIdentity, Prediction
from cxr_node.report import codes
from cxr_node.report.impression import named
from cxr_node.report.source import Observer, ReportedFilm
from cxr_node.report.sr.content import ContentItem, Relationship, text


def identification(
    prediction: Prediction, finding: Finding, relationship: Relationship, *more: str
) -> list[ContentItem]:
    """Return the rows of TID 4019 in `relationship` to a finding, with `more` Algorithm Parameters."""
    return identified(prediction.model_of(finding), relationship, *more, calibrated=finding.calibrated)


def identified(model: ModelIdentity, relationship: Relationship, *more: str, calibrated: bool) -> list[ContentItem]:
    """Return the rows of TID 4019 of a model, with `more` Algorithm Parameters."""
    meaning = "calibrated, see the model's card" if calibrated else "not calibrated, not a probability"
    return _rows(model.name, model.version, relationship, f"score={meaning}", *more)


def measuring(film: ReportedFilm, observer: Observer, relationship: Relationship) -> list[ContentItem]:
    """Return the rows of TID 4019 of what the node itself measures, on the outlines of a model."""
    prediction, lines = film.reading.prediction, []
    if prediction is not None:
        lines = [f"outlines={named(prediction.anatomy_model)}"]
    return _rows(observer.model_name, observer.software_version, relationship, *lines)


def _rows(name: str, version: str, relationship: Relationship, *lines: str) -> list[ContentItem]:
    return [
        text(codes.ALGORITHM_NAME, name, relationship),
        text(codes.ALGORITHM_VERSION, version, relationship),
        *(text(codes.ALGORITHM_PARAMETERS, line, relationship) for line in lines),
    ]
