"""Whole-film statistics that must not predict labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.film_statistics import LARGEST_AUC, columns_of, rank_correlation, separation, statistics_of


def picture(path: Path, gray: np.ndarray) -> Path:
    """Write an 8-bit picture."""
    Image.fromarray(gray.astype(np.uint8)).save(path)
    return path


def test_a_flat_film_has_no_spread_and_no_sharpness(tmp_path: Path) -> None:
    statistics = statistics_of(picture(tmp_path / "flat.png", np.full((100, 80), 120)))

    assert (statistics.mean, statistics.spread, statistics.sharpness, statistics.noise) == (120, 0, 0, 0)
    assert statistics.background == 0


def test_a_noisy_film_is_larger_and_sharper_than_a_smooth_one(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 200), (200, 1))
    noisy = np.clip(smooth + np.random.default_rng(1).normal(0, 30, smooth.shape), 0, 255)

    flat, sharp = (statistics_of(picture(tmp_path / f"{n}.png", gray)) for n, gray in enumerate((smooth, noisy)))

    assert sharp.file_bytes > flat.file_bytes
    assert sharp.sharpness > flat.sharpness


def test_the_background_is_the_black_part_of_the_border(tmp_path: Path) -> None:
    gray = np.full((200, 200), 100)
    gray[:, :100] = 0

    assert statistics_of(picture(tmp_path / "half.png", gray)).background == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_labels_that_follow_from_brightness_disqualify_a_set(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    has_label = generator.random(60) < 0.5
    films = [
        picture(tmp_path / f"{n}.png", generator.normal(120 + 30 * shown, 20, (40, 40)).clip(0, 255))
        for n, shown in enumerate(has_label)
    ]
    columns = columns_of([statistics_of(film) for film in films])
    patients = [str(n) for n in range(60)]

    assert separation(columns["mean"], has_label, patients).value > LARGEST_AUC
    assert separation(-columns["mean"], has_label, patients).value > LARGEST_AUC


def test_rank_correlation_is_that_of_spearman() -> None:
    first = np.array([1.0, 2.0, 2.0, 4.0, 9.0])

    assert rank_correlation(first, first**3) == pytest.approx(1.0)
    assert rank_correlation(first, -first) == pytest.approx(-1.0)
