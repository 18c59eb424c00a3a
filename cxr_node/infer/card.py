"""The card of a bundle: what the network is, what it takes and gives, and how its scores are to be read."""

import tomllib
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cxr_node.domain.codes import Code
from cxr_node.domain.identifiers import Digest, parse_digest
from cxr_node.infer import prepare

SCHEMA_VERSION = 1
MAX_LABELS = 64

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[float, Field(ge=0, le=1)]


class CardError(ValueError):
    """The card is not one: each line of the message names a key, what was found and what was expected."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CodeEntry(_Part):
    """A coded concept (PS3.3 section 8); value and designator are SH, at most 16 characters."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme_designator: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: Annotated[str, Field(min_length=1, max_length=64)]

    @property
    def code(self) -> Code:
        """The same as the domain has it."""
        return Code(value=self.value, scheme_designator=self.scheme_designator, meaning=self.meaning)


class Network(_Part):
    """The exported program: its file beside the card, the file's SHA-256, and the names of its outputs.

    `finding_logits` has shape (B, labels); `finding_maps`, if given, (B, labels, rows, columns).
    """

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.pt2$")]
    sha256: Sha256
    outputs: Annotated[list[Literal["finding_logits", "finding_maps"]], Field(min_length=1, max_length=2)]

    @property
    def digest(self) -> Digest:
        """The digest of the file."""
        return parse_digest(self.sha256)


class Input(_Part):
    """What the network takes: shape (B, 1, rows, columns), 32-bit floats in `value_range`.

    `window` is the part of the film that is taken: left, top, right and bottom as shares of its width and height.
    """

    rows: Annotated[int, Field(ge=32, le=2048)]
    columns: Annotated[int, Field(ge=32, le=2048)]
    window: Annotated[list[Score], Field(min_length=4, max_length=4)]
    value_range: Annotated[list[float], Field(min_length=2, max_length=2)]
    preparation: Literal["squash-area"]
    description: Text

    @model_validator(mode="after")
    def _is_what_the_recipe_gives(self) -> Self:
        if self.value_range != [0.0, 1.0]:
            raise ValueError(f"value_range of {prepare.RECIPE} is [0.0, 1.0]")
        left, top, right, bottom = self.window
        if not (left < right and top < bottom):
            raise ValueError("expected window as [left, top, right, bottom], left before right and top above bottom")
        return self

    @property
    def frame(self) -> prepare.Frame:
        """The same as the recipe takes it."""
        left, top, right, bottom = self.window
        return prepare.Frame(rows=self.rows, columns=self.columns, left=left, top=top, right=right, bottom=bottom)


class Label(_Part):
    """What an output stands for; the order is that of the network's labels."""

    key: Key
    code: CodeEntry
    site: CodeEntry | None = None
    calibrated: bool = False


class OperatingPoint(_Part):
    """A label's score is read as present from `undetermined_to`, as absent below `undetermined_from`."""

    label: Key
    score: Score
    undetermined_from: Score
    undetermined_to: Score

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if not self.undetermined_from <= self.score <= self.undetermined_to:
            raise ValueError("expected undetermined_from <= score <= undetermined_to")
        return self


class OperatingPoints(_Part):
    """Operating points, bound to the weights that they were chosen with."""

    name: Text
    network_sha256: Sha256
    points: Annotated[list[OperatingPoint], Field(min_length=1, max_length=MAX_LABELS)]


class Metric(_Part):
    """A measured figure of one label: value with its 95 % interval, on which films."""

    label: Key
    metric: Text
    view: Literal["all", "PA", "AP", "LATERAL"]
    value: float
    low: float
    high: float
    films: Annotated[int, Field(ge=1)]
    with_finding: Annotated[int, Field(ge=0)]
    baseline: float | None = None
    """The same figure of a logistic regression on 24 x 24 thumbnails of the same films."""


class Evidence(_Part):
    """What the network was made from and judged on."""

    training: Text
    test: Text
    limits: Text
    metrics: list[Metric] = Field(default_factory=list)


class Card(_Part):
    """Everything a bundle says about itself."""

    schema_version: Literal[1]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    manufacturer: Annotated[str, Field(min_length=1, max_length=64)]
    licence: Text
    intended_use: Text
    network: Network
    input: Input
    labels: Annotated[list[Label], Field(min_length=1, max_length=MAX_LABELS)]
    operating_points: OperatingPoints
    evidence: Evidence

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        keys = [label.key for label in self.labels]
        if len(set(keys)) != len(keys):
            raise ValueError("labels: a key is there twice")
        points = [point.label for point in self.operating_points.points]
        if sorted(points) != sorted(keys):
            raise ValueError(f"operating_points.points: expected one for each of {keys}, found {points}")
        if self.operating_points.network_sha256 != self.network.sha256:
            raise ValueError("operating_points.network_sha256: chosen with another network than network.sha256")
        if "finding_logits" not in self.network.outputs:
            raise ValueError("network.outputs: expected finding_logits among them")
        return self

    def point_of(self, label: Label) -> OperatingPoint:
        """Return the operating point of one of this card's labels."""
        return next(point for point in self.operating_points.points if point.label == label.key)


def parse(content: bytes) -> Card:
    """Return a card from the bytes of its file.

    Raises
    ------
    CardError
        If it is not TOML, lacks a key, has one too many, or a value is not what it should be.
    """
    try:
        return Card.model_validate(tomllib.loads(content.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"not a TOML file: {error}") from error
    except ValidationError as error:
        raise CardError(
            "\n".join(_sentence(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors())
        ) from error


def _sentence(place: tuple[int | str, ...], expected: str, found: object) -> str:
    """Return one fault as a person wants to read it."""
    key = ".".join(map(str, PurePosixPath(*map(str, place)).parts)) or "card"
    shown = "" if isinstance(found, dict | BaseModel) else f" (found {found!r:.80})"
    return f"{key}: {expected}{shown}"
