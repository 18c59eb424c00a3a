"""Answers about a network: texts by key, as typed or read from a file, and what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from cxr_node.domain.codes import Code
from cxr_node.infer.input_card import StepsTable
from cxr_node.infer.onnx.convert import Outputs, Scores
from cxr_node.infer.prepare import Frame
from cxr_node.infer.resize import Kernel
from cxr_node.infer.steps import RECIPE, Fit, Scaling

_YES, _NO = ("yes", "true", "1", "y"), ("no", "false", "0", "n")
LEFT_OUT = "-"
NO_MAPS = "none"


class WrongAnswer(ValueError):
    """An answer is missing or cannot be used; the message names its key and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAnswer:
    """One label: its name, code and site, its place in the output, and its operating point."""

    name: str
    place: int
    code: Code
    site: Code | None
    score: float
    undetermined: tuple[float, float]

    @property
    def key(self) -> str:
        """The label's key on the card."""
        return slug(self.name)


def slug(name: str) -> str:
    """Return a name in lower case, with an underscore for everything but letters and digits."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.lower())
    return "_".join(part for part in plain.split("_") if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Parsed answers by key.

    Parameters
    ----------
    texts
        The text of each answer.
    """

    texts: Mapping[str, str]

    def text(self, key: str) -> str:
        """Return the text of an answer, not empty."""
        text = self.texts.get(key, "").strip()
        if not text:
            raise WrongAnswer(f"{key}: no answer; give one with --answer {key}=... or in the file of --answers")
        return text

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return the numbers of an answer, separated by commas."""
        try:
            return tuple(float(part) for part in self.text(key).split(","))
        except ValueError:
            raise WrongAnswer(f"{key}: {self.text(key)!r}; expected numbers separated by commas") from None

    def is_yes(self, key: str) -> bool:
        """Return an answer of yes or no."""
        text = self.text(key).lower()
        if text not in _YES + _NO:
            raise WrongAnswer(f"{key}: {text!r}; expected yes or no")
        return text in _YES

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        """Return an answer that is one of `options`."""
        text = self.text(key)
        if text not in options:
            raise WrongAnswer(f"{key}: {text!r}; expected one of {', '.join(options)}")
        return text

    def size(self) -> tuple[int, int]:
        """Return rows and columns."""
        parts = self.text("size").lower().replace(" ", "").split("x")
        if not all(part.isdecimal() for part in parts) or len(parts) not in (1, 2):
            raise WrongAnswer(f"size: {self.text('size')!r}; expected ROWSxCOLUMNS, for example 224x224")
        return int(parts[0]), int(parts[-1])

    def channels(self) -> int:
        """Return the number of channels."""
        return int(self.choice("channels", ("1", "3")))

    def steps(self) -> StepsTable:
        """Return the steps of the preparation; raise WrongAnswer if they contradict each other."""
        percentiles, shorter = self.numbers("percentiles"), self.text("shorter_side")
        if not shorter.isdecimal():
            raise WrongAnswer(f"shorter_side: {shorter!r}; expected a number of pixels, or 0")
        try:
            return StepsTable(
                fit=cast("Fit", self.choice("fit", get_args(Fit))),
                shorter_side=int(shorter) if self.text("fit") == "center-crop" else 0,
                kernel=cast("Kernel", self.choice("kernel", get_args(Kernel))),
                antialias=self.is_yes("antialias"),
                is_8_bit=self.is_yes("is_8_bit"),
                scaling=cast("Scaling", self.choice("scaling", get_args(Scaling))),
                percentiles=list(percentiles),
                inverted=self.is_yes("inverted"),
                channels=self.channels(),
                mean=list(self.numbers("mean")),
                deviation=list(self.numbers("deviation")),
            )
        except ValueError as error:
            raise error if isinstance(error, WrongAnswer) else WrongAnswer(f"preparation: {error}") from error

    def value_range(self) -> tuple[float, float]:
        """Return the values of black and white."""
        numbers = self.numbers("range")
        if len(numbers) != 2 or numbers[0] == numbers[1]:
            raise WrongAnswer(f"range: {self.text('range')!r}; expected the values of black and white, as in 0,1")
        return numbers[0], numbers[1]

    def frame(self) -> Frame:
        """Return the parameters of the recipe."""
        (low, high), (rows, columns) = self.value_range(), self.size()
        return Frame(rows=rows, columns=columns, recipe=RECIPE, steps=self.steps().as_steps(low, high))

    def outputs(self, names: tuple[str, ...], places: tuple[int, ...]) -> Outputs:
        """Return which output is what."""
        maps = self.choice("maps", (NO_MAPS, *names))
        return Outputs(
            scores=self.choice("scores", names),
            meaning=cast("Scores", self.choice("meaning", get_args(Scores))),
            places=places,
            maps="" if maps == NO_MAPS else maps,
        )

    def labels(self, known: Mapping[str, tuple[Code, Code | None]]) -> tuple[LabelAnswer, ...]:
        """Return the labels, in the order of the outputs that they belong to.

        Parameters
        ----------
        known
            Code and site by the name of a label.
        """
        named = [(place, part.strip()) for place, part in enumerate(self.text("labels").split(","))]
        chosen = [(place, part) for place, part in named if part not in ("", LEFT_OUT)]
        points = [part.strip() for part in self.text("operating_points").split(",")]
        if len(points) == 1:
            points *= len(chosen)
        if not chosen or len(points) != len(chosen):
            raise WrongAnswer(
                f"operating_points: {len(points)} for {len(chosen)} labels; expected one, or one for each"
            )
        labels = tuple(_label(place, part, point, known) for (place, part), point in zip(chosen, points, strict=True))
        keys = [label.key for label in labels]
        if len(set(keys)) != len(keys) or not all(key[:1].isalpha() for key in keys):
            raise WrongAnswer(f"labels: {', '.join(keys)}; expected different names that begin with a letter")
        return labels


def _label(place: int, part: str, point: str, known: Mapping[str, tuple[Code, Code | None]]) -> LabelAnswer:
    name, _, coded = (text.strip() for text in part.partition("="))
    code, site = _code(name, coded, known)
    low, score, high = _point(point)
    return LabelAnswer(name=name, place=place, code=code, site=site, score=score, undetermined=(low, high))


def _code(name: str, coded: str, known: Mapping[str, tuple[Code, Code | None]]) -> tuple[Code, Code | None]:
    if coded:
        parts = [text.strip() for text in coded.split("^")]
        if len(parts) != 3 or not all(parts):
            raise WrongAnswer(f"labels: {coded!r} of {name}; expected VALUE^SCHEME^MEANING, as in 112001^DCM^Opacity")
        return Code(value=parts[0], scheme_designator=parts[1], meaning=parts[2]), None
    by_slug = {slug(label): codes for label, codes in known.items()}
    if slug(name) not in by_slug:
        raise WrongAnswer(
            f"labels: no code is known for {name!r}; write it as {name}=VALUE^SCHEME^MEANING, leave the output out "
            f"with {LEFT_OUT}, or use one of {', '.join(known)}"
        )
    return by_slug[slug(name)]


def _point(text: str) -> tuple[float, float, float]:
    """Return the score from which a finding is undetermined, its operating point, and where it is present."""
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not 0 <= numbers[0] <= numbers[1] <= numbers[2] <= 1:
        raise WrongAnswer(f"operating_points: {text!r}; expected a score from 0 to 1, or FROM/SCORE/TO")
    return numbers[0], numbers[1], numbers[2]
