"""Model card of a bundle: identity, network inputs and outputs, operating points, evidence."""

import tomllib
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import CARDIOMEGALY_BY_RATIO
from cxr_node.domain.identifiers import Digest, parse_digest
from cxr_node.infer.input_card import Input, Part, Score, Text, Window, check_window
from cxr_node.infer.remote_card import RemoteNetwork

Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class OutlinedStructure(Part):
    """A structure that a channel of `structure_logits` outlines; the order is that of the channels."""

    # Not strict: TOML has no enumerations, only strings.
    key: Annotated[Anatomy, Field(strict=False)]


class AppearanceTable(Part):
    """Meaning of `view_logits` and `distance`, bound to the weights with which the limit was chosen.

    A film farther than `distance_limit` from the training films is not analysed.
    """

    views: list[Literal["PA", "AP", "LATERAL", "OTHER"]]
    distance_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    network_sha256: Sha256

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.views != ["PA", "AP", "LATERAL", "OTHER"]:
            raise ValueError('expected views = ["PA", "AP", "LATERAL", "OTHER"], the order of view_logits')
        return self


class Calibration(Part):
    """Calibration of scores as probabilities: the method and its error.

    `ece` is the expected calibration error with its 95 % interval on `films` of patients not used for fitting; it holds
    for films of which the share `prevalence` has the finding.
    """

    method: Literal["isotonic", "temperature", "platt"]
    ece: Score
    ece_low: Score
    ece_high: Score
    films: Annotated[int, Field(ge=1)]
    prevalence: Score
    network_sha256: Sha256

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if not self.ece_low <= self.ece <= self.ece_high:
            raise ValueError("expected ece_low <= ece <= ece_high")
        return self


MAX_LABELS = 64
MAX_POINTS = 32
MAX_EMBEDDING_NUMBERS = 4096
BOTH_LUNGS = (Anatomy.RIGHT_LUNG, Anatomy.LEFT_LUNG)
VIEWS = 4
"""Channels of `view_logits`: PA, AP, lateral, not a chest film."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Output = Literal["finding_logits", "finding_maps", "structure_logits", "view_logits", "distance", "points", "embedding"]


class CardError(ValueError):
    """The card is invalid: each line of the message names a key, its value and what is expected."""


class CodeEntry(Part):
    """A coded concept (PS3.3 section 8); value and designator are SH, at most 16 characters."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme_designator: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: Annotated[str, Field(min_length=1, max_length=64)]

    @property
    def code(self) -> Code:
        """As a domain value."""
        return Code(value=self.value, scheme_designator=self.scheme_designator, meaning=self.meaning)


class Network(Part):
    """The exported program: its file beside the card, the file's SHA-256, and the names of its outputs.

    `finding_logits` has shape (B, labels); a network of anatomy alone has none. The others are optional:
    `finding_maps` (B, labels, rows, columns), covering `maps_window` of the input, by default all of it;
    `structure_logits` (B, structures, rows, columns), covering the input; `view_logits` (B, 4) and `distance` (B, 1),
    not negative; `points` (B, points, 3), column and row in pixels of the input and confidence; `embedding`
    (B, numbers). A network that runs on an inference server has `remote` in place of `file`, and `sha256` is that of
    the file deployed there.
    """

    file: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]+\.pt2)?$")] = ""
    sha256: Sha256
    outputs: Annotated[list[Output], Field(min_length=1, max_length=7)]
    maps_window: Window = Field(default=[0.0, 0.0, 1.0, 1.0])
    remote: RemoteNetwork | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if not self.file and self.remote is None:
            raise ValueError("expected file, or [network.remote] for a network on an inference server")
        unknown = set(self.remote.outputs if self.remote else ()) - set(self.outputs)
        if unknown:
            raise ValueError(f"remote.outputs: {', '.join(sorted(unknown))} not among outputs")
        return self

    @model_validator(mode="after")
    def _maps_cover_something(self) -> Self:
        check_window("maps_window", self.maps_window)
        return self

    @property
    def digest(self) -> Digest:
        """The digest of the file."""
        return parse_digest(self.sha256)


