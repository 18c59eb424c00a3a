"""Learn anatomy and views from phantoms; then, of films without masks, what the network itself is sure of."""

import argparse
import copy
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from cxr_node.domain.radiograph import View
from cxr_node.infer.prepare import Frame
from training import datasets, phantoms
from training.anatomynet import AnatomyNet, Outputs, Sizes
from training.augment import expose, vary
from training.out_of_distribution import strangers
from training.phantoms import LESIONS, STRUCTURES, Phantoms

WHOLE = Frame(rows=phantoms.SIDE, columns=phantoms.SIDE)
PLANES = (*STRUCTURES, *LESIONS)
OTHER = 3
"""The fourth view: not a chest film."""

HEART_FROM = 0.45
"""A heart is drawn from where it becomes as wide as this share of its greatest width: higher up its edge is a
convention, and readers draw it where the great vessels end."""

SURE = 0.8
"""Films teach what the network holds for 0.9 or 0.1 sure, in every exposure."""

KEPT = 100
"""Steps between checkpoints."""

WEIGHTS = (3.0, 3.0, 3.0, 3.0, 3.0, *[1.0] * (len(PLANES) - 5))
"""Lungs, heart and clavicles count for more than the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what is learned, beside the films."""

    seed: int
    steps: int
    alone: float = 0.55
    """Share of all steps that are taught by phantoms alone."""
    batch: int = 10
    films: tuple[int, int] = (1, 4)
    """Real films in a step: before and after the network has an opinion of them."""
    strangers: int = 1
    learning_rate: float = 2e-3
    warm_up: float = 0.03
    weight_decay: float = 0.02
    averaging: float = 0.998


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What is learned from: phantoms, and real films with what is known or believed of them.

    `sure` marks the bits of `bits` that a film teaches, both (films, 256, 256); none before the network has an opinion.
    """

    phantoms: Phantoms
    films: Tensor
    views: Tensor
    bits: Tensor
    sure: Tensor


def run(arguments: argparse.Namespace) -> None:
    """Train what the command line asks for."""
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    made = phantoms.load(arguments.work / "phantoms", "training", count=arguments.phantoms)
    listed = learned_from(datasets.read_table(arguments.table, arguments.films, only=arguments.only), arguments.seed)
    loaded = torch.from_numpy(datasets.load(listed, WHOLE))[:, None]
    nothing = torch.zeros(loaded.shape[0], *loaded.shape[2:], dtype=torch.int32)
    lesson = Lesson(
        phantoms=with_heart_cut(made),
        films=loaded,
        views=torch.tensor([phantoms.VIEWS.index(film.view) for film in listed]),
        bits=nothing,
        sure=nothing,
    )
    train(lesson, Recipe(seed=arguments.seed, steps=arguments.anatomy_steps), work=arguments.work)


def learned_from(films: tuple[datasets.LabelledFilm, ...], seed: int) -> tuple[datasets.LabelledFilm, ...]:
    """Return the films that anatomy and views are learned from: without those of the first member's test."""
    part = datasets.split(films, member=0, seed=seed)
    return part.train + part.validation


def with_heart_cut(made: Phantoms) -> Phantoms:
    """Return phantoms whose hearts begin where they are wide."""
    bit = np.uint32(1 << STRUCTURES.index("heart"))
    for bits in made.bits:
        heart = (bits & bit) > 0
        widths = heart.sum(1)
        if widths.any():
            first = int(np.argmax(widths >= HEART_FROM * widths.max()))
            bits[:first] &= ~bit
    return made


