"""Train the members of an ensemble, one after another; an interrupted run goes on where it stopped."""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from cxr_node.domain.radiograph import Float32, View
from cxr_node.infer.prepare import Frame
from training import datasets
from training.augment import augment
from training.lungnet import FRAME, LungNet, Sizes

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
"""Predicted beside the finding while training; then view, sex and age, which make twelve."""

WHOLE = Frame(rows=256, columns=256)
"""Films are varied whole, so that what moves into the network's window is film, and then cut to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what is learned, beside the films."""

    seed: int
    epochs: int
    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: float = 0.1
    """Share of all steps over which the learning rate rises; then it falls as a cosine to 0."""
    weight_decay: float = 0.05
    averaging: float = 0.99
    """Decay per step of the running average of the weights, which is what is kept."""
    smoothing: float = 0.05
    """Mined labels are wrong in one film of ten: 0 and 1 are taught as 0.05 and 0.95."""
    auxiliary: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Training films ready to be learned from: shapes (films, 1, 256, 256), (films, 1), (films, 1), (films, 12)."""

    films: Tensor
    opacity: Tensor
    weight: Tensor
    auxiliary: Tensor


def run(arguments: argparse.Namespace) -> None:
    """Train what the command line asks for."""
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(seed=arguments.seed, epochs=arguments.epochs)
    films = datasets.read_table(arguments.table, arguments.films, only=arguments.only)
    prepared = dict(zip(films, datasets.load(films, WHOLE), strict=True))
    arguments.work.mkdir(parents=True, exist_ok=True)
    for member in arguments.members:
        part = datasets.split(films, member=member, seed=recipe.seed)
        lesson = lesson_of(part.train, np.stack([prepared[film] for film in part.train]))
        train(lesson, recipe, member=member, work=arguments.work)


def lesson_of(films: tuple[datasets.LabelledFilm, ...], prepared: Float32) -> Lesson:
    """Return films and what is known of them as tensors."""
    return Lesson(
        films=torch.from_numpy(prepared)[:, None],
        opacity=torch.from_numpy(datasets.opacity(films))[:, None],
        weight=torch.from_numpy(datasets.balance(films))[:, None],
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
        _write(checkpoint, {"epoch": epoch + 1, "states": states})
    _write(finished, average.module.state_dict())
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
        films = cut(augment(lesson.films[chosen], generator=generator))
        loss = _loss(network, films, lesson, chosen, recipe)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch stubs
        optimizer.step()
        average.update_parameters(network)
        total += loss.item() * len(chosen)
    return total / len(lesson.films)


def cut(films: Tensor) -> Tensor:
    """Return the network's window of whole films, shape (B, 1, rows, columns)."""
    top, left = round(FRAME.top * WHOLE.rows), round(FRAME.left * WHOLE.columns)
    return films[:, :, top : top + FRAME.rows, left : left + FRAME.columns]


def _loss(network: LungNet, films: Tensor, lesson: Lesson, chosen: Tensor, recipe: Recipe) -> Tensor:
    """Return the weighted cross entropy of the finding plus a share of that of the auxiliary labels."""
    outputs = network(films)
    soft = lesson.opacity[chosen] * (1 - 2 * recipe.smoothing) + recipe.smoothing
    finding = functional.binary_cross_entropy_with_logits(outputs.logits, soft, weight=lesson.weight[chosen])
    auxiliary = functional.binary_cross_entropy_with_logits(outputs.auxiliary, lesson.auxiliary[chosen])
    return finding + recipe.auxiliary * auxiliary


def rate(done: float, warm_up: float) -> float:
    """Return the share of the full learning rate when a share `done` of all steps is done."""
    if done < warm_up:
        return done / warm_up + 1e-3
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _auxiliary(film: datasets.LabelledFilm) -> list[float]:
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


def _write(path: Path, content: object) -> None:
    """Write a file whole or not at all."""
    aside = path.with_suffix(".part")
    torch.save(content, aside)
    aside.replace(path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of training to a command line."""
    parser.add_argument("--members", type=int, nargs="+", default=list(range(datasets.MEMBERS)), help="which to train")
    parser.add_argument("--epochs", type=int, default=24)