class Label(Part):
    """Meaning of an output, in the order of the network's outputs.

    `outlined`: whether regions are drawn from the label's map. False where it is not shown that the map's maximum lies
    in the finding; the map is stored as a heat map all the same.
    """

    key: Key
    code: CodeEntry
    site: CodeEntry | None = None
    calibrated: bool = False
    outlined: bool = True


class PointEntry(Part):
    """A named point, in the order of the output `points`; `laterality` is a side of the patient.

    With less confidence than `least_confidence` the point counts as not visible.
    """

    key: Key
    code: CodeEntry
    laterality: Literal["right", "left"] | None = None
    least_confidence: Score = 0.5


class EmbeddingTable(Part):
    """Size of the vector in the output `embedding`."""

    numbers: Annotated[int, Field(ge=1, le=MAX_EMBEDDING_NUMBERS)]


class ScoreLimits(Part):
    """A finding is present from `undetermined_to` up, absent below `undetermined_from`."""

    score: Score
    undetermined_from: Score
    undetermined_to: Score

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if not self.undetermined_from <= self.score <= self.undetermined_to:
            raise ValueError("expected undetermined_from <= score <= undetermined_to")
        return self


class OperatingPoint(ScoreLimits):
    """Limits of the score of one label."""

    label: Key


class RatioTable(Part):
    """The finding cardiomegaly by the cardiothoracic ratio, bound to the network with whose outlines it is measured.

    Its score is the ratio. `ap` holds for every view but PA: on AP films the heart is magnified.
    """

    pa: ScoreLimits
    ap: ScoreLimits
    network_sha256: Sha256


class OperatingPoints(Part):
    """Operating points, bound to the weights with which they were chosen."""

    name: Text
    network_sha256: Sha256
    points: Annotated[list[OperatingPoint], Field(max_length=MAX_LABELS)] = Field(default=[])


class Metric(Part):
    """A metric of one label: value with its 95 % interval, and the films."""

    label: Key
    metric: Text
    view: Literal["all", "PA", "AP", "LATERAL"]
    value: float
    low: float
    high: float
    films: Annotated[int, Field(ge=1)]
    with_finding: Annotated[int, Field(ge=0)]
    baseline: float | None = None
    """The same metric of a logistic regression on 24 x 24 thumbnails of the same films."""


class Source(Part):
    """Origin of an imported network: the file's URL and SHA-256."""

    url: Text
    file_sha256: Sha256


class Evidence(Part):
    """Training data, test data and limits."""

    training: Text
    test: Text
    limits: Text
    metrics: list[Metric] = Field(default_factory=list)


