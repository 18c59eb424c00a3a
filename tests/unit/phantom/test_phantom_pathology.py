"""Pathology: where it is said to be, the film differs; where it is not, it does not."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality
from cxr_node.phantom.film import film
from cxr_node.phantom.pathology import Ball, Kind, Pathology, Zone
from cxr_node.phantom.truth_types import PhantomFilm

SIZE = 192
PLACED = [kind for kind in Kind if kind is not Kind.CARDIOMEGALY]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def phantom(seed: int, *pathology: Pathology, erect: bool | None = None) -> PhantomFilm:
    return film(seed=seed, rows=SIZE, columns=SIZE, pathology=pathology, erect=erect)


def change(seed: int, pathology: Pathology) -> tuple[npt.NDArray[np.float64], PhantomFilm]:
    """The film with a pathology less the film without, in P-values from 0 to 1."""
    ill = phantom(seed, pathology)
    difference = (ill.p_values.astype(np.float64) - phantom(seed).p_values) / 65535
    return difference - np.median(difference[: SIZE // 8]), ill


@pytest.mark.slow
@pytest.mark.parametrize("kind", PLACED)
def test_a_pathology_changes_the_film_inside_its_mask(kind: Kind) -> None:
    difference, ill = change(41, Pathology(kind=kind, side=Laterality.RIGHT, zone=Zone.MIDDLE, severity=0.8))

    (lesion,) = ill.truth.lesions
    inside = ill.masks[lesion.mask]
    left, top, right, bottom = lesion.box
    assert inside[int(top) : int(bottom), int(left) : int(right)].sum() == inside.sum() > 0
    sign = -1 if kind is Kind.PNEUMOTHORAX else 1
    assert sign * difference[inside].mean() > sign * difference[~inside].mean()
    assert np.abs(difference[inside]).mean() > 0.008


@pytest.mark.slow
def test_a_ball_lies_where_it_is_placed_and_is_as_dense_as_stated() -> None:
    def change_of(**other: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        ball = replace(Ball(across=0.5, down=0.5, backward=0.5, radius_mm=25.0, density=0.8), **other)
        difference, ill = change(42, Pathology(kind=Kind.CONSOLIDATION, side=Laterality.RIGHT, ball=ball))
        return difference, ill.masks[ill.truth.lesions[0].mask]

    def middle(mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
        rows, columns = np.nonzero(mask)
        return float(rows.mean()), float(columns.mean())

    difference, mask = change_of()
    (_, high), (_, outer), (faint, thin) = change_of(down=0.1), change_of(across=0.8), change_of(density=0.3)

    assert mask[:, : SIZE // 2].sum() == mask.sum() > 0
    assert middle(high)[0] < middle(mask)[0] - SIZE / 20
    assert middle(outer)[1] < middle(mask)[1] - SIZE / 40
    assert change_of(radius_mm=12.0)[1].sum() < 0.5 * mask.sum()
    assert difference[mask].mean() > faint[thin].mean() > 0


@pytest.mark.slow
def test_right_and_left_are_the_patients() -> None:
    for side, half in ((Laterality.RIGHT, slice(0, SIZE // 2)), (Laterality.LEFT, slice(SIZE // 2, SIZE))):
        ill = phantom(42, Pathology(kind=Kind.EFFUSION, side=side, severity=0.5))
        mask = ill.masks[ill.truth.lesions[0].mask]
        assert mask[:, half].sum() > 0.8 * mask.sum()


@pytest.mark.slow
def test_only_middle_lobe_consolidation_erases_the_right_heart_border() -> None:
    def border(zone: Zone | None) -> float:
        steps = []
        for seed in range(50, 54):
            wrong = (
                []
                if zone is None
                else [Pathology(kind=Kind.CONSOLIDATION, side=Laterality.RIGHT, zone=zone, severity=0.95)]
            )
            ill = phantom(seed, *wrong)
            heart = ill.masks["right_atrium"]
            rows = np.flatnonzero(heart.any(1))
            for row in rows[len(rows) // 3 : 2 * len(rows) // 3]:
                edge = int(np.flatnonzero(heart[row])[0])
                values = ill.p_values[row].astype(np.float64) / 65535
                steps.append(values[edge + 3 : edge + 7].mean() - values[edge - 7 : edge - 3].mean())
        return float(np.mean(steps))

    clear, middle, lower = border(None), border(Zone.MIDDLE), border(Zone.LOWER)

    assert middle < 0.75 * clear
    assert lower > middle + 0.1 * clear


@pytest.mark.slow
def test_an_effusion_takes_its_part_from_the_lung() -> None:
    wet = phantom(43, Pathology(kind=Kind.EFFUSION, side=Laterality.LEFT, severity=0.7), erect=True)
    dry = phantom(43, erect=True)

    assert wet.masks["left_lung"].sum() < 0.8 * dry.masks["left_lung"].sum()
    assert wet.masks["right_lung"].sum() == dry.masks["right_lung"].sum()


@pytest.mark.slow
def test_severity_makes_it_larger() -> None:
    for kind in (Kind.CONSOLIDATION, Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.NODULE, Kind.MASS):
        mild, severe = (
            phantom(44, Pathology(kind=kind, side=Laterality.RIGHT, zone=Zone.LOWER, severity=severity))
            for severity in (0.2, 0.9)
        )
        assert severe.masks[severe.truth.lesions[0].mask].sum() > mild.masks[mild.truth.lesions[0].mask].sum()


@pytest.mark.slow
def test_what_is_left_open_is_drawn_by_the_seed() -> None:
    first, again = (phantom(45, Pathology(kind=Kind.NODULE)).truth.lesions[0] for _ in range(2))

    assert first == again
    assert first.pathology.side in (Laterality.RIGHT, Laterality.LEFT)
    assert first.pathology.zone is not None
    assert first.pathology.severity is not None


@pytest.mark.slow
def test_several_pathologies_are_kept_apart() -> None:
    ill = phantom(
        46, Pathology(kind=Kind.PACEMAKER, side=Laterality.LEFT), Pathology(kind=Kind.EFFUSION, side=Laterality.RIGHT)
    )

    assert [lesion.mask for lesion in ill.truth.lesions] == ["pacemaker_0", "effusion_1"]
    assert not np.array_equal(ill.masks["pacemaker_0"], ill.masks["effusion_1"])


@pytest.mark.slow
def test_a_lateral_film_shows_pathology_too() -> None:
    ill = film(seed=47, view=View.LATERAL, rows=SIZE, columns=SIZE, pathology=[Pathology(kind=Kind.MASS, severity=0.8)])

    assert ill.truth.lesions[0].mask == "mass_0"
