"""Training of anatomy: augmentation, loss, self-training, out-of-distribution pictures, metrics."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.domain.anatomy import Anatomy
from training import anatomy, phantoms
from training.anatomy import (
    PLANES,
    Hyperparameters,
    TrainingData,
    coverage,
    crop_hearts,
    largest_component,
    pseudo_label,
    segmentation_loss,
)
from training.anatomynet import AnatomyNet, Sizes
from training.augment import augment
from training.out_of_distribution import synthesize
from training.phantoms import STRUCTURES, Phantoms

TINY = Sizes(planes=len(PLANES), channels=(8, 8, 8, 8))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _phantoms(count: int = 3) -> Phantoms:
    generator = np.random.default_rng(0)
    bits = np.zeros((count, 256, 256), np.uint32)
    bits[:, 40:200, 30:110] |= 1
    bits[:, 40:200, 140:220] |= 2
    return Phantoms(
        films=generator.integers(0, 256, (count, 256, 256), dtype=np.uint8),
        bits=bits,
        views=np.arange(count) % 3,
        ratio=np.full(count, 0.5),
    )


def _data() -> TrainingData:
    no_labels = torch.zeros(2, 256, 256, dtype=torch.int32)
    return TrainingData(
        phantoms=_phantoms(),
        films=torch.linspace(0, 1, 2 * 65536).view(2, 1, 256, 256),
        views=torch.tensor([0, 1]),
        bits=no_labels,
        confident=no_labels,
    )


def test_training_has_the_structures_of_readings() -> None:
    assert sorted(STRUCTURES) == sorted(Anatomy)


@pytest.mark.slow
def test_masks_move_with_the_film() -> None:
    film = torch.zeros(4, 1, 256, 256)
    film[:, :, 96:160, 96:160] = 1.0
    bits = (film[:, 0] > 0).long() * 5
    varied, moved = augment(film, bits, generator=torch.Generator().manual_seed(3))
    assert set(moved.flatten().tolist()) == {0, 5}
    for one, mask in zip(varied[:, 0], moved > 0, strict=True):
        assert one[mask].mean() > one[~mask].mean() + 0.2


def test_coverage_is_the_share_of_four_pixels() -> None:
    bits = torch.zeros(1, 256, 256, dtype=torch.int64)
    bits[0, 0, 0], bits[0, 0, 1], bits[0, 2:4, 2:4] = 1, 3, 1 << 18
    shares = coverage(bits)
    assert shares.shape == (1, len(PLANES), 128, 128)
    assert shares[0, 0, 0, 0] == 0.5
    assert shares[0, 1, 0, 0] == 0.25
    assert shares[0, 18, 1, 1] == 1.0
    assert shares.sum() == 1.75


def test_unsupervised_bits_have_no_loss() -> None:
    planes = torch.randn(2, len(PLANES), 128, 128)
    bits = torch.full((2, 256, 256), (1 << len(PLANES)) - 1)
    untaught = segmentation_loss(planes, bits, torch.zeros_like(bits))
    other = segmentation_loss(-planes, bits, torch.zeros_like(bits))
    assert untaught == pytest.approx(float(other), abs=1e-6)
    right = segmentation_loss(torch.full_like(planes, 20.0), bits, bits)
    assert right < 0.01 < segmentation_loss(-planes, bits, bits)


def test_hearts_begin_where_they_are_wide_enough() -> None:
    synthetic = _phantoms(1)
    bit = np.uint32(1 << STRUCTURES.index("heart"))
    synthetic.bits[0, 50:100, 100:110] |= bit
    synthetic.bits[0, 100:150, 80:130] |= bit
    cut = crop_hearts(synthetic)
    rows = np.flatnonzero(((cut.bits[0] & bit) > 0).any(1))
    assert (rows[0], rows[-1]) == (100, 149)


@pytest.mark.slow
def test_a_resumed_training_gives_the_weights_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anatomy, "Sizes", lambda **_: TINY)
    monkeypatch.setattr(anatomy, "CHECKPOINT_STEPS", 1)
    recipe = Hyperparameters(seed=1, steps=3, batch=5, films=(1, 2))
    unbroken = anatomy.train(_data(), recipe, work=_folder(tmp_path / "one"))

    class Broken(Exception):
        pass

    real = anatomy._step
    steps = []

    def interrupted(*arguments: object, step: int, **rest: object) -> float:
        steps.append(step)
        if steps == [0, 1]:
            raise Broken
        return real(*arguments, step=step, **rest)  # type: ignore[arg-type] # handed on as they came

    monkeypatch.setattr(anatomy, "_step", interrupted)
    with pytest.raises(Broken):
        anatomy.train(_data(), recipe, work=_folder(tmp_path / "two"))
    resumed = anatomy.train(_data(), recipe, work=tmp_path / "two")
    assert steps == [0, 1, 1, 2]
    one, two = torch.load(unbroken, weights_only=True), torch.load(resumed, weights_only=True)
    assert all(torch.equal(one[name], two[name]) for name in one)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_film_without_lungs_has_no_pseudo_label() -> None:
    network = AnatomyNet(TINY).eval()
    torch.nn.init.constant_(network.planes.weight, 0.0)
    assert network.planes.bias is not None
    torch.nn.init.constant_(network.planes.bias, -20.0)
    label, sure = pseudo_label(torch.rand(1, 1, 256, 256), network)
    assert not label.any()
    assert not sure.any()


def test_the_largest_component_is_kept_and_filled() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[2:4, 2:4] = True
    mask[8:18, 8:18] = True
    mask[12, 12] = False
    component = largest_component(mask)
    assert component.sum() == 100
    assert component[12, 12]
    assert not component[2, 2]


def test_the_content_of_a_phantom_follows_from_its_seed() -> None:
    assert [phantoms.sample_content(seed) for seed in range(50)] == [
        phantoms.sample_content(seed) for seed in range(50)
    ]
    assert len({str(phantoms.sample_content(seed)) for seed in range(50)}) > 20
    assert phantoms.FIRST_TRAINING_SEED + 1_000_000 < phantoms.FIRST_TEST_SEED


def test_synthesized_outliers_are_no_films() -> None:
    film = torch.rand(1, 1, 256, 256).expand(30, -1, -1, -1)
    outliers = synthesize(film, generator=torch.Generator().manual_seed(1))
    assert outliers.shape == film.shape
    assert outliers.min() >= 0
    assert outliers.max() <= 1
    assert not any(torch.equal(one, film[0]) for one in outliers)