class Card(Part):
    """The whole card."""

    schema_version: Literal[1]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    manufacturer: Annotated[str, Field(min_length=1, max_length=64)]
    licence: Text
    intended_use: Text
    network: Network
    input: Input
    operating_points: OperatingPoints
    evidence: Evidence
    labels: Annotated[list[Label], Field(max_length=MAX_LABELS)] = Field(default=[])
    source: Source | None = None
    structures: list[OutlinedStructure] = Field(default=[])
    points: Annotated[list[PointEntry], Field(max_length=MAX_POINTS)] = Field(default=[])
    embedding: EmbeddingTable | None = None
    appearance: AppearanceTable | None = None
    cardiomegaly_by_ratio: RatioTable | None = None
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _keys_are_consistent(self) -> Self:
        keys = [label.key for label in self.labels]
        if len(set(keys)) != len(keys):
            raise ValueError("labels: a key is there twice")
        if CARDIOMEGALY_BY_RATIO in keys:
            raise ValueError(f"labels: the key {CARDIOMEGALY_BY_RATIO} is that of the finding by the ratio")
        points = [point.label for point in self.operating_points.points]
        if sorted(points) != sorted(keys):
            raise ValueError(f"operating_points.points: expected one for each of {keys}, found {points}")
        if self.calibration is None and any(label.calibrated for label in self.labels):
            raise ValueError(
                "labels: calibrated = true needs a [calibration] that says how, and how far off scores are"
            )
        return self

    @model_validator(mode="after")
    def _tables_are_of_this_network(self) -> Self:
        for name in ("operating_points", "appearance", "calibration", "cardiomegaly_by_ratio"):
            table = getattr(self, name)
            if table is not None and table.network_sha256 != self.network.sha256:
                raise ValueError(f"{name}.network_sha256: made with another network than network.sha256")
        return self

    @model_validator(mode="after")
    def _labels_match_the_outputs(self) -> Self:
        outputs = set(self.network.outputs)
        if bool(self.labels) != ("finding_logits" in outputs):
            raise ValueError("network.outputs: expected finding_logits among them with labels, and not without")
        if "finding_maps" in outputs and not self.labels:
            raise ValueError("network.outputs: expected finding_maps only with finding_logits")
        if not self.labels and not self.structures and not self.points:
            raise ValueError("labels: expected labels, structures or points; found none")
        return self

    @model_validator(mode="after")
    def _points_and_embedding_match_the_outputs(self) -> Self:
        if len({point.key for point in self.points}) != len(self.points):
            raise ValueError("points: a key is there twice")
        if bool(self.points) != ("points" in self.network.outputs):
            raise ValueError("points: expected one for each row of the output points, none without that output")
        if (self.embedding is not None) != ("embedding" in self.network.outputs):
            raise ValueError("embedding: expected with the output embedding, and not without")
        return self

    @model_validator(mode="after")
    def _tables_match_the_outputs(self) -> Self:
        outputs = set(self.network.outputs)
        if len(outputs) != len(self.network.outputs):
            raise ValueError("network.outputs: a name is there twice")
        if len(set(self.anatomy)) != len(self.structures):
            raise ValueError("structures: a key is there twice")
        if bool(self.structures) != ("structure_logits" in outputs):
            raise ValueError("structures: expected one for each channel of structure_logits, none without that output")
        if self.cardiomegaly_by_ratio is not None and not {*BOTH_LUNGS, Anatomy.HEART} <= set(self.anatomy):
            raise ValueError("cardiomegaly_by_ratio: expected heart and both lungs among the structures")
        if {name in outputs for name in ("view_logits", "distance")} != {self.appearance is not None}:
            raise ValueError("appearance: expected with the outputs view_logits and distance, and not without both")
        if self.input.has_borders and outputs & {"finding_maps", "structure_logits", "points"}:
            raise ValueError(
                "input.steps.fit: the borders of letterbox have no place on the film, so no maps with it, and no points"
            )
        return self

    @property
    def anatomy(self) -> tuple[Anatomy, ...]:
        """Structures of the channels of `structure_logits`."""
        return tuple(structure.key for structure in self.structures)

    def point_of(self, label: Label) -> OperatingPoint:
        """Return the operating point of one of this card's labels."""
        return next(point for point in self.operating_points.points if point.label == label.key)


def parse(content: bytes) -> Card:
    """Return a card from the bytes of its file.

    Raises
    ------
    CardError
        If it is not TOML, lacks a key, has an unknown one, or a value is invalid.
    """
    try:
        return Card.model_validate(tomllib.loads(content.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"not a TOML file: {error}") from error
    except ValidationError as error:
        raise CardError(
            "\n".join(_message(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors())
        ) from error


def _message(location: tuple[int | str, ...], expected: str, value: object) -> str:
    """Return one fault as a line for the author of the card."""
    key = ".".join(map(str, PurePosixPath(*map(str, location)).parts)) or "card"
    quoted = "" if isinstance(value, dict | BaseModel) else f" (found {value!r:.80})"
    return f"{key}: {expected}{quoted}"
