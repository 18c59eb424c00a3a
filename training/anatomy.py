"""Trains the anatomy network: supervised on phantoms, then self-training on real films with pseudo-labels."""

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

from cxr_node.domain.film_geometry import View
from cxr_node.infer.prepare import Frame
from training import datasets, phantoms
from training.anatomynet import AnatomyNet, Outputs, Sizes
from training.augment import augment, augment_intensity
from training.out_of_distribution import synthesize
from training.phantoms import LESIONS, STRUCTURES, Phantoms

FRAME = Frame(rows=phantoms.SIDE, columns=phantoms.SIDE)
PLANES = (*STRUCTURES, *LESIONS)
NOT_A_CHEST = 3
"""Index of the fourth view: not a chest film."""

HEART_TOP_WIDTH = 0.45
"""A heart's mask begins where its width is this share of its largest width: higher up its edge is a convention, and
readers draw it where the great vessels end."""

CONFIDENCE = 0.8
"""Pseudo-labels need mean scores of at least 0.9 or at most 0.1 over several exposures."""

CHECKPOINT_STEPS = 100
"""Steps between checkpoints."""

CLASS_WEIGHTS = (3.0, 3.0, 3.0, 3.0, 3.0, *[1.0] * (len(PLANES) - 5))
"""Loss weights: lungs, heart and clavicles weigh more than the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Hyperparameters of training."""

    seed: int
    steps: int
    phantoms_only: float = 0.55
    """Share of all steps that use phantoms only."""
    batch: int = 10
    films: tuple[int, int] = (1, 4)
    """Real films in a batch: before and after self-training begins."""
    out_of_distribution: int = 1
    learning_rate: float = 2e-3
    warm_up: float = 0.03
    weight_decay: float = 0.02
    averaging: float = 0.998


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingData:
    """Phantoms with their masks, and real films with views and pseudo-labels.

    `bits` are the pseudo-labels of films and `confident` the bits that count, both (films, 256, 256); none before
    self-training.
    """

    phantoms: Phantoms
    films: Tensor
    views: Tensor
    bits: Tensor
    confident: Tensor


def run(arguments: argparse.Namespace) -> None:
    """Train with the options of the command line."""
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    synthetic = phantoms.load(arguments.work / "phantoms", "training", count=arguments.phantoms)
    listed = training_films(datasets.read_table(arguments.table, arguments.films, only=arguments.only), arguments.seed)
    loaded = torch.from_numpy(datasets.load(listed, FRAME))[:, None]
    no_labels = torch.zeros(loaded.shape[0], *loaded.shape[2:], dtype=torch.int32)
    data = TrainingData(
        phantoms=crop_hearts(synthetic),
        films=loaded,
        views=torch.tensor([phantoms.VIEWS.index(film.view) for film in listed]),
        bits=no_labels,
        confident=no_labels,
    )
    train(data, Hyperparameters(seed=arguments.seed, steps=arguments.anatomy_steps), work=arguments.work)


def training_films(films: tuple[datasets.LabeledFilm, ...], seed: int) -> tuple[datasets.LabeledFilm, ...]:
    """Return the films for anatomy and views: all but the test set of the first fold."""
    part = datasets.split(films, fold=0, seed=seed)
    return part.train + part.validation


def crop_hearts(data: Phantoms) -> Phantoms:
    """Return phantoms whose hearts begin where they are wide enough."""
    bit = np.uint32(1 << STRUCTURES.index("heart"))
    for bits in data.bits:
        heart = (bits & bit) > 0
        widths = heart.sum(1)
        if widths.any():
            first = int(np.argmax(widths >= HEART_TOP_WIDTH * widths.max()))
            bits[:first] &= ~bit
    return data