def train(lesson: Lesson, recipe: Recipe, *, work: Path) -> Path:
    """Train the network and return the file of its weights; one already trained is left as it is."""
    finished = work / "anatomy.pt"
    if finished.exists():
        return finished
    torch.manual_seed(recipe.seed)
    network = AnatomyNet(Sizes(planes=len(PLANES))).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch stubs
    averaged = get_ema_multi_avg_fn(recipe.averaging)  # type: ignore[no-untyped-call] # torch stubs
    average = AveragedModel(network, multi_avg_fn=averaged, use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    checkpoint = work / "anatomy.checkpoint"
    first = 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        first = int(kept["step"])
        for part, state in zip((network, average, optimizer), kept["states"], strict=True):
            part.load_state_dict(state)
    progress = tqdm(range(first, recipe.steps), desc="anatomy", unit="step", mininterval=5)
    running = 0.0
    for step in progress:
        if step == turn(recipe) or step == first > turn(recipe):
            lesson = believed(lesson, _teacher(cast("AnatomyNet", average.module), work, first=step == turn(recipe)))
        loss = _step(lesson, recipe, network, optimizer, step=step)
        average.update_parameters(network)
        running = loss if step == first else 0.98 * running + 0.02 * loss
        progress.set_postfix(loss=f"{running:.4f}")
        if step % KEPT == KEPT - 1:
            with (work / "anatomy.jsonl").open("a") as log:
                log.write(json.dumps({"step": step, "loss": running}) + "\n")
            states = (network.state_dict(), average.state_dict(), optimizer.state_dict())
            write(checkpoint, {"step": step + 1, "states": states})
    write(finished, average.module.state_dict())
    return finished


def rate(done: float, warm_up: float) -> float:
    """Return the share of the full learning rate when a share `done` of all steps is done."""
    if done < warm_up:
        return done / warm_up + 1e-3
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _teacher(average: AnatomyNet, work: Path, *, first: bool) -> AnatomyNet:
    """Return the network as it was when films began to be taught, which a resumed run needs again."""
    kept = work / "anatomy-teacher.pt"
    if first:
        write(kept, average.state_dict())
    teacher = copy.deepcopy(average)
    teacher.load_state_dict(torch.load(kept, weights_only=True))
    return teacher


def turn(recipe: Recipe) -> int:
    """Return the first step at which real films are taught too."""
    return int(recipe.alone * recipe.steps)


def _step(lesson: Lesson, recipe: Recipe, network: AnatomyNet, optimizer: torch.optim.Optimizer, *, step: int) -> float:
    """Take one step and return the loss. Chance is drawn from the seed and the step alone."""
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_000 + step)
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * rate(step / recipe.steps, recipe.warm_up)
    films, bits, taught, views = _batch(lesson, recipe, generator, real=recipe.films[step >= turn(recipe)])
    network.train()
    outputs: Outputs = network(films.to(memory_format=torch.channels_last))
    loss = drawn(outputs.planes, bits, taught) + 0.3 * functional.cross_entropy(
        outputs.views, views, label_smoothing=0.02
    )
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call] # torch stubs
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return float(loss.item())


