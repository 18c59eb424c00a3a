"""Features of films for the findings: cells of each film, and of the same film with a planted opacity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from training import lesions
from training.anatomynet import AnatomyNet, Outputs
from training.cells import CHANNELS, CellFeatures, lower_half
from training.lesions import PlantedFilm
from training.readings import ReadFilm, pixels_of
from training.thorax import CELLS, FILM, LUNGS, Thorax, ThoraxCrop

BATCH = 4
UNCERTAIN, CERTAIN = 0.5, 0.9
"""Probabilities of a frontal film: below the first as it lies, above the second in another position, it is turned."""
NOT_FRONTAL = 2
"""First of the views that are not frontal."""
NAMES = ("cells", "lungs", "opacity", "anatomy")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Features of films.

    Shapes: cells (films, 1472, 11, 11), half precision; lungs (films, 11, 11); opacity (films, 11, 11), share of each
    cell that an opacity covers, by a radiologist's boxes or as planted; anatomy (films, 160), means of the anatomy
    network's cells over the lower half of the film.
    """

    cells: npt.NDArray[np.float16]
    lungs: npt.NDArray[np.float32]
    opacity: npt.NDArray[np.float32]
    anatomy: npt.NDArray[np.float32]


class Encoder(nn.Module):
    """From films to the thorax and its cells; `anatomy` and `backbone` are not trained here."""

    def __init__(self, anatomy: AnatomyNet, backbone: CellFeatures) -> None:
        super().__init__()
        self.anatomy, self.crop, self.backbone = anatomy, ThoraxCrop(), backbone

    def outline(self, film: Tensor) -> Outputs:
        """Return the anatomy network's outputs for (B, 1, 512, 512)."""
        outputs: Outputs = self.anatomy(functional.avg_pool2d(film, 2))
        return outputs

    def forward(self, film: Tensor) -> tuple[Outputs, Thorax, Tensor]:
        """(B, 1, 512, 512) -> the anatomy, the thorax, and its cells (B, 1472, 11, 11)."""
        outputs = self.outline(film)
        thorax: Thorax = self.crop(film, outputs.planes)
        return outputs, thorax, self.backbone(thorax.picture)


def upright(encoder: Encoder, films: Sequence[ReadFilm]) -> tuple[ReadFilm, ...]:
    """Return the films with the quarter turns that put them upright, as the anatomy network sees it.

    A film is turned if it is no frontal chest film as it lies, and surely one in another position: some films of the
    collections lie on their side.
    """
    return tuple(replace(film, turns=_turns(encoder, film)) for film in tqdm(films, desc="position", unit="film"))


def _turns(encoder: Encoder, film: ReadFilm) -> int:
    pixels = torch.from_numpy(pixels_of(film, FILM).copy())[None, None]
    with torch.inference_mode():
        frontal = [_frontal(encoder, pixels)]
        if frontal[0] < UNCERTAIN:
            frontal += [_frontal(encoder, torch.rot90(pixels, turns, (2, 3))) for turns in (1, 2, 3)]
    best = int(np.argmax(frontal))
    return best if frontal[best] > CERTAIN else 0


def _frontal(encoder: Encoder, film: Tensor) -> float:
    """Return the probability of PA or AP, (1, 1, 512, 512) -> a number."""
    return float(torch.softmax(encoder.outline(film).views, 1)[0, :NOT_FRONTAL].sum())


def extract(encoder: Encoder, films: Sequence[ReadFilm], *, cache: Path) -> Features:
    """Return the features of films as they are; `opacity` from boxes. Kept in the file `cache`."""
    return _cached(cache, lambda: _extract(encoder, [pixels_of(film, FILM) for film in films], _boxes(films)))


def extract_planted(
    encoder: Encoder,
    films: Sequence[ReadFilm],
    *,
    cache: Path,
    seed: int,
    diameter_mm: float | None = None,
    contrast: float | None = None,
) -> Features:
    """Return the features of the same films with an opacity planted in each.

    A film whose lungs have no room for it stays as it is, with an empty `opacity`.
    """

    def make() -> Features:
        planted = [
            _planted(encoder, film, number, seed=seed, diameter_mm=diameter_mm, contrast=contrast)
            for number, film in enumerate(tqdm(films, desc="planted", unit="film"))
        ]
        return _extract(encoder, [one.film for one in planted], [one.opacity for one in planted])

    return _cached(cache, make)


def _planted(
    encoder: Encoder, film: ReadFilm, number: int, *, seed: int, diameter_mm: float | None, contrast: float | None
) -> PlantedFilm:
    pixels = pixels_of(film, FILM)
    with torch.inference_mode():
        planes = encoder.outline(torch.from_numpy(pixels)[None, None]).planes[:, LUNGS].amax(1, keepdim=True)
        lungs = functional.interpolate(planes, (FILM, FILM), mode="bilinear", align_corners=False)[0, 0].numpy() > 0
    generator = np.random.default_rng((seed, number))
    planted = lesions.plant(
        pixels, lungs, pixel_mm=film.pixel_mm, generator=generator, diameter_mm=diameter_mm, contrast=contrast
    )
    return planted or PlantedFilm(film=pixels, opacity=np.zeros_like(pixels))


def _extract(
    encoder: Encoder, films: Sequence[npt.NDArray[np.floating]], opacities: Sequence[npt.NDArray[np.floating]]
) -> Features:
    cells = np.zeros((len(films), CHANNELS, CELLS, CELLS), np.float16)
    lungs = np.zeros((len(films), CELLS, CELLS), np.float32)
    opacity, anatomy = np.zeros_like(lungs), []
    with torch.inference_mode():
        for start in tqdm(range(0, len(films), BATCH), desc="features", unit="batch"):
            batch = slice(start, start + BATCH)
            film = torch.from_numpy(np.stack(films[batch]).astype(np.float32))[:, None]
            where = torch.from_numpy(np.stack(opacities[batch]).astype(np.float32))[:, None]
            outputs, thorax, maps = encoder(film)
            cells[batch] = maps.half().numpy()
            lungs[batch] = thorax.lungs.numpy()
            anatomy.append(lower_half(outputs.cells).mean((2, 3)).numpy())
            opacity[batch] = _on_cells(where, thorax)[:, 0].numpy()
    return Features(cells=cells, lungs=lungs, opacity=opacity, anatomy=np.concatenate(anatomy))


def _on_cells(masks: Tensor, thorax: Thorax) -> Tensor:
    """Return the share of each cell that a mask (B, 1, 512, 512) covers, (B, 1, 11, 11)."""
    small = functional.adaptive_avg_pool2d(masks, thorax.rows.shape[1])
    rows, columns = (weights / (weights.sum(1, keepdim=True) + 1e-6) for weights in (thorax.rows, thorax.columns))
    return torch.matmul(torch.matmul(rows.transpose(1, 2)[:, None], small), columns[:, None])


def _boxes(films: Sequence[ReadFilm]) -> list[npt.NDArray[np.floating]]:
    """Return the mask of each film's boxes, (512, 512)."""
    masks = []
    for film in films:
        mask = np.zeros((FILM, FILM), np.float16)
        for box in film.boxes:
            rows = slice(round(box.top * FILM), round((box.top + box.height) * FILM))
            mask[rows, round(box.left * FILM) : round((box.left + box.width) * FILM)] = 1
        masks.append(mask)
    return masks


def _cached(path: Path, make: Callable[[], Features]) -> Features:
    if path.exists():
        with np.load(path) as saved:
            return Features(**{name: saved[name] for name in NAMES})
    features = make()
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **{name: getattr(features, name) for name in NAMES})
    partial.replace(path)
    return features
