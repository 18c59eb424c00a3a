"""The network, its augmentation and its training loop."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.domain.radiograph import Geometry, Radiograph
from cxr_node.infer.prepare import prepare
from training import train
from training.augment import augment
from training.export import Merged
from training.lungnet import FRAME, LungNet, Sizes, dome, local_contrast
from training.train import Lesson, Recipe

SIZES = Sizes(channels=(4, 4, 8, 8))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _lesson(films: int = 4) -> Lesson:
    generator = torch.Generator().manual_seed(0)
    shown = torch.arange(films).remainder(2).float()[:, None]
    return Lesson(
        films=torch.rand((films, 1, 256, 256), generator=generator),
        opacity=shown,
        weight=torch.ones_like(shown),
        auxiliary=torch.zeros(films, 12),
    )


def test_the_logit_is_the_mean_of_the_map_within_the_rib_cage() -> None:
    inside = dome(12, 15) > 0
    outputs = LungNet(Sizes()).eval()(torch.rand(2, 1, FRAME.rows, FRAME.columns))

    assert outputs.maps.shape == (2, 1, 12, 15)
    assert outputs.auxiliary.shape == (2, 12)
    assert torch.allclose(outputs.logits, outputs.maps[:, :, inside].mean(2), atol=1e-6)


def test_brightness_and_contrast_of_a_film_hardly_matter() -> None:
    film = torch.rand(1, 1, 64, 64)

    assert torch.allclose(local_contrast(film, 9), local_contrast(film * 0.5 + 0.3, 9), atol=0.3)
    assert torch.all(local_contrast(torch.full((1, 1, 64, 64), 0.7), 9).abs() < 1e-3)


def test_what_lies_outside_the_rib_cage_does_not_matter() -> None:
    network = LungNet(SIZES).eval()
    film = torch.full((1, 1, FRAME.rows, FRAME.columns), 0.5)
    film[:, :, 60:120, 80:160] = torch.rand(60, 80)
    changed = film.clone()
    changed[:, :, :24, :24] = torch.rand(24, 24)

    assert not torch.equal(film, changed)
    assert torch.allclose(network(film).logits, network(changed).logits, atol=1e-6)


def test_films_are_cut_to_the_window_that_a_node_prepares() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (512, 512), dtype=np.uint16)
    film = Radiograph(p_values=values, geometry=Geometry(rows=512, columns=512), grayscale="noise")

    whole = torch.from_numpy(prepare(film, train.WHOLE))[None, None]

    assert torch.equal(train.cut(whole)[0, 0], torch.from_numpy(prepare(film, FRAME)))


def test_merged_members_give_the_mean_of_their_fitted_logits() -> None:
    torch.manual_seed(0)
    members = [LungNet(SIZES).eval() for _ in range(3)]
    fits = [{"scale": 1.0, "offset": 0.0}, {"scale": 2.0, "offset": 1.0}, {"scale": 0.5, "offset": -1.0}]
    film = torch.rand(2, 1, FRAME.rows, FRAME.columns)
    expected = sum(fit["scale"] * m(film).logits + fit["offset"] for m, fit in zip(members, fits, strict=True)) / 3

    merged = Merged(members, fits).eval()(film)

    assert torch.allclose(merged["finding_logits"], torch.as_tensor(expected), atol=1e-5)
    assert merged["finding_maps"].shape == (2, 1, 12, 15)


def test_augmentation_varies_films_follows_its_seed_and_keeps_the_range() -> None:
    films = torch.rand(4, 1, 32, 32)

    once = augment(films, generator=torch.Generator().manual_seed(1))
    again = augment(films, generator=torch.Generator().manual_seed(1))
    other = augment(films, generator=torch.Generator().manual_seed(2))

    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.shape == films.shape
    assert once.min() >= 0
    assert once.max() <= 1


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [train.rate(done, 0.1) for done in (0.0, 0.05, 0.1, 0.5, 0.999)]

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
    lesson.films[lesson.opacity[:, 0] > 0] += 0.5 * stripes

    path = train.train(lesson, Recipe(seed=1, epochs=6, batch=4, averaging=0.8), member=0, work=tmp_path)

    network = LungNet(Sizes())
    network.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        logits = network.eval()(train.cut(lesson.films)).logits[:, 0].numpy()
    shown = lesson.opacity[:, 0].numpy() > 0
    assert np.median(logits[shown]) > np.median(logits[~shown])


def _train(recipe: Recipe, work: Path) -> Path:
    work.mkdir(exist_ok=True)
    return train.train(_lesson(), recipe, member=0, work=work)
