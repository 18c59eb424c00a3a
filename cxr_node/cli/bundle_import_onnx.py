"""`cxr-node bundle import-onnx`: a network in an ONNX file as a bundle, with a proof that its scores are the same."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cxr_node.cli import onnx_films, onnx_questions
from cxr_node.cli.bundles import bundle_errors
from cxr_node.cli.onnx_questions import Question
from cxr_node.cli.terminal import CommandError, err, out
from cxr_node.domain.identifiers import digest_of
from cxr_node.pixels.limits import Limits
from cxr_node.report import codes

if TYPE_CHECKING:
    from cxr_node.infer.onnx.answers import Answers, LabelAnswer
    from cxr_node.infer.onnx.candidates import Preparation
    from cxr_node.infer.onnx.convert import ImportedNetwork
    from cxr_node.infer.onnx.equality import Comparison, Difference, Explanation
    from cxr_node.infer.onnx.proposal import Proposal

_SHOWN = 12
"""Rows of the table of differences."""
_CLOSEST = 3
NOT_COMPARED = "Not compared with its authors' pipeline, and not judged here; judge it on your own films."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A file that was read: its bytes, its graph as a module under the present answers, and what it proposes."""

    content: bytes
    network: "ImportedNetwork"
    proposal: "Proposal"
    answers: "Answers"
    labels: "tuple[LabelAnswer, ...]"


def import_onnx(
    file: Annotated[Path, typer.Argument(help="The ONNX file.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the new bundle.")],
    answers: Annotated[Path | None, typer.Option(help="TOML file with answers.")] = None,
    answer: Annotated[list[str] | None, typer.Option(help="One answer, KEY=VALUE. Can be repeated.")] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="Scores of your own pipeline on three or more films: CSV (file,label,score) or JSON."),
    ] = None,
    films: Annotated[Path | None, typer.Option(help="Folder of these films; default: that of the scores.")] = None,
    tolerance: Annotated[float, typer.Option(help="Largest difference of a score that counts as equal.")] = 1e-3,
    adopt: Annotated[bool, typer.Option(help="Write the card with the preparation that explains your scores.")] = False,
) -> None:
    """Make a bundle from an ONNX file, and compare its scores with those of your own pipeline.

    Questions that no answer is given to are asked in a terminal; elsewhere the proposals are taken.
    """
    from cxr_node.infer.onnx.answers import WrongAnswer
    from cxr_node.infer.onnx.tensors import UnsafeFile

    with bundle_errors():
        try:
            if to.exists():
                raise CommandError(f"{to} exists; name a new folder")
            opened = _open(file, answers, answer or [])
            proof = NOT_COMPARED
            if scores is not None:
                opened, proof = _prove(opened, scores, films or scores.parent, tolerance, adopt=adopt)
            _write(opened, file, to, proof)
        except UnsafeFile as error:
            raise CommandError(f"{file} was refused: {error}") from None
        except WrongAnswer as error:
            raise CommandError(str(error)) from None


def _open(file: Path, answers_file: Path | None, answer_texts: list[str]) -> _Opened:
    """Read the file, ask the questions, and compare with ONNX Runtime."""
    from cxr_node.infer.onnx import file as onnx_file
    from cxr_node.infer.onnx.answers import Answers, slug
    from cxr_node.infer.onnx.proposal import propose

    try:
        content = file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    graph = onnx_file.parse(content)
    proposal = propose(graph)
    questions = onnx_questions.questions(
        proposal, slug(file.stem).replace("_", "-") or "imported", list(codes.FINDINGS)
    )
    texts = onnx_questions.read_answers(answers_file, answer_texts, [question.key for question in questions])
    completed = Answers(texts=onnx_questions.complete(questions, texts, _prompt if sys.stdin.isatty() else None))
    return _converted(content, proposal, completed)


def _converted(content: bytes, proposal: "Proposal", answers: "Answers") -> _Opened:
    """Return the network with the outputs and the input of the answers, compared with ONNX Runtime."""
    from cxr_node.infer.onnx import convert, run_time
    from cxr_node.infer.onnx import file as onnx_file

    known = {label: (code, site) for label, (code, site, _) in codes.FINDINGS.items()}
    labels = answers.labels(known)
    outputs = answers.outputs(proposal.outputs, tuple(label.place for label in labels))
    answers.frame()
    rows, columns = answers.size()
    channels = answers.channels()
    shape = (rows, columns, channels) if proposal.is_channels_last else (channels, rows, columns)
    graph = onnx_file.parse(content)
    network = convert.native(graph, outputs, is_channels_last=proposal.is_channels_last, film_shape=shape)
    if run_time.is_installed():
        difference = run_time.difference(content, network, outputs.scores, shape)
        if not difference <= run_time.TOLERANCE:
            raise CommandError(
                f"the converted network differs from ONNX Runtime by {difference:.2g}; it was not imported"
            )
        err.print(f"same outputs as ONNX Runtime, within {difference:.1g}", markup=False)
    else:
        err.print(f"not compared with ONNX Runtime, which is not installed: {run_time.HOW_TO_INSTALL}", markup=False)
    return _Opened(content=content, network=network, proposal=proposal, answers=answers, labels=labels)


def _prompt(question: Question) -> str:
    text: str = typer.prompt(question.text, default=question.proposal or None, err=True)
    return text