def train(data: TrainingData, parameters: Hyperparameters, *, work: Path) -> Path:
    """Train the network and return the file of its weights; a finished training is not repeated."""
    finished = work / "anatomy.pt"
    if finished.exists():
        return finished
    torch.manual_seed(parameters.seed)
    network = AnatomyNet(Sizes(planes=len(PLANES))).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch stubs
    averaged = get_ema_multi_avg_fn(parameters.averaging)  # type: ignore[no-untyped-call] # torch stubs
    average = AveragedModel(network, multi_avg_fn=averaged, use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=parameters.weight_decay)
    checkpoint = work / "anatomy.checkpoint"
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        first = int(saved["step"])
        for part, state in zip((network, average, optimizer), saved["states"], strict=True):
            part.load_state_dict(state)
    progress = tqdm(range(first, parameters.steps), desc="anatomy", unit="step", mininterval=5)
    running = 0.0
    for step in progress:
        if step == first_self_training_step(parameters) or step == first > first_self_training_step(parameters):
            data = add_pseudo_labels(
                data,
                _teacher(cast("AnatomyNet", average.module), work, first=step == first_self_training_step(parameters)),
            )
        loss = _step(data, parameters, network, optimizer, step=step)
        average.update_parameters(network)
        running = loss if step == first else 0.98 * running + 0.02 * loss
        progress.set_postfix(loss=f"{running:.4f}")
        if step % CHECKPOINT_STEPS == CHECKPOINT_STEPS - 1:
            with (work / "anatomy.jsonl").open("a") as log:
                log.write(json.dumps({"step": step, "loss": running}) + "\n")
            states = (network.state_dict(), average.state_dict(), optimizer.state_dict())
            write(checkpoint, {"step": step + 1, "states": states})
    write(finished, average.module.state_dict())
    return finished


def learning_rate_factor(progress: float, warm_up: float) -> float:
    """Return the learning rate relative to its maximum after the share `progress` of all steps."""
    if progress < warm_up:
        return progress / warm_up + 1e-3
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def _teacher(average: AnatomyNet, work: Path, *, first: bool) -> AnatomyNet:
    """Return the network as it was at the start of self-training, which a resumed run needs again."""
    saved = work / "anatomy-teacher.pt"
    if first:
        write(saved, average.state_dict())
    teacher = copy.deepcopy(average)
    teacher.load_state_dict(torch.load(saved, weights_only=True))
    return teacher


def first_self_training_step(parameters: Hyperparameters) -> int:
    """Return the first step of self-training."""
    return int(parameters.phantoms_only * parameters.steps)


def _step(
    data: TrainingData, parameters: Hyperparameters, network: AnatomyNet, optimizer: torch.optim.Optimizer, *, step: int
) -> float:
    """Take one optimizer step and return the loss. Random numbers depend on the seed and the step only."""
    generator = torch.Generator().manual_seed(parameters.seed * 1_000_000 + step)
    for group in optimizer.param_groups:
        group["lr"] = parameters.learning_rate * learning_rate_factor(step / parameters.steps, parameters.warm_up)
    films, bits, supervised, views = _batch(
        data, parameters, generator, real=parameters.films[step >= first_self_training_step(parameters)]
    )
    network.train()
    outputs: Outputs = network(films.to(memory_format=torch.channels_last))
    loss = segmentation_loss(outputs.planes, bits, supervised) + 0.3 * functional.cross_entropy(
        outputs.views, views, label_smoothing=0.02
    )
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call] # torch stubs
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return float(loss.item())


