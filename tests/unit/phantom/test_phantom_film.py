"""Films, their masks and their numbers."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from cxr_node.domain.film_geometry import View
from cxr_node.phantom.compare import ranges
from cxr_node.phantom.film import film, films
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.thorax import RANGES, Sex, sample
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support.films import ROOT

SIZE = 160


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def small(seed: int, view: View = View.PA, *pathology: Pathology, erect: bool | None = None) -> PhantomFilm:
    return film(seed=seed, view=view, rows=SIZE, columns=SIZE, pathology=pathology, erect=erect)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, again, other = small(3), small(3), small(4)

    assert first.p_values.tobytes() == again.p_values.tobytes()
    assert all(np.array_equal(first.masks[name], again.masks[name]) for name in first.masks)
    assert first.p_values.tobytes() != other.p_values.tobytes()


@pytest.mark.slow
def test_a_film_does_not_depend_on_those_it_is_made_with() -> None:
    alone = [small(seed) for seed in (5, 6, 7)]

    together = list(films([5, 6, 7], rows=SIZE, columns=SIZE, batch=3))

    assert [one.p_values.tobytes() for one in together] == [one.p_values.tobytes() for one in alone]


@pytest.mark.slow
def test_p_values_are_sixteen_bit_not_writable_and_use_the_range() -> None:
    healthy = small(8)

    assert healthy.p_values.dtype == np.uint16
    assert healthy.p_values.shape == (SIZE, SIZE)
    assert not healthy.p_values.flags.writeable
    assert healthy.p_values.min() < 12000
    assert healthy.p_values.max() > 45000


@pytest.mark.slow
@pytest.mark.parametrize("view", [View.PA, View.AP])
def test_lungs_are_darker_than_heart_and_do_not_overlap_it(view: View) -> None:
    healthy = small(9, view)
    lungs = healthy.masks["right_lung"] | healthy.masks["left_lung"]
    heart = healthy.masks["heart"]

    assert np.median(healthy.p_values[lungs]) < np.median(healthy.p_values[heart])
    assert not (lungs & heart).any()
    assert not (healthy.masks["right_lung"] & healthy.masks["left_lung"]).any()


@pytest.mark.slow
def test_the_right_lung_lies_on_the_left_of_a_frontal_film() -> None:
    healthy = small(10)

    assert np.nonzero(healthy.masks["right_lung"])[1].mean() < np.nonzero(healthy.masks["left_lung"])[1].mean()
    assert healthy.masks["left_lung"].sum() < 1.3 * healthy.masks["right_lung"].sum()


@pytest.mark.slow
def test_every_structure_is_seen_on_a_frontal_film() -> None:
    healthy = film(seed=11, rows=256, columns=256)

    empty = [name for name, mask in healthy.masks.items() if not mask.any()]

    assert not empty
    assert {
        "right_clavicle",
        "left_scapula",
        "spine",
        "posterior_ribs",
        "anterior_ribs",
        "trachea",
        "bronchi",
        "aorta",
        "left_hemidiaphragm",
        "right_atrium",
        "left_ventricle",
    } <= healthy.masks.keys()


@pytest.mark.slow
def test_the_true_ratio_is_the_heart_over_the_thorax_on_the_film() -> None:
    healthy = small(12)
    heart, thorax = healthy.truth.heart_line, healthy.truth.thorax_line
    assert heart is not None
    assert thorax is not None

    columns = np.flatnonzero(healthy.masks["heart"].any(0))
    lungs = np.flatnonzero((healthy.masks["right_lung"] | healthy.masks["left_lung"]).any(0))

    assert heart[1][0] - heart[0][0] == columns[-1] + 1 - columns[0]
    assert abs((thorax[1][0] - thorax[0][0]) - (lungs[-1] + 1 - lungs[0])) <= 3
    assert healthy.truth.cardiothoracic_ratio == pytest.approx(
        (heart[1][0] - heart[0][0]) / (thorax[1][0] - thorax[0][0])
    )


@pytest.mark.slow
def test_ap_magnifies_the_heart() -> None:
    larger = [
        (small(seed, View.AP, erect=True).truth.cardiothoracic_ratio or 0)
        - (small(seed, View.PA, erect=True).truth.cardiothoracic_ratio or 0)
        for seed in range(20, 25)
    ]

    assert np.mean(larger) > 0.01


@pytest.mark.slow
def test_a_lateral_film_has_no_ratio_and_both_lungs() -> None:
    healthy = small(13, View.LATERAL)

    assert healthy.truth.cardiothoracic_ratio is None
    assert healthy.masks["right_lung"].any()
    assert (healthy.masks["right_lung"] & healthy.masks["left_lung"]).any()


@pytest.mark.slow
def test_an_enlarged_heart_is_more_than_half_as_wide_as_the_thorax() -> None:
    enlarged = [small(seed, View.PA, Pathology(kind=Kind.CARDIOMEGALY)) for seed in range(30, 34)]

    assert all((one.truth.cardiothoracic_ratio or 0) > 0.5 for one in enlarged)
    assert all(one.truth.lesions[0].mask == "cardiomegaly_0" for one in enlarged)


def test_anatomy_stays_in_the_published_ranges() -> None:
    people = [sample(seed) for seed in range(300)]

    for name, (men, women) in RANGES.items():
        for sex, limits in ((Sex.MALE, men), (Sex.FEMALE, women)):
            values = [getattr(one, name) for one in people if one.sex is sex]
            if name == "aorta_width_mm":
                continue  # widened with age after it was drawn
            assert limits.low <= min(values) <= max(values) <= limits.high, name
            assert np.mean(values) == pytest.approx(limits.mean, abs=limits.deviation / 2), name


def test_the_aorta_widens_with_age() -> None:
    people = [sample(seed) for seed in range(400)]

    old = np.mean([one.aorta_width_mm for one in people if one.age > 65])
    young = np.mean([one.aorta_width_mm for one in people if one.age < 40])

    assert old > young + 1


@pytest.mark.slow
def test_what_stores_and_sends_films_imports_no_torch() -> None:
    modules = "cxr_node.phantom.dicom, cxr_node.phantom.film, cxr_node.phantom.folder, cxr_node.simulators.modality"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_page_on_phantoms_holds_the_ranges_and_every_mask() -> None:
    page = (ROOT / "docs" / "explanation" / "phantom.md").read_text(encoding="utf-8")

    assert ranges() in page, "write it anew: cxr-node phantom ranges"
    for name in small(14).masks:
        assert f"`{name}`" in page


@pytest.mark.slow
def test_attenuation_is_what_the_rays_met_before_noise_and_processing() -> None:
    healthy, ill = small(9), small(9, View.PA, Pathology(kind=Kind.CONSOLIDATION, severity=0.9))
    lungs = healthy.masks["right_lung"] | healthy.masks["left_lung"]
    filled = ill.masks[ill.truth.lesions[0].mask]

    assert healthy.attenuation.shape == healthy.p_values.shape
    assert not healthy.attenuation.flags.writeable
    assert healthy.attenuation.min() == 0.0
    assert healthy.attenuation[healthy.masks["heart"]].mean() > healthy.attenuation[lungs].mean() + 0.5
    assert (ill.attenuation - healthy.attenuation)[filled].mean() > 0.15
    assert np.abs(ill.attenuation - healthy.attenuation)[~lungs & ~ill.masks["heart"]].mean() < 0.02
