"""Writes films with their truth to a folder."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_node.phantom.dicom import dataset
from cxr_node.phantom.truth_types import PhantomFilm


def write(films: Iterable[PhantomFilm], folder: Path, *, now: datetime) -> list[Path]:
    """Write each film as `<seed>-<view>.dcm`, its truth as .json and its masks as .npz, and return the films' paths.

    The .npz holds every mask under its name, packed eight pixels to a byte (`numpy.unpackbits` with
    `count`), and their common shape as "shape".
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for film in films:
        path = folder / f"{film.truth.seed}-{film.truth.view}.dcm"
        dataset(film, now=now).save_as(path, enforce_file_format=True)
        path.with_suffix(".json").write_text(json.dumps(truth_of(film), indent=2) + "\n", encoding="utf-8")
        packed = {name: np.packbits(mask) for name, mask in film.masks.items()}
        np.savez(path.with_suffix(".npz"), shape=np.array(film.p_values.shape), **packed)  # type: ignore[arg-type]  # the stub takes allow_pickle for one of them
        paths.append(path)
    return paths


def truth_of(film: PhantomFilm) -> dict[str, object]:
    """Return the truth of `film` as plain values."""
    truth, anatomy = film.truth, film.truth.anatomy
    return {
        "seed": truth.seed,
        "view": truth.view.value,
        "sex": anatomy.sex.value,
        "age": round(anatomy.age, 1),
        "erect": anatomy.erect,
        "inspiration": round(anatomy.inspiration, 3),
        "imager_pixel_spacing_mm": truth.imager_pixel_spacing_mm,
        "magnification": truth.magnification,
        "cardiothoracic_ratio": truth.cardiothoracic_ratio,
        "heart_line": truth.heart_line,
        "thorax_line": truth.thorax_line,
        "lesions": [
            {
                "kind": lesion.pathology.kind.value,
                "side": lesion.pathology.side,
                "zone": lesion.pathology.zone,
                "severity": lesion.pathology.severity,
                "mask": lesion.mask,
                "box": lesion.box,
            }
            for lesion in truth.lesions
        ],
    }


def picture(film: PhantomFilm, size: int) -> Image.Image:
    """Return `film` as an 8-bit picture, `size` pixels wide."""
    image = Image.fromarray((film.p_values >> 8).astype(np.uint8))
    return image.resize((size, round(size * image.height / image.width)), Image.Resampling.LANCZOS)
