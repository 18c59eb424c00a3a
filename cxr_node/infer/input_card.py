"""The card's table of the network's input: size, and the preparation of a film."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cxr_node.infer import center_crop, prepare, steps
from cxr_node.infer.resize import Kernel
from cxr_node.infer.steps import Fit, Scaling, Steps

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Score = Annotated[float, Field(ge=0, le=1)]
Window = Annotated[list[Score], Field(min_length=4, max_length=4)]
"""Left, top, right and bottom in shares of width and height."""


class Part(BaseModel):
    """A table of the card. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def check_window(name: str, window: list[float]) -> None:
    """Raise ValueError if `window` is empty."""
    left, top, right, bottom = window
    if not (left < right and top < bottom):
        raise ValueError(f"expected {name} as [left, top, right, bottom], left before right and top above bottom")


Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Percent = Annotated[float, Field(ge=0, le=100)]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=steps.MAX_CHANNELS)]


class StepsTable(Part):
    """Fields of the recipe "steps", each with a default: see `steps.Steps`."""

    fit: Fit = "squash"
    shorter_side: Annotated[int, Field(ge=0, le=4096)] = 0
    kernel: Kernel = "bilinear"
    antialias: bool = True
    is_8_bit: bool = False
    scaling: Scaling = "display"
    percentiles: Annotated[list[Percent], Field(min_length=2, max_length=2)] = [1.0, 99.0]
    inverted: bool = False
    channels: Annotated[int, Field(ge=1, le=steps.MAX_CHANNELS)] = 1
    mean: Numbers = [0.0]
    deviation: Numbers = [1.0]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.percentiles[0] >= self.percentiles[1]:
            raise ValueError("expected percentiles as [low, high], low below high")
        if {len(self.mean), len(self.deviation)} - {1, self.channels}:
            raise ValueError(f"expected mean and deviation with one number, or {self.channels}, one for each channel")
        if any(deviation <= 0 for deviation in self.deviation):
            raise ValueError("expected deviation above 0")
        if self.shorter_side and self.fit != "center-crop":
            raise ValueError("shorter_side belongs to the fit center-crop")
        return self

    def as_steps(self, low: float, high: float) -> Steps:
        """Return the steps, with the values of black and white, and one mean and deviation for each channel."""
        return Steps(
            **self.model_dump(include=_PLAIN_FIELDS),
            percentiles=(self.percentiles[0], self.percentiles[1]),
            low=low,
            high=high,
            mean=_for_each(self.mean, self.channels),
            deviation=_for_each(self.deviation, self.channels),
        )


class Input(Part):
    """Input of the network: shape (B, channels, rows, columns), 32-bit floats; one channel but in the recipe "steps".

    `window` is the part of the film that is used: left, top, right and bottom as shares of its width and height.
    `value_range` has the values of black and white, in the recipe "steps" before the mean is subtracted.
    """

    rows: Annotated[int, Field(ge=32, le=2048)]
    columns: Annotated[int, Field(ge=32, le=2048)]
    window: Window
    value_range: Annotated[list[Number], Field(min_length=2, max_length=2)]
    preparation: Literal["squash-area", "center-crop-gaussian", "steps"]
    description: Text
    steps: StepsTable | None = None

    @model_validator(mode="after")
    def _fits_the_recipe(self) -> Self:
        if (self.preparation == steps.RECIPE) != (self.steps is not None):
            raise ValueError("steps: expected a table [input.steps] with the preparation steps, none with another")
        expected = self.value_range if self.steps else list(prepare.VALUE_RANGES[self.preparation])
        if self.value_range != expected:
            raise ValueError(f"value_range of {self.preparation} is {expected}")
        if self.value_range[0] == self.value_range[1]:
            raise ValueError("value_range: expected two different values, of black and white")
        self._check_area()
        return self

    def _check_area(self) -> None:
        whole, square = self.window == [0.0, 0.0, 1.0, 1.0], self.rows == self.columns
        if self.preparation == center_crop.RECIPE and not (whole and square):
            raise ValueError(f"{self.preparation} takes the window [0.0, 0.0, 1.0, 1.0] and as many rows as columns")
        check_window("window", self.window)
        if self.steps is None:
            return
        if not whole:
            raise ValueError("steps takes the window [0.0, 0.0, 1.0, 1.0]")
        shorter = self.steps.shorter_side or max(self.rows, self.columns)
        if self.steps.fit == "center-crop" and shorter < max(self.rows, self.columns):
            raise ValueError("steps.shorter_side: expected at least rows and columns, or 0 for the larger of both")

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return self.steps.channels if self.steps else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one film as network input: (channels, rows, columns)."""
        return self.channels, self.rows, self.columns

    @property
    def has_borders(self) -> bool:
        """Whether the input shows borders that are no part of the film."""
        return self.steps is not None and self.steps.fit == "letterbox"

    @property
    def identity(self) -> str:
        """The preparation in one line, for the identity of a model."""
        parts = [self.preparation, f"{self.rows}x{self.columns} of {self.window}"]
        return " ".join([*parts, self.frame.steps.sentence()] if self.steps else parts)

    @property
    def frame(self) -> prepare.Frame:
        """As the recipe's parameters."""
        left, top, right, bottom = self.window
        return prepare.Frame(
            rows=self.rows,
            columns=self.columns,
            left=left,
            top=top,
            right=right,
            bottom=bottom,
            recipe=self.preparation,
            steps=self.steps.as_steps(self.value_range[0], self.value_range[1]) if self.steps else steps.DEFAULT,
        )


_PLAIN_FIELDS = {"fit", "shorter_side", "kernel", "antialias", "is_8_bit", "scaling", "inverted", "channels"}


def _for_each(numbers: list[float], channels: int) -> tuple[float, ...]:
    return tuple(numbers) if len(numbers) == channels else tuple(numbers) * channels
