"""Anatomy from phantoms: what is varied stays together, what is taught is what is drawn, what is said adds up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.domain.anatomy import Anatomy
from training import anatomy, findings, phantoms, report
from training.anatomy import PLANES, Lesson, Recipe, drawn, opinion, shares, solid, with_heart_cut
from training.anatomynet import AnatomyNet, Sizes
from training.augment import vary
from training.export import Distance
from training.out_of_distribution import strangers
from training.phantoms import STRUCTURES, Phantoms

TINY = Sizes(planes=len(PLANES), channels=(8, 8, 8, 8))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _made(count: int = 3) -> Phantoms:
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


def _lesson() -> Lesson:
    nothing = torch.zeros(2, 256, 256, dtype=torch.int32)
    return Lesson(
        phantoms=_made(),
        films=torch.linspace(0, 1, 2 * 65536).view(2, 1, 256, 256),
        views=torch.tensor([0, 1]),
        bits=nothing,
        sure=nothing,
    )


def test_the_structures_that_are_learned_are_those_that_readings_name() -> None:
    assert sorted(STRUCTURES) == sorted(Anatomy)


def test_what_is_drawn_moves_with_the_film() -> None:
    film = torch.zeros(4, 1, 256, 256)
    film[:, :, 96:160, 96:160] = 1.0
    bits = (film[:, 0] > 0).long() * 5
    varied, moved = vary(film, bits, generator=torch.Generator().manual_seed(3))
    assert set(moved.flatten().tolist()) == {0, 5}
    for one, mask in zip(varied[:, 0], moved > 0, strict=True):
        assert one[mask].mean() > one[~mask].mean() + 0.2


def test_a_share_is_how_much_of_four_pixels_is_covered() -> None:
    bits = torch.zeros(1, 256, 256, dtype=torch.int64)
    bits[0, 0, 0], bits[0, 0, 1], bits[0, 2:4, 2:4] = 1, 3, 1 << 18
    told = shares(bits)
    assert told.shape == (1, len(PLANES), 128, 128)
    assert told[0, 0, 0, 0] == 0.5
    assert told[0, 1, 0, 0] == 0.25
    assert told[0, 18, 1, 1] == 1.0
    assert told.sum() == 1.75


def test_what_is_not_taught_costs_nothing() -> None:
    planes = torch.randn(2, len(PLANES), 128, 128)
    bits = torch.full((2, 256, 256), (1 << len(PLANES)) - 1)
    untaught = drawn(planes, bits, torch.zeros_like(bits))
    other = drawn(-planes, bits, torch.zeros_like(bits))
    assert untaught == pytest.approx(float(other), abs=1e-6)
    right = drawn(torch.full_like(planes, 20.0), bits, bits)
    assert right < 0.01 < drawn(-planes, bits, bits)


def test_hearts_begin_where_they_are_wide() -> None:
    made = _made(1)
    bit = np.uint32(1 << STRUCTURES.index("heart"))
    made.bits[0, 50:100, 100:110] |= bit
    made.bits[0, 100:150, 80:130] |= bit
    cut = with_heart_cut(made)
    rows = np.flatnonzero(((cut.bits[0] & bit) > 0).any(1))
    assert (rows[0], rows[-1]) == (100, 149)


@pytest.mark.slow
def test_an_interrupted_training_ends_where_an_unbroken_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anatomy, "Sizes", lambda **_: TINY)
    monkeypatch.setattr(anatomy, "KEPT", 1)
    recipe = Recipe(seed=1, steps=3, batch=5, films=(1, 2))
    unbroken = anatomy.train(_lesson(), recipe, work=_folder(tmp_path / "one"))

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
        anatomy.train(_lesson(), recipe, work=_folder(tmp_path / "two"))
    resumed = anatomy.train(_lesson(), recipe, work=tmp_path / "two")
    assert steps == [0, 1, 1, 2]
    one, two = torch.load(unbroken, weights_only=True), torch.load(resumed, weights_only=True)
    assert all(torch.equal(one[name], two[name]) for name in one)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_film_on_which_nothing_is_seen_teaches_nothing() -> None:
    network = AnatomyNet(TINY).eval()
    torch.nn.init.constant_(network.planes.weight, 0.0)
    assert network.planes.bias is not None
    torch.nn.init.constant_(network.planes.bias, -20.0)
    label, sure = opinion(torch.rand(1, 1, 256, 256), network)
    assert not label.any()
    assert not sure.any()


def test_the_largest_part_is_taken_and_filled() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[2:4, 2:4] = True
    mask[8:18, 8:18] = True
    mask[12, 12] = False
    found = solid(mask)
    assert found.sum() == 100
    assert found[12, 12]
    assert not found[2, 2]


def test_orders_follow_from_the_seed_and_tests_share_none_with_training() -> None:
    assert [phantoms.order(seed) for seed in range(50)] == [phantoms.order(seed) for seed in range(50)]
    assert len({str(phantoms.order(seed)) for seed in range(50)}) > 20
    assert phantoms.TRAINING + 1_000_000 < phantoms.TEST


def test_strangers_are_no_films() -> None:
    film = torch.rand(1, 1, 256, 256).expand(30, -1, -1, -1)
    made = strangers(film, generator=torch.Generator().manual_seed(1))
    assert made.shape == film.shape
    assert made.min() >= 0
    assert made.max() <= 1
    assert not any(torch.equal(one, film[0]) for one in made)


def test_the_distance_is_about_one_within_a_crowd_and_large_beyond() -> None:
    generator = np.random.default_rng(5)
    crowds = [generator.normal(0, 1, (400, 16)), generator.normal(8, 2, (400, 16))]
    distance = Distance(crowds)
    for crowd in crowds:
        assert distance(torch.from_numpy(crowd).float()).mean() == pytest.approx(1.0, abs=0.1)
    assert distance(torch.full((1, 16), -30.0)) > 10


def test_the_calibration_error_is_how_far_scores_are_from_what_is_seen() -> None:
    shown = np.arange(1000) % 4 == 0
    assert findings.calibration_error(np.full(1000, 0.25), shown) == pytest.approx(0.0, abs=0.01)
    assert findings.calibration_error(np.full(1000, 0.75), shown) == pytest.approx(0.5, abs=0.01)


def test_the_roc_goes_from_nothing_called_to_everything_called() -> None:
    shown = np.array([True, False, True, False])
    false, true = report.roc_of(shown, np.array([3.0, 2.0, 1.0, 0.0]))
    assert false.tolist() == [0, 0, 0.5, 0.5, 1]
    assert true.tolist() == [0, 0.5, 0.5, 1, 1]
