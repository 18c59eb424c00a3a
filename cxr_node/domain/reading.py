"""Reading of a film: prediction, measurements, observations, or the reason why there is none."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from cxr_node.domain.codes import Code
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import Identity
from cxr_node.domain.reasons import Note, Reason

Point = tuple[float, float]
"""(column, row) in pixels of the film as sent."""


class Presence(StrEnum):
    """Score of a finding relative to its operating point."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"


class Laterality(StrEnum):
    """Side of the patient."""

    RIGHT = "right"
    LEFT = "left"
    BILATERAL = "bilateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Area of a film: a closed outline of at least three points, the first not repeated."""

    outline: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Contribution of image areas to a score: `levels` has a byte for each cell, row by row.

    0 is the map's median and below, 255 its maximum: the scale is relative to each map. `area` is the rectangle of
    the film that the cells cover.
    """

    rows: int
    columns: int
    levels: bytes
    area: Region

    def __post_init__(self) -> None:
        if len(self.levels) != self.rows * self.columns:
            raise ValueError("a heat map has one level for each cell")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Identity of a model: enough to find it again, and to reject another's operating points."""

    name: str
    version: str
    manufacturer: str
    weights_digest: Digest
    preparation: str
    operating_points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One label of the model, absent ones included.

    `score` and `operating_point` are between 0 and 1; a score is a probability only if `calibrated`, as the model's
    card states. `heat` exists for findings that are not absent, if the model explains them. `model` is None for the
    model of the prediction, and set for a finding by another bundle of a cascade.
    """

    key: str
    code: Code
    site: Code | None
    score: float
    operating_point: float
    presence: Presence
    calibrated: bool = False
    laterality: Laterality | None = None
    regions: tuple[Region, ...] = field(default=())
    heat: HeatMap | None = None
    model: ModelIdentity | None = None


class Topic(StrEnum):
    """Subject of a measurement or observation."""

    STRUCTURES = "structures"
    DENSITIES = "densities"
    BORDERS = "borders"
    PROPORTIONS = "proportions"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A value with its place: `line` is an open polyline, such as a caliper.

    `site` is the measured structure, on the patient's side `laterality`.
    """

    key: str
    code: Code
    value: float
    unit: Code
    line: tuple[Point, ...]
    provenance: str
    topic: Topic = Topic.PROPORTIONS
    site: Code | None = None
    laterality: Laterality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A coded statement about a film, such as "border obscured: left heart border".

    `code` is the statement and `value` its object; for quality, criterion and grade. `site` is the location that it
    indicates, such as a lobe. For a failed measurement `code` is "not measurable", `value` the measurement and
    `detail` the reason. `confidence` is the mean score of a structure's outline; None where it has none.
    """

    key: str
    topic: Topic
    code: Code
    value: Code
    detail: str = ""
    site: Code | None = None
    laterality: Laterality | None = None
    line: tuple[Point, ...] = field(default=())
    regions: tuple[Region, ...] = field(default=())
    confidence: float | None = None
    provenance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """An anatomical structure as outlined by a model; without regions where it is not visible.

    `regions` are filled by the even-odd rule: an outline within another is a hole. `confidence` is the
    mean score inside, 0.5 to 1.0, or 0.0 without regions. `key` is a value of `domain.anatomy`.
    """

    key: str
    confidence: float
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """What kind of picture a model takes a film for.

    `view` is None for what it does not take for a chest film; `score`, 0 to 1, is its share of belief in
    that. `distance` says how far the film lies from those the model learned from, without unit; beyond
    `limit`, which the model's card states, its findings are worth nothing.
    """

    view: View | None
    score: float
    distance: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPoint:
    """A point that a model locates, such as the carina or the tip of a tube.

    `confidence` and `least_confidence` are between 0 and 1. It `is_visible` if it has the least confidence and lies in
    the analysed area; elsewhere `at` means nothing. `laterality` is the patient's side. `model` is as for a finding.
    """

    key: str
    code: Code
    at: Point
    confidence: float
    least_confidence: float
    is_visible: bool
    laterality: Laterality | None = None
    model: ModelIdentity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Feature vector of a film: 32-bit floats, little-endian. `model` is as for a finding."""

    vector: bytes
    model: ModelIdentity | None = None


class StepState(StrEnum):
    """What became of one bundle of a cascade for a film."""

    ANSWERED = "answered"
    NOT_READ = "not_read"
    """A condition of the bundle was not met."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeStep:
    """One bundle of a cascade for one film.

    `name` is the bundle's in the settings. `reason` is set for a failed one; `detail` says why it failed or did not
    read. `second_opinions` are its findings that an earlier bundle had offered. `gives_structures` marks the bundle
    whose outlines are those of the prediction.
    """

    name: str
    model: ModelIdentity
    state: StepState
    reason: Reason | None = None
    detail: str = ""
    analysed_area: Region | None = None
    second_opinions: tuple[Finding, ...] = field(default=())
    gives_structures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Output of a model for one film, or of the models of a cascade. `analysed_area` outlines the model's input area.

    `model` is the first that answered. `steps` are the bundles of a cascade in order, empty for a single bundle.
    """

    model: ModelIdentity
    findings: tuple[Finding, ...]
    analysed_area: Region
    structures: tuple[Structure, ...] = field(default=())
    appearance: Appearance | None = None
    steps: tuple[CascadeStep, ...] = field(default=())
    points: tuple[NamedPoint, ...] = field(default=())
    embeddings: tuple[Embedding, ...] = field(default=())

    @property
    def models(self) -> tuple[ModelIdentity, ...]:
        """The models that answered, in order, each once."""
        answered = (step.model for step in self.steps if step.state is StepState.ANSWERED)
        return tuple(dict.fromkeys((self.model, *answered)))

    @property
    def anatomy_model(self) -> ModelIdentity:
        """The model of the structures."""
        return next((step.model for step in self.steps if step.gives_structures), self.model)

    @property
    def failed_steps(self) -> tuple[CascadeStep, ...]:
        """The bundles of a cascade that failed on the film."""
        return tuple(step for step in self.steps if step.state is StepState.FAILED)

    @property
    def visible_points(self) -> tuple[NamedPoint, ...]:
        """The points that the models see on the film."""
        return tuple(point for point in self.points if point.is_visible)

    def model_of(self, output: Finding | NamedPoint | Embedding) -> ModelIdentity:
        """Return the model of a finding, point or embedding."""
        return output.model or self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All results for one film: a prediction, or the reason why there is none."""

    film: Identity
    geometry: Geometry | None
    grayscale: str
    prediction: Prediction | None
    measurements: tuple[Measurement, ...] = field(default=())
    observations: tuple[Observation, ...] = field(default=())
    notes: tuple[Note, ...] = field(default=())
    not_analysed: Reason | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if (self.prediction is None) == (self.not_analysed is None):
            raise ValueError("a reading has either a prediction or a reason why there is none")

    def without_findings(self, reason: Reason, detail: str) -> "Reading":
        """Return the reading as one of a film that was not analysed."""
        return replace(self, prediction=None, measurements=(), observations=(), not_analysed=reason, detail=detail)
