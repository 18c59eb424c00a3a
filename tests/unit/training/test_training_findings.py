"""What findings are learned from, how they are fitted, and the graph in which everything is joined."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.domain.radiograph import View
from training import findings, metrics
from training.anatomy import PLANES
from training.anatomynet import AnatomyNet, Sizes
from training.datasets import FINDINGS, LabelledFilm
from training.export import Distance, joined
from training.features import Look, Seen, looks, seen_of
from training.thorax import GRAY, PARTS, SURROUNDINGS, Parts, only, surroundings, thorax_of

KNOWN = 8 + 8 + 8 + 4
"""What the tiny network for anatomy knows of a cell: three levels of eight channels, and four lesions."""
CHANNELS = KNOWN + SURROUNDINGS


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(findings, "STRENGTHS", (1e-3, 1e-2))
    monkeypatch.setattr(findings, "THUMBNAIL_STRENGTHS", (1e-2,))


def _network() -> AnatomyNet:
    torch.manual_seed(0)
    return AnatomyNet(Sizes(planes=len(PLANES), channels=(8, 8, 8, 8))).eval()


def _planes() -> torch.Tensor:
    """Return two lungs, and what lies below the right dome."""
    planes = torch.full((1, len(PLANES), 128, 128), -10.0)
    planes[:, PLANES.index("right_lung"), 20:84, 16:56] = 10.0
    planes[:, PLANES.index("left_lung"), 24:80, 72:112] = 10.0
    planes[:, PLANES.index("right_hemidiaphragm"), 84:110, 16:56] = 10.0
    return planes


def test_each_part_is_a_share_of_the_film() -> None:
    parts = Parts()(_planes())

    assert parts.shape == (1, PARTS, 32, 32)
    assert torch.allclose(parts.sum((2, 3)), torch.ones(1, PARTS), atol=1e-5)


def test_zones_are_upper_middle_and_lower_right_first() -> None:
    parts = Parts()(_planes())[0, :6]
    down = (parts.sum(2) * torch.arange(32.0)).sum(1)
    across = (parts.sum(1) * torch.arange(32.0)).sum(1)

    assert down[0] < down[1] < down[2]
    assert down[3] < down[4] < down[5]
    assert across[:3].max() < across[3:].min()


def test_the_base_is_where_lung_and_dome_meet() -> None:
    base = Parts()(_planes())[0, 6]

    assert base[18:24, 4:14].sum() > 0.6
    assert base[:, 18:].sum() < 0.1


def test_the_thorax_is_the_lungs_and_all_between_them() -> None:
    thorax = thorax_of(_planes())

    assert thorax.shape == (1, 1, 256, 256)
    assert thorax[0, 0, 60:150, 40:216].min() > 0.9
    assert thorax[0, 0, 200:].max() < 0.01
    assert thorax[0, 0, :10].max() < 0.01


def test_the_second_look_sees_nothing_outside_the_thorax() -> None:
    thorax, film = thorax_of(_planes()), torch.rand(1, 1, 256, 256)
    other = film.clone()
    other[:, :, 200:] = torch.rand(56, 256)

    assert not torch.equal(film, other)
    assert torch.allclose(only(film, thorax), only(other, thorax), atol=1e-3)
    assert torch.allclose(only(film, thorax)[:, :, 230:], torch.tensor(GRAY), atol=1e-3)


def test_surroundings_begin_with_a_one() -> None:
    around = surroundings(_planes())

    assert around.shape == (1, SURROUNDINGS, 32, 32)
    assert torch.equal(around[:, 0], torch.ones(1, 32, 32))


def _seen(films: int, *, seed: int = 0) -> Seen:
    """Return what is seen of films of noise."""
    generator = np.random.default_rng(seed)
    around = generator.normal(size=(films, 40, SURROUNDINGS))
    around[:, :, 0] = 1.0
    both = generator.normal(size=(2, films, 40, KNOWN))
    return Seen(
        parts=both.reshape(2, films, PARTS, -1, KNOWN).mean(3),
        around=around.reshape(films, PARTS, -1, SURROUNDINGS).mean(2),
        gram=np.einsum("fci,fcj->fij", around, around),
        moment=np.einsum("fci,lfcj->lfij", around, both),
        rest=generator.normal(size=(films, KNOWN)),
        thumbnails=generator.normal(size=(2, films, 12)),
    )


def _films(number: int) -> tuple[LabelledFilm, ...]:
    """Return films of as many patients, every other with an opacity."""
    return tuple(
        LabelledFilm(
            path=Path(f"{at:04}.png"),
            patient=str(at),
            view=(View.PA, View.AP)[at // 2 % 2],
            age=50.0,
            sex="F",
            labels=frozenset({"Infiltration"} if at % 2 else {"No Finding"}),
            opacity=bool(at % 2),
        )
        for at in range(number)
    )


def _shown(films: tuple[LabelledFilm, ...]) -> metrics.Bools:
    return np.array([bool(film.labels & FINDINGS["lung_opacity"]) for film in films])


def test_what_surroundings_explain_is_subtracted() -> None:
    films, seen = _films(120), _seen(120)
    shown = _shown(films)
    normal = np.flatnonzero(~shown)

    known = findings.Labels(shown=shown, weights=np.ones(120), fifth=np.arange(120) // 2 % 5)

    heads, bias = findings.fit_fold(seen, Look.THORAX, known, np.flatnonzero(known.fifth), normal=normal)

    def says(parts: metrics.Floats, around: metrics.Floats) -> metrics.Floats:
        said: metrics.Floats = (np.concatenate((parts, around), 2) * heads).sum((1, 2))
        return said

    said = says(seen.parts[Look.THORAX], seen.around)
    assert heads.shape == (PARTS, CHANNELS)
    assert said[normal].mean() == pytest.approx(0.0, abs=1e-9)
    assert said.std() > 1e-4
    assert np.isfinite(bias)
    shift = np.random.default_rng(1).normal(size=SURROUNDINGS)
    shift[0] = 0.0
    explained = shift @ seen.explained(Look.THORAX, normal)
    assert says(seen.parts[Look.THORAX] + explained, seen.around + shift) == pytest.approx(said, abs=1e-9)


@pytest.mark.slow
def test_noise_is_not_told_from_noise_on_patients_not_learned_from() -> None:
    films = _films(300)

    opinions, _ = findings.cross_validate(films, _shown(films), _seen(300), seed=1)

    for said in (opinions.logits, opinions.whole, opinions.rest, opinions.thumbnails):
        assert 0.38 < metrics.auc(_shown(films), said) < 0.62


@pytest.mark.slow
def test_what_is_plain_to_see_is_learned_and_called() -> None:
    films, seen = _films(200), _seen(200)
    shown = _shown(films)
    seen.parts[Look.THORAX, shown, 2, :6] += 1.0

    opinions, fit = findings.cross_validate(films, shown, seen, seed=1)

    assert metrics.auc(shown, opinions.logits) > 0.95
    assert metrics.auc(shown, opinions.whole) < 0.65
    assert opinions.present[shown].mean() > 0.8
    assert opinions.present[~shown].mean() < 0.3
    part, channel = np.unravel_index(np.abs(fit.heads.mean(0)[:, :KNOWN]).argmax(), (PARTS, KNOWN))
    assert part == 2
    assert channel < 6


def test_joined_fits_say_their_mean_in_the_scale_that_was_fitted() -> None:
    network, films = _network(), torch.rand(2, 1, 256, 256)
    seen = seen_of(network, films[:, 0].numpy())
    assert seen.parts.shape == (2, 2, PARTS, KNOWN)
    assert seen.thumbnails.shape == (2, 2, 576)
    fits = [
        {
            "heads": torch.randn(3, PARTS, CHANNELS, dtype=torch.float64),
            "bias": torch.randn(3, dtype=torch.float64),
            "scale": torch.tensor(1.3, dtype=torch.float64),
            "offset": torch.tensor(-0.4, dtype=torch.float64),
        }
        for _ in range(2)
    ]
    known = torch.from_numpy(np.concatenate((seen.parts[Look.THORAX], seen.around), 2))
    expected = [
        (torch.einsum("bpc,fpc->bf", known, fit["heads"]) + fit["bias"]).mean(1) * fit["scale"] + fit["offset"]
        for fit in fits
    ]

    chest = joined(network, fits)
    chest.distance = Distance([np.random.default_rng(1).normal(size=(40, 16))] * 2)
    with torch.inference_mode():
        told = chest.eval()(films)

    assert torch.allclose(told["finding_logits"], torch.stack(expected, 1).float(), atol=1e-3)
    assert torch.allclose(told["finding_logits"], told["finding_maps"].mean((2, 3)) + chest.bias, atol=1e-3)
    assert told["finding_maps"].shape == (2, 2, 32, 32)
    assert told["structure_logits"].shape == (2, 15, 128, 128)


def test_both_looks_are_of_the_same_network() -> None:
    network, film = _network(), torch.rand(1, 1, 256, 256)

    first, second = looks(network, film)

    with torch.inference_mode():
        assert torch.allclose(first.views, network(film).views, atol=1e-6)
        alone = network(only(film, thorax_of(first.planes)))
    assert torch.allclose(second.views, alone.views, atol=1e-6)
