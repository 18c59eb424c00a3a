"""Dataset of phantoms: films of 256 x 256 with a bit per structure, generated once and stored in files of 200."""

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

from cxr_node.domain.film_geometry import View
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
"""Masks of a phantom, in the order of their bits."""

LESIONS = {
    "opacity": frozenset({Kind.CONSOLIDATION, Kind.EDEMA, Kind.MASS, Kind.ATELECTASIS}),
    "effusion": frozenset({Kind.EFFUSION}),
    "pneumothorax": frozenset({Kind.PNEUMOTHORAX}),
    "device": frozenset({Kind.PACEMAKER, Kind.LINE, Kind.TUBE}),
}
"""Lesions, with the bits after those of the structures; nodules and large hearts have no bit."""

VIEWS = (View.PA, View.AP, View.LATERAL)
VIEW_SHARES = (0.5, 0.38, 0.12)
NORMAL_SHARE = 0.4
FILMS_PER_FILE = 200
"""Films in a file."""

FIRST_TRAINING_SEED = 1_000_000
FIRST_TEST_SEED = 9_000_000
"""First seeds: no training film has the seed of a test film."""

Bits = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phantoms:
    """Films (count, 256, 256) of 8 bit, structures as bits (count, 256, 256), views (count,) as indices of VIEWS.

    `ratio` (count,) is the true cardiothoracic ratio, NaN on a lateral film.
    """

    films: npt.NDArray[np.uint8]
    bits: Bits
    views: npt.NDArray[np.int64]
    ratio: npt.NDArray[np.float64]


def run(arguments: argparse.Namespace) -> None:
    """Generate the films of the command line; existing files stay."""
    for name, first, count in (
        ("training", FIRST_TRAINING_SEED, arguments.phantoms),
        ("test", FIRST_TEST_SEED, arguments.test_phantoms),
    ):
        generate(arguments.work / "phantoms", name, first=first, count=count, processes=arguments.threads)


def generate(folder: Path, name: str, *, first: int, count: int, processes: int) -> None:
    """Write films in files of 200, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = [start for start in range(0, count, FILMS_PER_FILE) if not _part(folder, name, start).exists()]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_write, _part(folder, name, start), first + start) for start in starts]
        for job in tqdm(jobs, desc=f"phantoms for {name}", unit=f"{FILMS_PER_FILE} films"):
            job.result()


def load(folder: Path, name: str, *, count: int) -> Phantoms:
    """Return the first `count` films of the set `name`.

    Raises
    ------
    FileNotFoundError
        If there are fewer.
    """
    parts = []
    for start in range(0, count, FILMS_PER_FILE):
        with np.load(_part(folder, name, start)) as part:
            parts.append({key: part[key] for key in ("films", "bits", "views", "ratio")})
    joined = {key: np.concatenate([part[key] for part in parts])[:count] for key in parts[0]}
    return Phantoms(**joined)


def sample_content(seed: int) -> tuple[View, tuple[Pathology, ...]]:
    """Return view and pathology of the phantom of a seed."""
    generator = np.random.default_rng([seed, 256])
    view = VIEWS[int(generator.choice(len(VIEWS), p=VIEW_SHARES))]
    if generator.random() < NORMAL_SHARE:
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
    """Generate and write one file."""
    generated = list(_generate_part(first))
    content: dict[str, npt.NDArray[np.generic]] = {
        "films": np.stack([(film.p_values >> 8).astype(np.uint8) for film in generated]),
        "bits": np.stack([bits_of(film) for film in generated]),
        "views": np.array([VIEWS.index(film.truth.view) for film in generated]),
        "ratio": np.array([film.truth.cardiothoracic_ratio or np.nan for film in generated]),
    }
    partial = path.with_suffix(f".{os.getpid()}")
    with partial.open("wb") as file:
        np.savez_compressed(file, **content)  # type: ignore[arg-type] # the stub takes allow_pickle for one of them
    partial.replace(path)


def _generate_part(first: int) -> Iterator[PhantomFilm]:
    import torch

    torch.set_num_threads(1)
    seeds = range(first, first + FILMS_PER_FILE)
    contents = [sample_content(seed) for seed in seeds]
    return films(
        seeds,
        views=[view for view, _ in contents],
        pathologies=[pathologies for _, pathologies in contents],
        rows=SIDE,
        columns=SIDE,
    )


def _part(folder: Path, name: str, start: int) -> Path:
    return folder / f"{name}-{start:06}.npz"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for phantoms to a command line."""
    parser.add_argument("--phantoms", type=int, default=2400, help="phantoms for training")
    parser.add_argument("--test-phantoms", type=int, default=400, help="phantoms for evaluation")
