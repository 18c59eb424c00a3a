"""Questions of `cxr-node bundle import-onnx`: each with a key, a proposal from the file, and the text of its answer."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.cli.terminal import CommandError

if TYPE_CHECKING:
    from cxr_node.infer.onnx.proposal import Proposal

INTENDED_USE = (
    "Research use only. Not a medical device; not for diagnosis or triage of patients. Frontal chest radiographs."
)
IMAGENET_MEAN, IMAGENET_DEVIATION = "0.485,0.456,0.406", "0.229,0.224,0.225"
_SIDE = 224


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question; `proposal` is "" where a person must answer. `applies_if` names an answer that makes it apply."""

    key: str
    text: str
    proposal: str = ""
    applies_if: tuple[str, str] | None = None


def questions(proposal: "Proposal", name: str, known: Sequence[str]) -> tuple[Question, ...]:
    """Return the questions in their order.

    Parameters
    ----------
    name
        Proposed name of the bundle.
    known
        Labels with known codes.
    """
    size = f"{proposal.rows or _SIDE}x{proposal.columns or _SIDE}"
    is_color = proposal.channels == 3
    outputs = ", ".join(proposal.outputs)
    count = f"{proposal.classes} outputs; " if proposal.classes else ""
    return (
        Question(key="name", text="Name of the bundle (lower case)", proposal=name),
        Question(key="version", text="Version", proposal="1.0.0"),
        Question(key="size", text="Input size, ROWSxCOLUMNS", proposal=size),
        Question(key="channels", text="Channels: 1, or 3 with copies of gray", proposal=str(proposal.channels)),
        Question(key="scores", text=f"Output with the scores ({outputs})", proposal=proposal.scores),
        Question(key="meaning", text="Scores are logits, probabilities or softmax (logits)", proposal=proposal.meaning),
        Question(key="maps", text="Output with a map for each score, or none", proposal=proposal.maps or "none"),
        Question(
            key="labels",
            text=f"Labels in the order of the outputs, separated by commas ({count}- leaves one out; codes are known "
            f"for {', '.join(known)}; another as NAME=VALUE^SCHEME^MEANING)",
        ),
        Question(key="operating_points", text="Thresholds, 0 to 1: one, or one for each label", proposal="0.5"),
        Question(key="range", text="Values of black and white before mean and deviation", proposal="0,1"),
        Question(
            key="mean", text="Mean, one number or one for each channel", proposal=IMAGENET_MEAN if is_color else "0"
        ),
        Question(key="deviation", text="Deviation", proposal=IMAGENET_DEVIATION if is_color else "1"),
        Question(key="inverted", text="Black and white exchanged (yes or no)", proposal="no"),
        Question(key="scaling", text="Gray: display, min-max, percentile or z-score", proposal="display"),
        Question(key="percentiles", text="Percentiles", proposal="1,99", applies_if=("scaling", "percentile")),
        Question(key="fit", text="Fit: squash, center-crop or letterbox", proposal="squash"),
        Question(
            key="shorter_side",
            text="Shorter side before the crop, 0 for the input size",
            proposal="0",
            applies_if=("fit", "center-crop"),
        ),
        Question(
            key="kernel", text="Kernel: bilinear, bicubic, lanczos, area, nearest, nearest-center", proposal="bilinear"
        ),
        Question(key="antialias", text="Antialiasing: yes (Pillow, torchvision), no (OpenCV)", proposal="yes"),
        Question(key="is_8_bit", text="Films are 8-bit pictures when they are resized", proposal="no"),
        Question(key="licence", text="Licence of the network"),
        Question(key="manufacturer", text="Who made it"),
        Question(key="intended_use", text="Intended use", proposal=INTENDED_USE),
        Question(key="training", text="Training data", proposal="Not stated at the import."),
    )


def read_answers(file: Path | None, pairs: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Return answers from a TOML file and from KEY=VALUE texts, which come before those of the file.

    Raises
    ------
    CommandError
        If the file cannot be read, or a key is unknown.
    """
    answers: dict[str, str] = {}
    if file is not None:
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CommandError(f'{file}: {error}; expected a TOML file of answers, such as size = "224x224"') from None
        answers.update({key: _plain(value) for key, value in document.items()})
    for text in pairs:
        key, separator, value = text.partition("=")
        if not separator:
            raise CommandError(f"--answer {text}: expected KEY=VALUE, such as size=224x224")
        answers[key.strip()] = value.strip()
    unknown = [key for key in answers if key not in keys]
    if unknown:
        raise CommandError(f"no question {unknown[0]!r}; expected one of {', '.join(keys)}")
    return answers


def _plain(value: object) -> str:
    """Return a TOML value as it would be typed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(_plain, value)) if isinstance(value, list) else str(value)


def complete(
    questions: Sequence[Question], answers: Mapping[str, str], prompt: Callable[[Question], str] | None
) -> dict[str, str]:
    """Return an answer to each question: as given, else from `prompt`, else as proposed.

    Raises
    ------
    CommandError
        If questions without a proposal are left and there is no `prompt`.
    """
    texts = dict(answers)
    for question in questions:
        key, value = question.applies_if or ("", "")
        applies = question.applies_if is None or texts.get(key) == value
        if question.key not in texts:
            texts[question.key] = prompt(question) if prompt and applies else question.proposal
    missing = [question.key for question in questions if not texts[question.key]]
    if missing:
        raise CommandError(
            f"no answer to {', '.join(missing)}: add --answer {missing[0]}=..., or run the command in a terminal"
        )
    return texts
