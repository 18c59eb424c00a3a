"""Features for findings, their cross-validated heads, and the exported graph."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.domain.radiograph import View
from training import findings, metrics
from training.anatomy import PLANES
from training.anatomynet import AnatomyNet, Sizes
from training.datasets import FINDINGS, LabeledFilm
from training.export import MahalanobisDistance, assemble
from training.features import Features, FilmPass, extract_features, two_passes
from training.thorax import CONTEXT, GRAY, PARTS, Parts, anatomy_context, gray_outside, thorax_mask

KNOWN = 8 + 8 + 8 + 4
"""Cell features of the tiny anatomy network: three levels of eight channels, and four lesions."""
CHANNELS = KNOWN + CONTEXT


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


def test_the_thorax_covers_the_lungs_and_the_area_between() -> None:
    thorax = thorax_mask(_planes())

    assert thorax.shape == (1, 1, 256, 256)
    assert thorax[0, 0, 60:150, 40:216].min() > 0.9
    assert thorax[0, 0, 200:].max() < 0.01
    assert thorax[0, 0, :10].max() < 0.01


def test_the_second_pass_ignores_everything_outside_the_thorax() -> None:
    thorax, film = thorax_mask(_planes()), torch.rand(1, 1, 256, 256)
    other = film.clone()
    other[:, :, 200:] = torch.rand(56, 256)

    assert not torch.equal(film, other)
    assert torch.allclose(gray_outside(film, thorax), gray_outside(other, thorax), atol=1e-3)
    assert torch.allclose(gray_outside(film, thorax)[:, :, 230:], torch.tensor(GRAY), atol=1e-3)


def test_the_context_begins_with_a_one() -> None:
    context = anatomy_context(_planes())

    assert context.shape == (1, CONTEXT, 32, 32)
    assert torch.equal(context[:, 0], torch.ones(1, 32, 32))


def _features(films: int, *, seed: int = 0) -> Features:
    """Return features of films of noise."""
    generator = np.random.default_rng(seed)
    context = generator.normal(size=(films, 40, CONTEXT))
    context[:, :, 0] = 1.0
    both = generator.normal(size=(2, films, 40, KNOWN))
    return Features(
        parts=both.reshape(2, films, PARTS, -1, KNOWN).mean(3),
        context=context.reshape(films, PARTS, -1, CONTEXT).mean(2),
        gram=np.einsum("fci,fcj->fij", context, context),
        moment=np.einsum("fci,lfcj->lfij", context, both),
        rest=generator.normal(size=(films, KNOWN)),
        thumbnails=generator.normal(size=(2, films, 12)),
    )


def _films(number: int) -> tuple[LabeledFilm, ...]:
    """Return films of as many patients, every other with an opacity."""
    return tuple(
        LabeledFilm(
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


def _positive(films: tuple[LabeledFilm, ...]) -> metrics.Bools:
    return np.array([bool(film.labels & FINDINGS["lung_opacity"]) for film in films])


def test_what_the_context_explains_is_subtracted() -> None:
    films, features = _films(120), _features(120)
    positive = _positive(films)
    normal = np.flatnonzero(~positive)

    labels = findings.Labels(positive=positive, weights=np.ones(120), fold=np.arange(120) // 2 % 5)

    heads, bias = findings.fit_fold(features, FilmPass.THORAX, labels, np.flatnonzero(labels.fold), normal=normal)

    def score(parts: metrics.Floats, context: metrics.Floats) -> metrics.Floats:
        scores: metrics.Floats = (np.concatenate((parts, context), 2) * heads).sum((1, 2))
        return scores

    scores = score(features.parts[FilmPass.THORAX], features.context)
    assert heads.shape == (PARTS, CHANNELS)
    assert scores[normal].mean() == pytest.approx(0.0, abs=1e-9)
    assert scores.std() > 1e-4
    assert np.isfinite(bias)
    shift = np.random.default_rng(1).normal(size=CONTEXT)
    shift[0] = 0.0
    explained = shift @ features.explained(FilmPass.THORAX, normal)
    assert score(features.parts[FilmPass.THORAX] + explained, features.context + shift) == pytest.approx(
        scores, abs=1e-9
    )


@pytest.mark.slow
def test_noise_gives_chance_level_on_held_out_patients() -> None:
    films = _films(300)

    predictions, _ = findings.cross_validate(films, _positive(films), _features(300), seed=1)

    for scores in (predictions.logits, predictions.whole, predictions.rest, predictions.thumbnails):
        assert 0.38 < metrics.auc(_positive(films), scores) < 0.62


@pytest.mark.slow
def test_a_planted_signal_is_learned_and_called() -> None:
    films, features = _films(200), _features(200)
    positive = _positive(films)
    features.parts[FilmPass.THORAX, positive, 2, :6] += 1.0

    predictions, fit = findings.cross_validate(films, positive, features, seed=1)

    assert metrics.auc(positive, predictions.logits) > 0.95
    assert metrics.auc(positive, predictions.whole) < 0.65
    assert predictions.present[positive].mean() > 0.8
    assert predictions.present[~positive].mean() < 0.3
    part, channel = np.unravel_index(np.abs(fit.heads.mean(0)[:, :KNOWN]).argmax(), (PARTS, KNOWN))
    assert part == 2
    assert channel < 6


def test_the_exported_graph_gives_the_mean_of_the_folds() -> None:
    network, films = _network(), torch.rand(2, 1, 256, 256)
    features = extract_features(network, films[:, 0].numpy())
    assert features.parts.shape == (2, 2, PARTS, KNOWN)
    assert features.thumbnails.shape == (2, 2, 576)
    fits = [
        {
            "heads": torch.randn(3, PARTS, CHANNELS, dtype=torch.float64),
            "bias": torch.randn(3, dtype=torch.float64),
            "scale": torch.tensor(1.3, dtype=torch.float64),
            "offset": torch.tensor(-0.4, dtype=torch.float64),
        }
        for _ in range(2)
    ]
    labels = torch.from_numpy(np.concatenate((features.parts[FilmPass.THORAX], features.context), 2))
    expected = [
        (torch.einsum("bpc,fpc->bf", labels, fit["heads"]) + fit["bias"]).mean(1) * fit["scale"] + fit["offset"]
        for fit in fits
    ]

    chest = assemble(network, fits)
    chest.distance = MahalanobisDistance([np.random.default_rng(1).normal(size=(40, 16))] * 2)
    with torch.inference_mode():
        outputs = chest.eval()(films)

    assert torch.allclose(outputs["finding_logits"], torch.stack(expected, 1).float(), atol=1e-3)
    assert torch.allclose(outputs["finding_logits"], outputs["finding_maps"].mean((2, 3)) + chest.bias, atol=1e-3)
    assert outputs["finding_maps"].shape == (2, 2, 32, 32)
    assert outputs["structure_logits"].shape == (2, 15, 128, 128)


def test_both_passes_use_the_same_network() -> None:
    network, film = _network(), torch.rand(1, 1, 256, 256)

    first, second = two_passes(network, film)

    with torch.inference_mode():
        assert torch.allclose(first.views, network(film).views, atol=1e-6)
        alone = network(gray_outside(film, thorax_mask(first.planes)))
    assert torch.allclose(second.views, alone.views, atol=1e-6)
