"""Tables of a card: base class, value types, and the optional tables."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cxr_node.domain.anatomy import Anatomy

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[float, Field(ge=0, le=1)]
Window = Annotated[list[Score], Field(min_length=4, max_length=4)]
"""Left, top, right and bottom in shares of width and height."""


class Part(BaseModel):
    """A table of the card. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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


def check_window(name: str, window: list[float]) -> None:
    """Raise ValueError if `window` is empty."""
    left, top, right, bottom = window
    if not (left < right and top < bottom):
        raise ValueError(f"expected {name} as [left, top, right, bottom], left before right and top above bottom")