def _batch(
    lesson: Lesson, recipe: Recipe, generator: torch.Generator, *, real: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return varied films, their bits, the bits that are taught, and their views: phantoms, real films, strangers."""
    made, count = lesson.phantoms, recipe.batch - real - recipe.strangers
    chosen = torch.randint(0, len(made.films), (count,), generator=generator).numpy()
    picked = torch.randint(0, len(lesson.films), (real,), generator=generator)
    base = torch.cat((torch.from_numpy(made.films[chosen]).float()[:, None] / 255, lesson.films[picked]))
    bits = torch.cat((torch.from_numpy(made.bits[chosen].astype(np.int64)), lesson.bits[picked].long()))
    views = torch.cat((torch.from_numpy(made.views[chosen]), lesson.views[picked]))
    every = torch.where(views == phantoms.VIEWS.index(View.LATERAL), 0, (1 << len(PLANES)) - 1)
    taught = every[:, None, None].repeat(1, *bits.shape[1:])
    taught[count:] = lesson.sure[picked].long()
    films, both = vary(base, bits << 32 | taught, generator=generator)
    # Beyond a film's border nothing is drawn; phantoms teach that too.
    both[:count] |= every[:count, None, None]
    origin = torch.randint(0, len(base), (recipe.strangers,), generator=generator)
    other = expose(strangers(base[origin], generator=generator), generator=generator)
    both = torch.cat((both, torch.zeros(len(other), *both.shape[1:], dtype=both.dtype)))
    views = torch.cat((views, torch.full((len(other),), OTHER)))
    return torch.cat((films, other)), both >> 32, both & 0xFFFFFFFF, views


def drawn(planes: Tensor, bits: Tensor, taught: Tensor) -> Tensor:
    """Return cross entropy plus 1 - Dice, over what is taught, structures weighted."""
    wanted, counts = shares(bits), shares(taught)
    weights = torch.tensor(WEIGHTS) / sum(WEIGHTS)
    entropy = functional.binary_cross_entropy_with_logits(planes, wanted, weight=counts, reduction="none")
    entropy = entropy.sum((0, 2, 3)) / (counts.sum((0, 2, 3)) + 1)
    scores, wanted = torch.sigmoid(planes) * counts, wanted * counts
    overlap = (scores * wanted).sum((0, 2, 3))
    dice = (2 * overlap + 10) / (scores.square().sum((0, 2, 3)) + wanted.square().sum((0, 2, 3)) + 10)
    return ((5 * entropy + 1 - dice) * weights).sum()


def shares(bits: Tensor) -> Tensor:
    """Return of bits (B, 256, 256) which share of each 2 x 2 pixels they cover, (B, planes, 128, 128)."""
    words = bits.numpy().astype("<u4")[..., None].view(np.uint8)
    ones = np.unpackbits(words, axis=-1, bitorder="little")[..., : len(PLANES)]
    total = ones[:, ::2, ::2] + ones[:, 1::2, ::2] + ones[:, ::2, 1::2] + ones[:, 1::2, 1::2]
    return torch.from_numpy(total).permute(0, 3, 1, 2).float() / 4


def believed(lesson: Lesson, network: AnatomyNet) -> Lesson:
    """Return the lesson with what the network is sure of on real films, whatever their exposure."""
    network.eval()
    bits, sure = [], []
    for film in tqdm(lesson.films, desc="believed", unit="film"):
        label, certain = opinion(film[None], network)
        bits.append(label)
        sure.append(certain)
    return Lesson(
        phantoms=lesson.phantoms, films=lesson.films, views=lesson.views, bits=torch.stack(bits), sure=torch.stack(sure)
    )


def opinion(film: Tensor, network: AnatomyNet) -> tuple[Tensor, Tensor]:
    """Return the bits that the network draws on one film, (256, 256), and those of which it is sure; lesions never.

    A film on which lungs or heart come out as no chest has them teaches nothing.
    """
    with torch.inference_mode():
        exposures = torch.cat([film, film.clamp(min=1e-3) ** 0.65, film**1.5])
        planes = network(exposures).planes[:, : len(STRUCTURES)]
        planes = functional.interpolate(planes, film.shape[-2:], mode="bilinear", align_corners=False)
        scores = torch.sigmoid(planes).mean(0).numpy()
    label = np.zeros(scores.shape[1:], np.int32)
    sure = np.zeros_like(label)
    for number, plane in enumerate(scores):
        mask = plane > 0.5
        if number < 5:
            mask = solid(mask)
        certain = (np.abs(2 * plane - 1) > SURE) & (mask == (plane > 0.5))
        label |= mask.astype(np.int32) << number
        sure |= certain.astype(np.int32) << number
    if not plausible(label):
        sure[:] = 0
    return torch.from_numpy(label), torch.from_numpy(sure)


def solid(mask: "np.typing.NDArray[np.bool_]") -> "np.typing.NDArray[np.bool_]":
    """Return the largest part of a mask with its holes filled."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    filled: np.typing.NDArray[np.bool_] = ndimage.binary_fill_holes(parts == 1 + int(np.argmax(sizes)))
    return filled


def plausible(label: "np.typing.NDArray[np.int32]") -> bool:
    """Return whether the lungs are both there, alike in size and full, and a heart lies below their tops."""
    right, left, heart = (((label >> number) & 1) > 0 for number in range(3))
    areas = right.sum(), left.sum()
    if min(areas) < 0.03 * label.size or not 0.5 < areas[0] / areas[1] < 2.4:
        return False
    return bool(0.02 * label.size < heart.sum() < 0.25 * label.size)


def write(path: Path, content: object) -> None:
    """Write a file whole or not at all."""
    aside = path.with_suffix(".part")
    torch.save(content, aside)
    aside.replace(path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of anatomy to a command line."""
    parser.add_argument("--anatomy-steps", type=int, default=2400, help="steps of learning anatomy")