def _prove(opened: _Opened, scores: Path, folder: Path, tolerance: float, *, adopt: bool) -> tuple[_Opened, str]:
    """Compare scores; return the import, with the preparation that explains them, and the proof in a sentence."""
    comparison = _comparison(opened, scores, folder)
    base = _preparation(opened.answers)
    differences = comparison.differences(base)
    _show(differences)
    if differences[0].size > tolerance:
        opened = _explained(opened, comparison, base, tolerance, adopt=adopt)
        differences = comparison.differences(_preparation(opened.answers))
    largest = differences[0]
    typer.echo(f"equal: the largest difference is {largest.size:.2g} ({largest.film}, {largest.label})")
    return opened, (
        f"Compared with its authors' scores on {len(comparison.films)} films at the import: the largest difference is "
        f"{largest.size:.2g}. Not judged here; judge it on your own films."
    )


def _comparison(opened: _Opened, scores: Path, folder: Path) -> "Comparison":
    import numpy as np
    import torch

    from cxr_node.domain.radiograph import Float32
    from cxr_node.infer.onnx.equality import Comparison

    expected = onnx_films.read_scores(scores)
    places = {label.name: label.place for label in opened.labels}
    unknown = sorted({label for row in expected.values() for label in row} - set(places))
    if unknown:
        raise CommandError(f"{scores}: unknown label {unknown[0]!r}; expected some of {', '.join(places)}")
    output = opened.answers.text("scores")

    def run(film: Float32) -> Float32:
        batch = torch.from_numpy(np.ascontiguousarray(film)[None])
        batch = batch.permute(0, 2, 3, 1) if opened.proposal.is_channels_last else batch
        with torch.inference_mode():
            result: Float32 = opened.network.network(batch)[output].numpy()
        return result

    rows, columns = opened.answers.size()
    films = onnx_films.read_films(expected, folder, Limits())
    return Comparison(run=run, films=films, labels=places, rows=rows, columns=columns)


def _preparation(answers: "Answers") -> "Preparation":
    from cxr_node.infer.onnx.candidates import Preparation

    meaning = answers.choice("meaning", ("logits", "probabilities", "softmax"))
    return Preparation(steps=answers.frame().steps, reading=meaning)  # type: ignore[arg-type]  # checked by choice


def _explained(
    opened: _Opened, comparison: "Comparison", base: "Preparation", tolerance: float, *, adopt: bool
) -> _Opened:
    """Return the import with the preparation that explains the scores, if there is one and it may be adopted."""
    err.print("the scores differ; trying other preparations", markup=False)
    explanations = comparison.explain(base, onnx_films.OTHER_PICTURES, tolerance)
    best = explanations[0]
    if best.difference > tolerance:
        closest = "\n".join(f"  {_sentence(one)}: {one.difference:.2g}" for one in explanations[:_CLOSEST])
        raise CommandError(
            f"no preparation that was tried brings the scores within {tolerance:g}; these come closest:\n{closest}\n"
            "Compare your pipeline with the steps of docs/models/import-onnx.md; the bundle was not written."
        )
    typer.echo(f"your scores are explained by: {_sentence(best)} (largest difference {best.difference:.2g})")
    answers = _answers_of(best)
    if answers is None:
        advice = "; ".join(step.advice for step in best.steps if step.advice)
        raise CommandError(f"no card can state that, so the bundle was not written: {advice}")
    options = " ".join(f"--answer {key}={value}" for key, value in answers.items())
    if not (adopt or (sys.stdin.isatty() and typer.confirm("Write the card with it?", default=True, err=True))):
        raise CommandError(
            f"the bundle was not written; if that is how films are to be prepared, add {options}, or --adopt"
        )
    changed = replace(opened.answers, texts={**opened.answers.texts, **answers})
    return _converted(opened.content, opened.proposal, changed)


def _sentence(explanation: "Explanation") -> str:
    return ", and ".join(step.name for step in explanation.steps)


def _answers_of(explanation: "Explanation") -> dict[str, str] | None:
    """Return the answers that choose all steps, or None if a card cannot state one."""
    answers: dict[str, str] = {}
    for step in explanation.steps:
        if step.answers is None:
            return None
        answers.update(step.answers)
    return answers


def _show(differences: "list[Difference]") -> None:
    table = Table("film", "label", "yours", "node's", "difference")
    for row in differences[:_SHOWN]:
        table.add_row(row.film, row.label, f"{row.theirs:.5f}", f"{row.ours:.5f}", f"{row.size:.2g}")
    out.print(table)
    if len(differences) > _SHOWN:
        out.print(f"and {len(differences) - _SHOWN} smaller differences")


def _write(opened: _Opened, file: Path, to: Path, proof: str) -> None:
    from cxr_node.infer.onnx import write

    typer.echo("writing the bundle; this takes up to a minute", err=True)
    source = write.Import(
        network=opened.network,
        answers=opened.answers,
        labels=opened.labels,
        has_maps=opened.answers.text("maps") != "none",
        file_name=file.name,
        file_sha256=digest_of(opened.content),
        proof=proof,
    )
    write.write(source, to)
    typer.echo(f"{to}: {len(opened.labels)} labels; {proof}")
    typer.echo(f"next: cxr-node bundle show {to}, then cxr-node bundle install {to}")