def _batch(
    data: TrainingData, parameters: Hyperparameters, generator: torch.Generator, *, real: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a batch: augmented films, their bits, the supervised bits, and views.

    Phantoms come first, then real films, then out-of-distribution pictures.
    """
    synthetic, count = data.phantoms, parameters.batch - real - parameters.out_of_distribution
    chosen = torch.randint(0, len(synthetic.films), (count,), generator=generator).numpy()
    picked = torch.randint(0, len(data.films), (real,), generator=generator)
    base = torch.cat((torch.from_numpy(synthetic.films[chosen]).float()[:, None] / 255, data.films[picked]))
    bits = torch.cat((torch.from_numpy(synthetic.bits[chosen].astype(np.int64)), data.bits[picked].long()))
    views = torch.cat((torch.from_numpy(synthetic.views[chosen]), data.views[picked]))
    all_bits = torch.where(views == phantoms.VIEWS.index(View.LATERAL), 0, (1 << len(PLANES)) - 1)
    supervised = all_bits[:, None, None].repeat(1, *bits.shape[1:])
    supervised[count:] = data.confident[picked].long()
    films, both = augment(base, bits << 32 | supervised, generator=generator)
    # Beyond the border of a phantom the masks are known to be empty.
    both[:count] |= all_bits[:count, None, None]
    origin = torch.randint(0, len(base), (parameters.out_of_distribution,), generator=generator)
    outliers = augment_intensity(synthesize(base[origin], generator=generator), generator=generator)
    both = torch.cat((both, torch.zeros(len(outliers), *both.shape[1:], dtype=both.dtype)))
    views = torch.cat((views, torch.full((len(outliers),), NOT_A_CHEST)))
    return torch.cat((films, outliers)), both >> 32, both & 0xFFFFFFFF, views


def segmentation_loss(planes: Tensor, bits: Tensor, supervised: Tensor) -> Tensor:
    """Return cross entropy plus 1 - Dice over the supervised bits, weighted by structure."""
    target, counts = coverage(bits), coverage(supervised)
    weights = torch.tensor(CLASS_WEIGHTS) / sum(CLASS_WEIGHTS)
    entropy = functional.binary_cross_entropy_with_logits(planes, target, weight=counts, reduction="none")
    entropy = entropy.sum((0, 2, 3)) / (counts.sum((0, 2, 3)) + 1)
    scores, target = torch.sigmoid(planes) * counts, target * counts
    overlap = (scores * target).sum((0, 2, 3))
    dice = (2 * overlap + 10) / (scores.square().sum((0, 2, 3)) + target.square().sum((0, 2, 3)) + 10)
    return ((5 * entropy + 1 - dice) * weights).sum()


def coverage(bits: Tensor) -> Tensor:
    """Return the share of each 2 x 2 pixels that bits (B, 256, 256) cover, (B, planes, 128, 128)."""
    words = bits.numpy().astype("<u4")[..., None].view(np.uint8)
    ones = np.unpackbits(words, axis=-1, bitorder="little")[..., : len(PLANES)]
    total = ones[:, ::2, ::2] + ones[:, 1::2, ::2] + ones[:, ::2, 1::2] + ones[:, 1::2, 1::2]
    return torch.from_numpy(total).permute(0, 3, 1, 2).float() / 4


def add_pseudo_labels(data: TrainingData, network: AnatomyNet) -> TrainingData:
    """Return the data with pseudo-labels for real films."""
    network.eval()
    bits, confident = [], []
    for film in tqdm(data.films, desc="pseudo-labels", unit="film"):
        label, certain = pseudo_label(film[None], network)
        bits.append(label)
        confident.append(certain)
    return TrainingData(
        phantoms=data.phantoms,
        films=data.films,
        views=data.views,
        bits=torch.stack(bits),
        confident=torch.stack(confident),
    )


def pseudo_label(film: Tensor, network: AnatomyNet) -> tuple[Tensor, Tensor]:
    """Return the pseudo-label of one film, (256, 256), and its confident bits; lesions have none.

    A film with implausible lungs or heart has no confident bits.
    """
    with torch.inference_mode():
        exposures = torch.cat([film, film.clamp(min=1e-3) ** 0.65, film**1.5])
        planes = network(exposures).planes[:, : len(STRUCTURES)]
        planes = functional.interpolate(planes, film.shape[-2:], mode="bilinear", align_corners=False)
        scores = torch.sigmoid(planes).mean(0).numpy()
    label = np.zeros(scores.shape[1:], np.int32)
    confident = np.zeros_like(label)
    for number, plane in enumerate(scores):
        mask = plane > 0.5
        if number < 5:
            mask = largest_component(mask)
        certain = (np.abs(2 * plane - 1) > CONFIDENCE) & (mask == (plane > 0.5))
        label |= mask.astype(np.int32) << number
        confident |= certain.astype(np.int32) << number
    if not is_plausible(label):
        confident[:] = 0
    return torch.from_numpy(label), torch.from_numpy(confident)


def largest_component(mask: "np.typing.NDArray[np.bool_]") -> "np.typing.NDArray[np.bool_]":
    """Return the largest part of a mask with its holes filled."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    filled: np.typing.NDArray[np.bool_] = ndimage.binary_fill_holes(parts == 1 + int(np.argmax(sizes)))
    return filled


def is_plausible(label: "np.typing.NDArray[np.int32]") -> bool:
    """Whether both lungs are large enough and similar in size, and the heart has a plausible area."""
    right, left, heart = (((label >> number) & 1) > 0 for number in range(3))
    areas = right.sum(), left.sum()
    if min(areas) < 0.03 * label.size or not 0.5 < areas[0] / areas[1] < 2.4:
        return False
    return bool(0.02 * label.size < heart.sum() < 0.25 * label.size)


def write(path: Path, content: object) -> None:
    """Write a file atomically."""
    partial = path.with_suffix(".part")
    torch.save(content, partial)
    partial.replace(path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for training anatomy to a command line."""
    parser.add_argument("--anatomy-steps", type=int, default=2400, help="training steps of the anatomy network")
