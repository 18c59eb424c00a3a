"""Train the networks for findings, each without a fifth of the patients; an interrupted run goes on."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32, View
from training import datasets, judge
from training.anatomy import WHOLE, rate, write
from training.anatomynet import AnatomyNet
from training.datasets import FINDINGS, LabelledFilm, balance
from training.lungnet import LungNet, Sizes, lung_fields
from training.vary import vary

AUXILIARY_LABELS = (
    frozenset({"Pneumonia"}),
    frozenset({"Infiltration"}),
    frozenset({"Consolidation"}),
    frozenset({"Edema"}),
    frozenset({"Effusion"}),
    frozenset({"Atelectasis"}),
    frozenset({"Pleural_Thickening"}),
    frozenset({"Nodule", "Mass"}),
    frozenset({"Cardiomegaly"}),
)
"""Predicted beside the findings while training; then view, sex and age, which make twelve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what is learned, beside the films."""

    seed: int
    epochs: int
    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: float = 0.1
    weight_decay: float = 0.05
    averaging: float = 0.99
    """Decay per step of the running average of the weights, which is what is kept."""
    smoothing: float = 0.05
    """Mined labels are wrong in one film of ten: 0 and 1 are taught as 0.05 and 0.95."""
    rare: float = 0.5
    """What every finding after the first counts."""
    auxiliary: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """Training films ready to be learned from.

    Shapes: films (films, 1, 256, 256); lungs (films, 256, 256), whole numbers 0 to 255; findings and weights
    (films, 2); auxiliary (films, 12).
    """

    films: Tensor
    lungs: Tensor
    findings: Tensor
    weights: Tensor
    auxiliary: Tensor


def run(arguments: argparse.Namespace) -> None:
    """Train what the command line asks for."""
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(seed=arguments.seed, epochs=arguments.epochs)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    prepared = datasets.load(films, WHOLE)
    lungs = lungs_of(judge.load(arguments.work), prepared)
    place = {film: number for number, film in enumerate(films)}
    for member in arguments.members:
        part = datasets.split(films, member=member, seed=recipe.seed).train
        chosen = [place[film] for film in part]
        train(lesson_of(part, prepared[chosen], lungs[chosen]), recipe, member=member, work=arguments.work)


def lungs_of(network: AnatomyNet, films: Float32) -> Tensor:
    """Return where the lungs of films (films, 256, 256) are, (films, 256, 256), 0 to 255."""
    with torch.inference_mode():
        fields = [lung_fields(network(torch.from_numpy(film)[None, None]).planes)[0, 0] for film in tqdm(films)]
        return (torch.stack(fields) * 255).round().to(torch.uint8)


def lesson_of(films: tuple[LabelledFilm, ...], prepared: Float32, lungs: Tensor) -> Lesson:
    """Return films and what is known of them as tensors."""
    shown = [np.array([bool(film.labels & wanted) for film in films]) for wanted in FINDINGS.values()]
    return Lesson(
        films=torch.from_numpy(prepared)[:, None],
        lungs=lungs.long(),
        findings=torch.from_numpy(np.stack(shown, 1)).float(),
        weights=torch.from_numpy(np.stack([balance(films, each) for each in shown], 1)).float(),
        auxiliary=torch.tensor([_auxiliary(film) for film in films]),
    )


def train(lesson: Lesson, recipe: Recipe, *, member: int, work: Path) -> Path:
    """Train one member and return the file of its weights; one already trained is left as it is."""
    finished = work / f"member-{member}.pt"
    if finished.exists():
        return finished
    torch.manual_seed(recipe.seed * 100 + member)
    network = LungNet(Sizes()).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch stubs
    averaged = get_ema_multi_avg_fn(recipe.averaging)  # type: ignore[no-untyped-call] # torch stubs
    average = AveragedModel(network, multi_avg_fn=averaged, use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    checkpoint = work / f"member-{member}.checkpoint"
    first = _resume(checkpoint, network, average, optimizer)
    progress = tqdm(range(first, recipe.epochs), desc=f"member {member}", unit="epoch", mininterval=1)
    for epoch in progress:
        loss = _epoch(lesson, recipe, network, average, optimizer, epoch=epoch, member=member)
        progress.set_postfix(loss=f"{loss:.4f}")
        with (work / f"member-{member}.jsonl").open("a") as log:
            log.write(json.dumps({"epoch": epoch, "loss": loss}) + "\n")
        states = (network.state_dict(), average.state_dict(), optimizer.state_dict())
        write(checkpoint, {"epoch": epoch + 1, "states": states})
    write(finished, average.module.state_dict())
    checkpoint.unlink(missing_ok=True)
    return finished


def _epoch(
    lesson: Lesson,
    recipe: Recipe,
    network: LungNet,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    *,
    epoch: int,
    member: int,
) -> float:
    """Show every film once and return the mean loss.

    Chance is drawn from the seed, the member and the epoch, so an interrupted run ends where an unbroken one does.
    """
    generator = torch.Generator().manual_seed((recipe.seed * 100 + member) * 10_000 + epoch)
    torch.manual_seed((recipe.seed * 100 + member) * 10_000 + epoch)
    network.train()
    order = torch.randperm(len(lesson.films), generator=generator).split(recipe.batch)  # type: ignore[no-untyped-call] # torch stubs
    total = 0.0
    for step, chosen in enumerate(order):
        done = (epoch + step / len(order)) / recipe.epochs
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate(done, recipe.warm_up)
        loss = _loss(network, lesson, chosen, recipe, generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch stubs
        optimizer.step()
        average.update_parameters(network)
        total += loss.item() * len(chosen)
    return total / len(lesson.films)


def _loss(network: LungNet, lesson: Lesson, chosen: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return the weighted cross entropy of the findings plus a share of that of the auxiliary labels, on varied films.

    Half of the films are mirrored: the heart's side is no clue, and 700 films cannot afford to teach it twice.
    """
    films, lungs = vary(lesson.films[chosen], lesson.lungs[chosen], generator=generator)
    mirrored = torch.rand(len(films), generator=generator) < 0.5
    films[mirrored], lungs[mirrored] = films[mirrored].flip(3), lungs[mirrored].flip(2)
    outputs = network(films, lungs[:, None].float() / 255)
    soft = lesson.findings[chosen] * (1 - 2 * recipe.smoothing) + recipe.smoothing
    entropy = functional.binary_cross_entropy_with_logits(
        outputs.logits, soft, weight=lesson.weights[chosen], reduction="none"
    ).mean(0)
    auxiliary = functional.binary_cross_entropy_with_logits(outputs.auxiliary, lesson.auxiliary[chosen])
    return entropy[0] + recipe.rare * entropy[1:].sum() + recipe.auxiliary * auxiliary


def _auxiliary(film: LabelledFilm) -> list[float]:
    """Return the twelve auxiliary targets of a film, each between 0 and 1."""
    labels = [float(bool(film.labels & wanted)) for wanted in AUXILIARY_LABELS]
    return [*labels, float(film.view is View.PA), float(film.sex == "F"), min(film.age, 100.0) / 100]


def _resume(checkpoint: Path, network: LungNet, average: AveragedModel, optimizer: torch.optim.Optimizer) -> int:
    """Take up an interrupted run, and return the first epoch to do."""
    if not checkpoint.exists():
        return 0
    kept = torch.load(checkpoint, weights_only=True)
    states = kept["states"]
    network.load_state_dict(states[0])
    average.load_state_dict(states[1])
    optimizer.load_state_dict(states[2])
    return int(kept["epoch"])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of training to a command line."""
    parser.add_argument("--members", type=int, nargs="+", default=list(range(datasets.MEMBERS)), help="which to train")
    parser.add_argument("--epochs", type=int, default=12)
