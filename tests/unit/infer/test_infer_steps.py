"""The recipe "steps": resampling held against Pillow and torch, and each step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import Float32, Radiograph, UInt16
from cxr_node.infer.prepare import Frame, analysed_area, prepare
from cxr_node.infer.resize import Kernel, resize
from cxr_node.infer.steps import RECIPE, Steps

_PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest-center": Image.Resampling.NEAREST,
}
_SIZES = ((61, 87), (224, 224), (35, 260))
"""Rows and columns after resizing a film of 140 x 113: smaller, larger, and one of each."""


def picture(rows: int = 140, columns: int = 113) -> UInt16:
    return np.random.default_rng(5).integers(0, 65536, (rows, columns), dtype=np.uint16)


def gray() -> Float32:
    return (picture() / 65535).astype(np.float32)


def film(p_values: UInt16) -> Radiograph:
    rows, columns = p_values.shape
    return Radiograph(p_values=p_values, geometry=Geometry(rows=rows, columns=columns), grayscale="noise")


def frame(rows: int, columns: int, steps: Steps) -> Frame:
    return Frame(rows=rows, columns=columns, recipe=RECIPE, steps=steps)


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("kernel", _PILLOW)
def test_antialiased_kernels_equal_those_of_pillow(kernel: Kernel, size: tuple[int, int]) -> None:
    rows, columns = size
    expected = np.asarray(Image.fromarray(gray()).resize((columns, rows), _PILLOW[kernel]))

    resized = resize(gray(), rows, columns, kernel=kernel, antialias=True, is_8_bit=False)

    assert np.abs(resized - expected).max() < 1e-6


@pytest.mark.parametrize("size", [(224, 224), (64, 52)])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_eight_bits_are_resized_as_pillow_does_to_one_level(kernel: Kernel, size: tuple[int, int]) -> None:
    rows, columns = size
    levels = (picture() >> 8).astype(np.uint8)
    expected = np.asarray(Image.fromarray(levels).resize((columns, rows), _PILLOW[kernel])).astype(np.float32)

    values = (levels / 255).astype(np.float32)
    resized = resize(values, rows, columns, kernel=kernel, antialias=True, is_8_bit=True) * 255

    assert np.abs(resized - expected).max() < 1.001
    assert np.mean(np.abs(resized - expected) > 0.5) < 0.01


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "nearest"])
def test_kernels_without_antialiasing_equal_those_of_torch(kernel: Kernel, size: tuple[int, int]) -> None:
    corners = None if kernel == "nearest" else False
    expected = functional.interpolate(torch.from_numpy(gray())[None, None], size, mode=kernel, align_corners=corners)

    resized = resize(gray(), *size, kernel=kernel, antialias=False, is_8_bit=False)

    assert np.abs(resized - expected[0, 0].numpy()).max() < 2e-5  # torch computes places in float32


def test_area_kernel_averages_the_covered_part_of_pixels() -> None:
    values = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32)

    resized = resize(values, 1, 2, kernel="area", antialias=False, is_8_bit=False)

    assert np.allclose(resized, [[1 / 3, 1 / 3]])


def test_channels_are_normalised_one_by_one() -> None:
    steps = Steps(channels=3, mean=(0.5, 0.0, 1.0), deviation=(0.5, 1.0, 2.0))

    prepared = prepare(film(np.full((50, 40), 65535, np.uint16)), frame(32, 32, steps))

    assert prepared.shape == (3, 32, 32)
    assert np.allclose(prepared[:, 0, 0], [1.0, 1.0, 0.0])


def test_center_crop_takes_the_middle_after_the_shorter_side() -> None:
    p_values = np.zeros((200, 100), np.uint16)
    p_values[50:150] = 65535
    steps = Steps(fit="center-crop", shorter_side=50, kernel="area")

    prepared = prepare(film(p_values), frame(40, 40, steps))

    assert prepared.shape == (40, 40)
    assert np.all(prepared == 1.0)
    area = analysed_area(Geometry(rows=200, columns=100), frame(40, 40, steps))
    assert area.outline == ((10.0, 60.0), (90.0, 60.0), (90.0, 140.0), (10.0, 140.0))


def test_letterbox_keeps_proportions_between_black_borders() -> None:
    prepared = prepare(film(np.full((100, 50), 65535, np.uint16)), frame(40, 40, Steps(fit="letterbox")))

    assert np.all(prepared[:, 10:30] == 1.0)
    assert np.all(prepared[:, :10] == 0.0)
    assert np.all(prepared[:, 30:] == 0.0)


def test_scaling_inversion_and_range_follow_the_card() -> None:
    p_values = np.linspace(10000, 20000, 64 * 64).astype(np.uint16).reshape(64, 64)
    steps = Steps(scaling="min-max", low=0.0, high=255.0)

    prepared = prepare(film(p_values), frame(64, 64, steps))
    inverted = prepare(film(p_values), frame(64, 64, replace(steps, inverted=True)))

    assert (prepared.min(), prepared.max()) == (0.0, 255.0)
    assert np.allclose(prepared + inverted, 255.0, atol=1e-3)


def test_z_score_gives_mean_zero_and_deviation_one() -> None:
    prepared = prepare(film(picture()), frame(32, 32, Steps(scaling="z-score")))

    assert abs(float(prepared.mean())) < 1e-5
    assert abs(float(prepared.std()) - 1) < 1e-4


def test_percentiles_clip_the_extremes() -> None:
    p_values = np.full((100, 100), 30000, np.uint16)
    p_values[:50] = 20000
    p_values[0, 0], p_values[0, 1] = 0, 65535

    prepared = prepare(film(p_values), frame(100, 100, Steps(scaling="percentile")))

    assert (prepared[10, 10], prepared[90, 90], prepared[0, 1]) == (0.0, 1.0, 1.0)


def test_identity_names_the_steps_that_differ_from_the_defaults() -> None:
    steps = Steps(channels=3, mean=(0.5,) * 3, deviation=(0.2,) * 3, fit="letterbox")

    assert steps.sentence() == "fit=letterbox channels=3 mean=[0.5,0.5,0.5] deviation=[0.2,0.2,0.2]"
