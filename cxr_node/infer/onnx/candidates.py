"""Preparations that differ in one step from a given one, each with its name and with the answers that choose it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from cxr_node.infer.steps import Steps

DISPLAYED = "displayed"
"""The film as the node displays it. Other pictures of a film have other names."""

Reading = Literal["logits", "probabilities", "softmax", "none", "twice"]
"""How an output becomes a score: as `convert.Scores`; as it is ("none"); or by a sigmoid after a sigmoid ("twice")."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_GRAY_IMAGENET = ((0.449,), (0.226,))
_RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-1024.0, 1024.0), (0.0, 65535.0))
_KERNELS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("bilinear with antialiasing", {"kernel": "bilinear", "antialias": True}),
    ("bilinear without antialiasing", {"kernel": "bilinear", "antialias": False}),
    ("bicubic with antialiasing", {"kernel": "bicubic", "antialias": True}),
    ("bicubic without antialiasing", {"kernel": "bicubic", "antialias": False}),
    ("Lanczos", {"kernel": "lanczos", "antialias": True}),
    ("area", {"kernel": "area", "antialias": True}),
    ("nearest neighbour", {"kernel": "nearest", "antialias": True}),
    ("nearest neighbour by pixel centers", {"kernel": "nearest-center", "antialias": True}),
)
_PERCENTILES = ((1.0, 99.0), (0.5, 99.5), (2.0, 98.0), (5.0, 95.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How a pipeline may prepare a film and read the network's output."""

    steps: Steps
    reading: Reading = "logits"
    picture: str = DISPLAYED
    is_first_channel_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A preparation that differs in one step: `name` says how, `group` which step.

    `answers` choose it for the card; None if no card can state it, then `advice` says what to do.
    """

    name: str
    group: str
    preparation: Preparation
    answers: Mapping[str, str] | None
    advice: str = ""


def candidates(base: Preparation, pictures: Mapping[str, str]) -> tuple[Candidate, ...]:
    """Return all preparations that differ from `base` in one step.

    Parameters
    ----------
    pictures
        Names of other pictures of the films, each with what it means.
    """
    every = [*_of_gray(base), *_of_values(base), *_of_size(base), *_of_output(base), *_of_pictures(base, pictures)]
    return tuple(candidate for candidate in every if candidate.preparation != base)


def _stepped(base: Preparation, name: str, group: str, answers: Mapping[str, str], **changes: object) -> Candidate:
    steps = replace(base.steps, **changes)  # type: ignore[arg-type]  # names of fields with values of their types
    return Candidate(name=name, group=group, preparation=replace(base, steps=steps), answers=answers)


def _of_gray(base: Preparation) -> Iterator[Candidate]:
    steps = base.steps
    inverted = "black and white are exchanged (inverted)" if not steps.inverted else "black and white are not exchanged"
    answer = {"inverted": "no" if steps.inverted else "yes"}
    yield _stepped(base, inverted, "inversion", answer, inverted=not steps.inverted)
    eight = "gray values are rounded to 8 bits" if not steps.is_8_bit else "gray values are not rounded to 8 bits"
    yield _stepped(
        base, eight, "rounding", {"is_8_bit": "no" if steps.is_8_bit else "yes"}, is_8_bit=not steps.is_8_bit
    )
    names = {
        "display": "gray values are as displayed, without normalisation of the film",
        "min-max": "gray values are normalised from the film's minimum to its maximum",
        "z-score": "the input is normalised by its own mean and standard deviation",
    }
    for scaling, name in names.items():
        yield _stepped(base, name, "scaling", {"scaling": scaling}, scaling=scaling)
    for low, high in _PERCENTILES:
        name = f"gray values are normalised between the percentiles {low:g} and {high:g}"
        answers = {"scaling": "percentile", "percentiles": f"{low:g},{high:g}"}
        yield _stepped(base, name, "scaling", answers, scaling="percentile", percentiles=(low, high))


def _of_values(base: Preparation) -> Iterator[Candidate]:
    steps = base.steps
    for low, high in _RANGES:
        name = f"values run from {low:g} to {high:g}, not {steps.low:g} to {steps.high:g}"
        yield _stepped(base, name, "value range", {"range": f"{low:g},{high:g}"}, low=low, high=high)
    for name, (mean, deviation) in _normalisations(steps.channels).items():
        answers = {"mean": _listed(mean), "deviation": _listed(deviation)}
        yield _stepped(base, name, "mean and deviation", answers, mean=mean, deviation=deviation)
    if len(set(steps.mean)) > 1 or len(set(steps.deviation)) > 1:
        mean, deviation = steps.mean[::-1], steps.deviation[::-1]
        answers = {"mean": _listed(mean), "deviation": _listed(deviation)}
        name = "the channels are in the order blue, green, red"
        yield _stepped(base, name, "channels", answers, mean=mean, deviation=deviation)
    if steps.channels > 1:
        yield Candidate(
            name="only the first channel has the film, the others are 0 (no copies of gray)",
            group="channels",
            preparation=replace(base, is_first_channel_only=True),
            answers=None,
            advice="give your network the same gray in all channels, or export it with one channel",
        )


def _normalisations(channels: int) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    mean, deviation = IMAGENET if channels == 3 else _GRAY_IMAGENET
    return {
        "no mean is subtracted and no deviation divided by": ((0.0,) * channels, (1.0,) * channels),
        "mean and deviation are those of ImageNet": (mean, deviation),
        "mean and deviation are those of ImageNet times 255": (
            tuple(255 * value for value in mean),
            tuple(255 * value for value in deviation),
        ),
        "mean and deviation are 0.5": ((0.5,) * channels, (0.5,) * channels),
    }


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _of_size(base: Preparation) -> Iterator[Candidate]:
    for name, changes in _KERNELS:
        answers = {key: {True: "yes", False: "no"}.get(value, str(value)) for key, value in changes.items()}  # type: ignore[call-overload]  # a table by truth
        yield _stepped(base, f"the resize kernel is {name}", "kernel", answers, **changes)
    names = {
        "squash": "the film is squashed to the input size, without cropping",
        "center-crop": "the shorter side is resized to the input size, and the middle cropped",
        "letterbox": "the film keeps its proportions between black borders (letterbox)",
    }
    for fit, name in names.items():
        yield _stepped(base, name, "crop", {"fit": fit, "shorter_side": "0"}, fit=fit, shorter_side=0)


def larger_crops(base: Preparation, side: int) -> Iterator[Candidate]:
    """Yield central crops out of a larger size: 256 for 224, as torchvision's transforms do, and in proportion."""
    for shorter in dict.fromkeys((round(side * 256 / 224), round(side * 1.1), side + 32)):
        name = f"the shorter side is resized to {shorter}, and the middle cropped"
        answers = {"fit": "center-crop", "shorter_side": str(shorter)}
        yield _stepped(base, name, "crop", answers, fit="center-crop", shorter_side=shorter)


def _of_output(base: Preparation) -> Iterator[Candidate]:
    again = "a sigmoid is applied to the output"
    if base.reading == "probabilities":
        again = "the sigmoid is applied twice: the output is a probability already"
    chosen: dict[Reading, str] = {
        "logits": again,
        "probabilities": "the output is a probability, without another sigmoid",
        "softmax": "a softmax is applied to the output",
    }
    for reading, name in chosen.items():
        preparation = replace(base, reading=reading)
        yield Candidate(name=name, group="output", preparation=preparation, answers={"meaning": reading})
    advice: dict[Reading, tuple[str, str]] = {
        "none": ("your scores are logits: the sigmoid is missing", "apply a sigmoid to your scores"),
        "twice": ("the sigmoid is applied twice", "apply the sigmoid once"),
    }
    for reading, (name, what) in advice.items():
        preparation = replace(base, reading=reading)
        yield Candidate(name=name, group="output", preparation=preparation, answers=None, advice=what)


def _of_pictures(base: Preparation, pictures: Mapping[str, str]) -> Iterator[Candidate]:
    for picture, name in pictures.items():
        yield Candidate(
            name=name,
            group="picture",
            preparation=replace(base, picture=picture),
            answers=None,
            advice="the node always reads films as displayed; score yours as displayed, or export them as PNG",
        )
