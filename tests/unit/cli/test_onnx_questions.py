"""Questions of the import of ONNX files: asked, answered beforehand, or proposed."""

from pathlib import Path

import pytest

from cxr_node.cli import onnx_questions
from cxr_node.cli.onnx_questions import Question
from cxr_node.cli.terminal import CommandError

ASKED = (
    Question(key="fit", text="Fit", proposal="squash"),
    Question(key="shorter_side", text="Shorter side", proposal="0", applies_if=("fit", "center-crop")),
    Question(key="licence", text="Licence"),
)
KEYS = [question.key for question in ASKED]


def test_only_questions_that_apply_and_have_no_answer_are_asked() -> None:
    questions: list[str] = []

    def prompt(question: Question) -> str:
        questions.append(question.key)
        return question.proposal or "MIT"

    texts = onnx_questions.complete(ASKED, {}, prompt)
    onnx_questions.complete(ASKED, {"fit": "center-crop", "licence": "MIT"}, prompt)

    assert questions == ["fit", "licence", "shorter_side"]
    assert texts == {"fit": "squash", "shorter_side": "0", "licence": "MIT"}


def test_without_a_terminal_a_question_without_proposal_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"no answer to licence: add --answer licence=\.\.\."):
        onnx_questions.complete(ASKED, {}, None)


def test_answers_of_the_command_line_come_before_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text('fit = "letterbox"\nshorter_side = [1, 2.5, true]\n', encoding="utf-8")

    answers = onnx_questions.read_answers(file, ["fit = squash", "licence=a=b"], KEYS)

    assert answers == {"fit": "squash", "shorter_side": "1,2.5,yes", "licence": "a=b"}


@pytest.mark.parametrize(
    ("text", "message"), [("fit", "expected KEY=VALUE"), ("colour=red", "no question 'colour'; expected one of fit")]
)
def test_unusable_answer_of_the_command_line_is_refused(text: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        onnx_questions.read_answers(None, [text], KEYS)


def test_unreadable_file_of_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="expected a TOML file"):
        onnx_questions.read_answers(tmp_path / "nothing.toml", [], KEYS)
