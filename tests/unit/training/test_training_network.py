"""The network for findings, its training loop, and the graph in which everything is joined."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training import anatomy, findings, train
from training.anatomy import PLANES
from training.anatomynet import AnatomyNet
from training.anatomynet import Sizes as AnatomySizes
from training.chest import Distance, joined
from training.lungnet import LungNet, Sizes, local_contrast, lung_fields
from training.train import Lesson, Recipe

SIZES = Sizes(channels=(8, 8, 8, 8))
"""With 4 channels, channels last, this version of torch corrupts its memory."""
CHANNELS = 2 * (8 + 8 + 8 + 4)
"""Twice what the tiny network for anatomy knows of a cell: three levels of eight channels, and four lesions."""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(train, "Sizes", lambda: SIZES)


def _lesson(films: int = 4) -> Lesson:
    generator = torch.Generator().manual_seed(0)
    shown = torch.arange(films).remainder(2).float()[:, None].expand(-1, 2).clone()
    lungs = torch.zeros(films, 256, 256, dtype=torch.int64)
    lungs[:, 40:220, 30:226] = 255
    return Lesson(
        films=torch.rand((films, 1, 256, 256), generator=generator),
        lungs=lungs,
        findings=shown,
        weights=torch.ones_like(shown),
        auxiliary=torch.zeros(films, 12),
    )


def _lungs() -> torch.Tensor:
    lungs = torch.zeros(1, 1, 256, 256)
    lungs[:, :, 80:160, 60:200] = 1.0
    return lungs


def test_the_logits_are_the_sums_of_the_maps() -> None:
    outputs = LungNet(SIZES).eval()(torch.rand(2, 1, 256, 256), _lungs().expand(2, -1, -1, -1))

    assert outputs.maps.shape == (2, 2, 14, 15)
    assert outputs.auxiliary.shape == (2, 12)
    assert torch.allclose(outputs.logits, outputs.maps.sum((2, 3)), atol=1e-6)


def test_brightness_and_contrast_of_a_film_hardly_matter() -> None:
    film = torch.rand(1, 1, 64, 64)

    assert torch.allclose(local_contrast(film, 9), local_contrast(film * 0.5 + 0.3, 9), atol=0.3)
    assert torch.all(local_contrast(torch.full((1, 1, 64, 64), 0.7), 9).abs() < 1e-3)


def test_what_lies_far_from_the_lungs_does_not_matter() -> None:
    network = LungNet(SIZES).eval()
    film = torch.rand(1, 1, 256, 256)
    changed = film.clone()
    changed[:, :, 200:, :] = torch.rand(56, 256)

    assert not torch.equal(film, changed)
    assert torch.allclose(network(film, _lungs()).logits, network(changed, _lungs()).logits, atol=1e-6)


def test_the_base_of_a_lung_is_seen_where_fluid_hides_it() -> None:
    planes = torch.full((1, len(PLANES), 128, 128), -10.0)
    planes[:, 0, 20:60, 20:50] = 10.0
    above = lung_fields(planes)
    planes[:, PLANES.index("right_hemidiaphragm"), 66:120, 20:50] = 10.0
    below = lung_fields(planes)

    assert above.shape == (1, 1, 256, 256)
    assert above[0, 0, 40:120, 40:100].min() > 0.9
    assert above[0, 0, 128:, :].max() < 0.5
    assert below[0, 0, 124:136, 50:90].min() > 0.5
    assert below[0, 0, 200:, :].max() < 0.01
    assert below[0, 0, :, 160:].max() < 0.01


def test_joined_members_say_the_mean_of_what_each_says_in_the_scale_that_was_fitted() -> None:
    torch.manual_seed(0)
    network = AnatomyNet(AnatomySizes(planes=len(PLANES), channels=(8, 8, 8, 8))).eval()
    members = [LungNet(SIZES).eval() for _ in range(3)]
    films = torch.rand(2, 1, 256, 256)
    known = torch.from_numpy(findings.pooled(network, films[:, 0].numpy()))
    assert known.shape == (2, CHANNELS)
    fits = [
        {
            "heads": torch.randn(3, CHANNELS, dtype=torch.float64),
            "bias": torch.randn(3, dtype=torch.float64),
            "lungs": torch.rand(3, dtype=torch.float64),
            "scale": torch.tensor(1.3, dtype=torch.float64),
            "offset": torch.tensor(-0.4, dtype=torch.float64),
        }
        for _ in range(2)
    ]
    with torch.inference_mode():
        fields = lung_fields(network(films).planes)
        said = torch.stack([member(films, fields).logits.double() for member in members])
    expected = []
    for number, fit in enumerate(fits):
        each = known @ fit["heads"].T + fit["bias"] + (said[:, :, number] * fit["lungs"][:, None]).T
        expected.append(each.mean(1) * fit["scale"] + fit["offset"])

    chest = joined(network, members, fits, [0, 1])
    chest.distance = Distance([np.random.default_rng(1).normal(size=(40, 16))] * 2)
    with torch.inference_mode():
        told = chest.eval()(films)

    assert torch.allclose(told["finding_logits"], torch.stack(expected, 1).float(), atol=1e-4)
    assert torch.allclose(told["finding_logits"], told["finding_maps"].mean((2, 3)) + chest.bias, atol=1e-4)
    assert told["finding_maps"].shape == (2, 2, 32, 32)
    assert told["structure_logits"].shape == (2, 15, 128, 128)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [anatomy.rate(done, 0.1) for done in (0.0, 0.05, 0.1, 0.5, 0.999)]

    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > rates[3] > rates[4] >= 0
    assert rates[2] == pytest.approx(1.0)


def test_an_interrupted_training_ends_where_an_unbroken_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(seed=1, epochs=3, batch=2)
    unbroken = torch.load(_train(recipe, tmp_path / "unbroken"), weights_only=True)
    real = train._epoch

    def stopped(*arguments: object, epoch: int, member: int) -> float:
        if epoch == 2:
            raise KeyboardInterrupt
        return real(*arguments, epoch=epoch, member=member)  # type: ignore[arg-type] # passed on as they came

    with monkeypatch.context() as patched:
        patched.setattr(train, "_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            _train(recipe, tmp_path / "broken")
    resumed = torch.load(_train(recipe, tmp_path / "broken"), weights_only=True)

    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    assert not list((tmp_path / "broken").glob("*.checkpoint"))


def test_a_member_already_trained_is_left_as_it_is(tmp_path: Path) -> None:
    finished = tmp_path / "member-0.pt"
    finished.write_bytes(b"trained")

    assert train.train(_lesson(), Recipe(seed=1, epochs=1), member=0, work=tmp_path) == finished
    assert finished.read_bytes() == b"trained"


def test_training_learns_what_is_plain_to_see(tmp_path: Path) -> None:
    lesson = _lesson(16)
    lesson.films.mul_(0.1)
    stripes = (torch.arange(256) // 8 % 2).float()
    lesson.films[lesson.findings[:, 0] > 0] += 0.5 * stripes

    path = train.train(lesson, Recipe(seed=1, epochs=6, batch=4, averaging=0.8), member=0, work=tmp_path)

    network = LungNet(SIZES)
    network.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        logits = network.eval()(lesson.films, lesson.lungs[:, None].float() / 255).logits[:, 0].numpy()
    shown = lesson.findings[:, 0].numpy() > 0
    assert np.median(logits[shown]) > np.median(logits[~shown])


def _train(recipe: Recipe, work: Path) -> Path:
    work.mkdir(exist_ok=True)
    return train.train(_lesson(), recipe, member=0, work=work)
