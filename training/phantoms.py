"""Phantoms as training data: films of 256 x 256 with a bit per structure, made once and kept in parts."""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from cxr_node.domain.radiograph import View
from cxr_node.phantom.film import films
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.truth_types import PhantomFilm

SIDE = 256
"""Rows and columns of a film."""

STRUCTURES = (
    "right_lung",
    "left_lung",
    "heart",
    "right_clavicle",
    "left_clavicle",
    "trachea",
    "bronchi",
    "aorta",
    "spine",
    "posterior_ribs",
    "anterior_ribs",
    "right_scapula",
    "left_scapula",
    "right_hemidiaphragm",
    "left_hemidiaphragm",
)
"""Masks of a phantom that are learned, in the order of their bits."""

LESIONS = {
    "opacity": frozenset({Kind.CONSOLIDATION, Kind.EDEMA, Kind.MASS, Kind.ATELECTASIS}),
    "effusion": frozenset({Kind.EFFUSION}),
    "pneumothorax": frozenset({Kind.PNEUMOTHORAX}),
    "device": frozenset({Kind.PACEMAKER, Kind.LINE, Kind.TUBE}),
}
"""What is planted, by the bit after those of the structures; nodules and large hearts have no bit."""

VIEWS = (View.PA, View.AP, View.LATERAL)
SHARES = (0.5, 0.38, 0.12)
NORMAL = 0.4
PART = 200
"""Films in a file."""

TRAINING = 1_000_000
TEST = 9_000_000
"""First seeds: no film for training has the seed of one for judging."""

Bits = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phantoms:
    """Films (count, 256, 256) of 8 bit, structures as bits (count, 256, 256), views (count,) as places in VIEWS.

    `ratio` (count,) is the true cardiothoracic ratio, NaN on a lateral film.
    """

    films: npt.NDArray[np.uint8]
    bits: Bits
    views: npt.NDArray[np.int64]
    ratio: npt.NDArray[np.float64]


def run(arguments: argparse.Namespace) -> None:
    """Make what the command line asks for; parts that are there already stay as they are."""
    for name, first, count in (
        ("training", TRAINING, arguments.phantoms),
        ("test", TEST, arguments.test_phantoms),
    ):
        make(arguments.work / "phantoms", name, first=first, count=count, processes=arguments.threads)


def make(folder: Path, name: str, *, first: int, count: int, processes: int) -> None:
    """Write films in parts of 200, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = [start for start in range(0, count, PART) if not _part(folder, name, start).exists()]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_write, _part(folder, name, start), first + start) for start in starts]
        for job in tqdm(jobs, desc=f"phantoms for {name}", unit=f"{PART} films"):
            job.result()


def load(folder: Path, name: str, *, count: int) -> Phantoms:
    """Return the first `count` films of those made under `name`.

    Raises
    ------
    FileNotFoundError
        If fewer were made.
    """
    parts = []
    for start in range(0, count, PART):
        with np.load(_part(folder, name, start)) as part:
            parts.append({key: part[key] for key in ("films", "bits", "views", "ratio")})
    joined = {key: np.concatenate([part[key] for part in parts])[:count] for key in parts[0]}
    return Phantoms(**joined)


def order(seed: int) -> tuple[View, tuple[Pathology, ...]]:
    """Return what the phantom of a seed is to show."""
    generator = np.random.default_rng([seed, 256])
    view = VIEWS[int(generator.choice(len(VIEWS), p=SHARES))]
    if generator.random() < NORMAL:
        return view, ()
    kinds = list(Kind)
    count = 1 if generator.random() < 0.6 else 2
    chosen = generator.choice(len(kinds), size=count, replace=False)
    return view, tuple(Pathology(kind=kinds[int(number)]) for number in chosen)


def bits_of(film: PhantomFilm) -> Bits:
    """Return a film's structures and lesions as bits, (rows, columns)."""
    bits = np.zeros(film.p_values.shape, np.uint32)
    for number, name in enumerate(STRUCTURES):
        bits |= film.masks[name].astype(np.uint32) << np.uint32(number)
    for number, kinds in enumerate(LESIONS.values(), len(STRUCTURES)):
        for lesion in film.truth.lesions:
            if lesion.pathology.kind in kinds:
                bits |= film.masks[lesion.mask].astype(np.uint32) << np.uint32(number)
    return bits


def _write(path: Path, first: int) -> None:
    """Make one part."""
    made = list(_made(first))
    content: dict[str, npt.NDArray[np.generic]] = {
        "films": np.stack([(film.p_values >> 8).astype(np.uint8) for film in made]),
        "bits": np.stack([bits_of(film) for film in made]),
        "views": np.array([VIEWS.index(film.truth.view) for film in made]),
        "ratio": np.array([film.truth.cardiothoracic_ratio or np.nan for film in made]),
    }
    aside = path.with_suffix(f".{os.getpid()}")
    with aside.open("wb") as file:
        np.savez_compressed(file, **content)  # type: ignore[arg-type] # the stub takes allow_pickle for one of them
    aside.replace(path)


def _made(first: int) -> Iterator[PhantomFilm]:
    import torch

    torch.set_num_threads(1)
    seeds = range(first, first + PART)
    orders = [order(seed) for seed in seeds]
    return films(
        seeds, views=[one[0] for one in orders], pathologies=[one[1] for one in orders], rows=SIDE, columns=SIDE
    )


def _part(folder: Path, name: str, start: int) -> Path:
    return folder / f"{name}-{start:06}.npz"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of phantoms to a command line."""
    parser.add_argument("--phantoms", type=int, default=2400, help="phantoms to learn anatomy from")
    parser.add_argument("--test-phantoms", type=int, default=400, help="phantoms to judge anatomy on")
