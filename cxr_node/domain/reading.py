"""What the node says about a film."""

from dataclasses import dataclass, field
from enum import StrEnum

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import Identity
from cxr_node.domain.radiograph import Geometry, View
from cxr_node.domain.reasons import Note, Reason

Point = tuple[float, float]
"""(column, row) in pixels of the film as sent."""


class Presence(StrEnum):
    """What the score of a finding says against its operating point."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"


class Laterality(StrEnum):
    """The patient's side, not the picture's."""

    RIGHT = "right"
    LEFT = "left"
    BILATERAL = "bilateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where on the film: a closed outline of at least three points, the first not repeated."""

    outline: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Where on the film a score comes from, in few cells: `levels` has a byte for each, row by row.

    0 is the map's median and less, 255 its highest value: the scale is each map's own. `area` is the rectangle of
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
class Finding:
    """One label the model looked for. Absent ones are kept: looked for and not seen is an answer.

    `score` and `operating_point` are between 0 and 1; a score is not a probability unless the
    model's card says that it was calibrated. `heat` is there for what is not absent, where the model explains it.
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


class Topic(StrEnum):
    """What a measurement or observation is about."""

    STRUCTURES = "structures"
    DENSITIES = "densities"
    BORDERS = "borders"
    PROPORTIONS = "proportions"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number with where on the film it was taken: `line` is an open polyline, such as a caliper.

    `site` is the part that was measured, on the patient's side `laterality`.
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
    """What is said of a film in codes, such as "border obscured: left heart border".

    `code` is what is said and `value` of what; or, for quality, what is judged and how. `site` is what it points
    to, such as a lobe. Where a number could not be taken, `code` says "not measurable", `value` is what was to be
    measured and `detail` the reason. `confidence` is the mean score of a structure's outline; None where it has none.
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
class ModelIdentity:
    """Which model spoke: enough to find it again, and to refuse another's operating points."""

    name: str
    version: str
    manufacturer: str
    weights_digest: Digest
    preparation: str
    operating_points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A part of the anatomy as a model outlines it; without regions where it sees none.

    `regions` are filled by the even-odd rule: an outline within another is a hole. `confidence` is the
    mean score inside, 0.5 to 1.0, or 0.0 where nothing is seen. `key` is a name of `domain.anatomy`.
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
class Prediction:
    """What a model makes of one film. `analysed_area` outlines what of the film it saw."""

    model: ModelIdentity
    findings: tuple[Finding, ...]
    analysed_area: Region
    structures: tuple[Structure, ...] = field(default=())
    appearance: Appearance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything the node says about one film: a prediction, or the reason why there is none."""

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
