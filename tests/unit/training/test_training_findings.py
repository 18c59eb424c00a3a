"""The thorax by rank, features of cells, heads of findings, planted opacities, and the exported graph."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.infer import archive
from cxr_node.infer.export import export_network
from training import findings, judge, lesions, metrics, readings
from training.anatomy import PLANES
from training.anatomynet import AnatomyNet, Sizes
from training.cells import CHANNELS, CellFeatures, OpacityHead, RegionHeads, Regions, on_film, soft_maximum
from training.export import FRAME, Chest, MahalanobisDistance
from training.features import Encoder, Features
from training.mobilenet import MobileNetV2
from training.readings import ReadFilm
from training.thorax import CELLS, MAP, SIDE, ThoraxCrop, ranks


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def _planes() -> torch.Tensor:
    """Return logits of two lungs, which lie in rows 20 to 84 and columns 16 to 112 of 128."""
    planes = torch.full((1, len(PLANES), 128, 128), -10.0)
    planes[:, PLANES.index("right_lung"), 20:84, 16:56] = 10.0
    planes[:, PLANES.index("left_lung"), 24:80, 72:112] = 10.0
    return planes


def _film() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 512), torch.linspace(0, 1, 512), indexing="ij")
    return (0.1 + 0.5 * rows + 0.3 * (6 * columns).sin().square())[None, None]


def test_ranks_are_spread_evenly() -> None:
    rank = ranks(torch.rand(2, SIDE, SIDE) ** 3)

    assert rank.mean().item() == pytest.approx(0.5, abs=0.01)
    assert rank.std().item() == pytest.approx(12**-0.5, abs=0.01)


@pytest.mark.parametrize("gamma", [0.5, 0.7, 1.4, 2.0])
def test_gamma_changes_no_rank(gamma: float) -> None:
    picture = _film()[0]

    assert (ranks(picture**gamma) - ranks(picture)).abs().max().item() < 0.01


def test_window_and_offset_change_no_rank() -> None:
    picture = _film()[0]

    assert torch.allclose(ranks(0.75 * picture + 0.25), ranks(picture), atol=1e-3)


def test_thorax_is_the_box_of_the_lungs_with_margins() -> None:
    thorax = ThoraxCrop()(_film(), _planes())

    rows, columns = (np.flatnonzero(weights[0].sum(1)) for weights in (thorax.rows, thorax.columns))
    # 6 % above and beside, 10 % below, of lungs 64 high from row 20 and 96 wide from column 16 of 128.
    np.testing.assert_allclose((rows[0] * 2, rows[-1] * 2 + 2), (20 - 0.06 * 64, 84 + 0.10 * 64), atol=2)
    np.testing.assert_allclose((columns[0] * 2, columns[-1] * 2 + 2), (16 - 0.06 * 96, 112 + 0.06 * 96), atol=2)


def test_film_without_lungs_is_taken_whole() -> None:
    thorax = ThoraxCrop()(_film(), torch.full((1, len(PLANES), 128, 128), -10.0))

    assert torch.isfinite(thorax.picture).all()
    assert thorax.rows.sum(2).min().item() == pytest.approx(1.0, abs=1e-4)


def test_maps_return_to_where_they_were_read() -> None:
    thorax = ThoraxCrop()(_film(), _planes())
    right = torch.zeros(1, 1, CELLS, CELLS)
    right[..., : CELLS // 2] = 1.0

    placed = on_film(right, thorax)[0, 0]

    assert placed.shape == (MAP, MAP)
    assert placed[20:40, 12:26].min().item() == pytest.approx(1.0, abs=1e-4)
    assert placed[:, 40:].max().item() == 0.0


def test_regions_sum_to_one() -> None:
    weights = Regions()(torch.rand(2, CELLS, CELLS))

    assert torch.allclose(weights.sum((2, 3)), torch.ones(2, 3), atol=1e-5)


def test_soft_maximum_lies_between_mean_and_maximum() -> None:
    logits, lungs = torch.randn(3, CELLS, CELLS), torch.ones(3, CELLS, CELLS)

    value = soft_maximum(logits, lungs)

    assert (value > logits.mean((1, 2))).all()
    assert (value < logits.amax((1, 2))).all()


def test_logits_outside_the_lungs_do_not_count() -> None:
    logits, lungs = torch.zeros(1, CELLS, CELLS), torch.zeros(1, CELLS, CELLS)
    lungs[:, 2:5] = 1.0
    logits[:, 7:] = 5.0

    assert soft_maximum(logits, lungs).item() == pytest.approx(0.0, abs=0.05)


def _chest() -> Chest:
    anatomy = AnatomyNet(Sizes(planes=len(PLANES), channels=(8, 8, 8, 8))).eval()
    return Chest(
        Encoder(anatomy, CellFeatures(MobileNetV2())), OpacityHead(), RegionHeads(2, anatomy_channels=24)
    ).eval()


def test_contributions_of_a_region_head_sum_to_its_logit() -> None:
    heads = RegionHeads(2, anatomy_channels=8)
    thorax = ThoraxCrop()(_film(), _planes())
    cells, anatomy = torch.rand(1, CHANNELS, CELLS, CELLS), torch.rand(1, 8, 32, 32)

    logits, contributions = heads(cells, anatomy, thorax)

    assert contributions.shape == (1, 2, MAP, MAP)
    below = heads.anatomy(anatomy)[:, :, 16:].mean((2, 3))
    sums = heads.sums(cells).view(1, 2, 3, CELLS, CELLS) * Regions()(thorax.lungs)[:, None]
    assert torch.allclose(logits, sums.sum((2, 3, 4)) + below + heads.bias, atol=1e-5)


@pytest.mark.long
def test_exported_graph_has_only_listed_operators_and_equal_outputs() -> None:
    chest = _chest()
    content = export_network(chest, FRAME)
    film = _film()

    opened = archive.open_network(content)
    with torch.inference_mode():
        expected, output = chest(film), opened(film)

    assert output.keys() == {"finding_logits", "finding_maps", "structure_logits", "view_logits", "distance"}
    for name, value in expected.items():
        assert torch.allclose(output[name], value, atol=1e-5), name


def test_opacity_head_and_fit_are_the_same_function() -> None:
    generator = np.random.default_rng(1)
    fit = findings.OpacityFit(own=generator.normal(size=CHANNELS), other=generator.normal(size=CHANNELS), bias=0.3)
    cells = generator.normal(size=(2, CHANNELS, CELLS, CELLS)).astype(np.float32)
    head = OpacityHead()
    with torch.no_grad():
        head.own.weight[0, :, 0, 0] = torch.from_numpy(fit.own)
        head.bias.fill_(fit.bias)
        head.other.weight[0, :, 0, 0] = torch.from_numpy(fit.other)
        output = head(torch.from_numpy(cells)).numpy()

    np.testing.assert_allclose(output, fit.cell_logits(cells), rtol=1e-3, atol=1e-2)


@pytest.mark.slow
def test_fit_finds_the_feature_that_opaque_cells_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "STRENGTH", 0.1)
    data = _training_set()

    fit = findings.fit_opacity(data, np.ones(len(data.films), np.bool_), seed=0)
    logits = fit.cell_logits(data.features.cells.astype(np.float32))

    opaque = data.features.opacity > 0
    assert logits[opaque].mean() > logits[~opaque].mean() + 1


def test_patient_of_the_judged_film_is_not_in_the_fit() -> None:
    films = _films(40)

    assert len({film.fold for film in films if film.patient == films[0].patient}) == 1
    assert len({film.fold for film in films}) > 5


def test_planted_opacity_lies_in_the_lungs_and_is_as_large_as_asked() -> None:
    lungs = np.zeros((512, 512), np.bool_)
    lungs[100:400, 60:220] = True
    film = np.full((512, 512), 0.4, np.float32)
    film[:10], film[10:20] = 0.0, 1.0

    planted = lesions.plant(
        film, lungs, pixel_mm=0.7, generator=np.random.default_rng(0), diameter_mm=30.0, contrast=0.2
    )

    assert planted is not None
    changed = planted.film != film
    assert changed[lungs].sum() > 0.8 * changed.sum()
    assert np.sqrt(changed.sum() * 4 / np.pi) * 0.7 == pytest.approx(30.0 * 1.15, rel=0.15)
    assert (planted.film - film).max() == pytest.approx(0.2, abs=0.02)


def test_lungs_too_small_for_an_opacity_get_none() -> None:
    lungs = np.zeros((512, 512), np.bool_)
    lungs[100:104, 60:64] = True

    assert lesions.plant(np.zeros((512, 512)), lungs, pixel_mm=0.7, generator=np.random.default_rng(0)) is None


def test_finding_is_offered_only_if_good_and_not_predicted_by_statistics() -> None:
    def table(low: float, positive: int, separation: float) -> dict[str, object]:
        row = {"auc": {"value": 0.8, "low": low, "high": 0.9}, "positive": positive}
        return {"rows": [row], "statistics": {"mean": separation}}

    assert judge.is_offered(table(0.71, 30, 0.55))
    assert not judge.is_offered(table(0.69, 30, 0.55))
    assert not judge.is_offered(table(0.71, 19, 0.55))
    assert not judge.is_offered(table(0.71, 30, 0.61))


def test_table_of_readings_keeps_what_each_set_is_good_for(tmp_path: Path) -> None:
    from PIL import Image

    columns = "set,file,labels,view_position,patient,original_columns,original_pixel_spacing_mm,rsna,"
    lines = [
        columns + "rsna_boxes_x_y_w_h_of_1024,chexnet_Effusion",
        "fair,a.png,No Finding,PA,1,2048,0.2,,,",
        "chosen,b.png,No Finding,PA,2,2048,0.2,,,",
        "chosen,c.png,Effusion,AP,3,2048,0.2,opacity,512 256 128 64;0 0 1024 1024,0.25",
        "chosen,a.png,No Finding,PA,1,2048,0.2,,,",
    ]
    for name in ("fair/a", "chosen/a", "chosen/b", "chosen/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (512, 512)).save(tmp_path / f"{name}.png")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))

    first, second = readings.read_table(table, tmp_path, chosen="fair")

    assert (first.path.parent.name, first.is_fair, first.has_no_finding) == ("fair", True, True)
    assert (second.opacity, second.soft, second.pixel_mm) == (True, {"Effusion": 0.25}, 0.8)
    assert second.boxes[0] == readings.Box(left=0.5, top=0.25, width=0.125, height=0.0625)


def test_operating_point_follows_the_view_in_part() -> None:
    films = [replace(film, view="AP" if number % 2 else "PA", opacity=None) for number, film in enumerate(_films(40))]
    logits = np.array([float(number % 2) for number in range(40)])

    assert judge.view_shift(films, logits) == pytest.approx(judge.VIEW_SHARE)


@pytest.mark.slow
def test_distance_of_a_typical_film_is_about_one() -> None:
    generator = np.random.default_rng(0)
    sets = [generator.normal(size=(400, 256)), generator.normal(2, 1, size=(400, 256))]

    distance = MahalanobisDistance().fit(sets)(torch.from_numpy(generator.normal(size=(50, 256))).float())

    assert distance.mean().item() == pytest.approx(1.0, abs=0.2)


def _films(count: int) -> tuple[ReadFilm, ...]:
    return tuple(
        ReadFilm(
            path=Path(f"{number}.png"),
            patient=str(number // 2),
            view="PA",
            labels=frozenset({"No Finding"}),
            opacity=number % 2 == 0,
            is_read_normal=False,
            boxes=(),
            soft={},
            is_fair=True,
            pixel_mm=0.7,
        )
        for number in range(count)
    )


def _training_set() -> findings.TrainingSet:
    """Return films whose opaque cells differ in one feature."""
    generator = np.random.default_rng(0)
    films = _films(12)
    opacity = np.zeros((12, CELLS, CELLS), np.float32)
    opacity[::2, 2:4, 2:4] = 1.0
    cells = generator.normal(size=(12, CHANNELS, CELLS, CELLS)).astype(np.float16)
    cells[:, 5] += np.float16(4) * opacity.astype(np.float16)
    lungs, anatomy = np.ones_like(opacity), np.zeros((12, 160), np.float32)
    own = Features(cells=cells, lungs=lungs, opacity=opacity, anatomy=anatomy)
    none = Features(cells=cells[1::2], lungs=lungs[1::2], opacity=opacity[1::2], anatomy=anatomy[1::2])
    return findings.TrainingSet(films=films, features=own, planted=none, planted_of=np.arange(1, 12, 2))


def test_area_under_the_curve_of_perfect_scores_is_one() -> None:
    assert metrics.auc(np.array([False, True]), np.array([0.1, 0.9])) == 1.0
