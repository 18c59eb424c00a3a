"""Errors of the measurements on phantoms on which no threshold was set.

    python -m benchmarks.measure_phantoms --films 300 [--bundle NAME_OR_FOLDER]

Without --bundle the structures are the true masks at 256 pixels, outlined: that evaluates the measurements and not a
network's outlines. With it the bundle outlines the film; the truth still comes from the true masks. Each figure has a
95 % interval by resampling films.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.measure_films import with_overlay
from cxr_node.domain.borders import Border, Density
from cxr_node.domain.concepts import OBSCURED
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Laterality, Prediction, Structure
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.measure import borders, densities, proportions
from cxr_node.measure.film import FilmMeasurements, measure_film
from cxr_node.measure.grid import build_grid, reduce_for_measurement
from cxr_node.measure.interfaces import Interface, find_interfaces
from cxr_node.measure.preconditions import both_lungs
from cxr_node.phantom.film import film
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.pathology import Zone as Place
from cxr_node.phantom.truth_types import PhantomFilm
from tests.support.phantom_outlines import radiograph, structures
from tests.unit.report.studies import MODEL, square

Float64 = npt.NDArray[np.float64]

FIRST = 5_000_000
"""First seed: no threshold was set on a film from here on."""
TOUCHES, FREE = 0.5, 0.1
"""A consolidation touches a border if it removes at least half of the step in attenuation across it. A border is clear
if a tenth or less is removed. Those in between are counted separately."""


OWN: Mapping[View, Mapping[Border, float]] = {
    View.PA: {
        Border.RIGHT_HEART_BORDER: 0.369,
        Border.LEFT_HEART_BORDER: 0.361,
        Border.RIGHT_HEMIDIAPHRAGM: 0.455,
        Border.LEFT_HEMIDIAPHRAGM: 0.489,
        Border.AORTIC_KNOB: 0.858,
    },
    View.AP: {
        Border.RIGHT_HEART_BORDER: 0.286,
        Border.LEFT_HEART_BORDER: 0.365,
        Border.RIGHT_HEMIDIAPHRAGM: 0.520,
        Border.LEFT_HEMIDIAPHRAGM: 0.481,
        Border.AORTIC_KNOB: 0.798,
    },
}
"""Lowest clarity of phantoms: the fifth percentile of the clear borders of 418 (seeds from 4,000,000 and 4,100,000) by
the outlines of a network. Borders of phantoms are clearer than those of films, whose limits the node uses."""


@dataclass(slots=True)
class Film:
    """Errors on one film by name, and the results of its borders."""

    errors: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    borders: list[tuple[str, float, bool, bool]] = field(default_factory=list)
    """Border, share of its step that is removed, obscured by the films' limits, obscured by the phantoms' limits."""


def order(seed: int) -> tuple[View, tuple[Pathology, ...]]:
    """Return view and pathology of a seed's phantom: a third normal, a third consolidation, a third any kind."""
    view = View.AP if seed % 2 else View.PA
    kind = (seed // 2) % 3
    if kind == 0:
        return view, ()
    if kind == 1:
        return view, (Pathology(kind=Kind.CONSOLIDATION),)
    return view, (Pathology(kind=list(Kind)[int(np.random.default_rng(seed).integers(len(Kind)))]),)


@cache
def _reader(name: str) -> Reader:
    return Reader(bundle.load(bundle_registry.find(name)), device="cpu")


def _outlined(phantom: PhantomFilm, name: str | None) -> tuple[Structure, ...]:
    """Return the outlines of a bundle on a phantom, or its true structures."""
    if name is None:
        return structures(phantom)
    (prediction,) = _reader(name).read([radiograph(phantom)])
    return prediction.structures


def evaluate(seed: int, name: str | None = None) -> Film:
    """Measure the phantom of a seed on the outlines of the bundle `name`, or the true ones, and compare."""
    import torch

    torch.set_num_threads(1)
    view, pathologies = order(seed)
    phantom = film(seed=seed, view=view, pathology=pathologies)
    measured = measure_film(radiograph(phantom), _outlined(phantom, name))
    result = Film()
    _proportions(phantom, measured, result)
    _shares(phantom, measured, result)
    _borders(phantom, measured, result, pathologies)
    return result


def _proportions(phantom: PhantomFilm, measured: FilmMeasurements, result: Film) -> None:
    values = {value.key: value for value in measured.measurements}
    if "CTR" in values and phantom.truth.cardiothoracic_ratio is not None:
        result.errors["cardiothoracic ratio"].append(values["CTR"].value - phantom.truth.cardiothoracic_ratio)
    if "tracheal_deviation" in values:
        trachea, spine = phantom.masks["trachea"], phantom.masks["spine"]
        true = proportions.tracheal_deviation(trachea, spine)
        pitch = phantom.truth.imager_pixel_spacing_mm
        result.errors["tracheal deviation, mm"].append(values["tracheal_deviation"].value - true[0] * pitch)
        position = values["tracheal_deviation"].line[-1][0] - true[1][-1][0]
        result.errors["tracheal position, mm"].append(position * pitch)


def _shares(phantom: PhantomFilm, measured: FilmMeasurements, result: Film) -> None:
    """Compare with the shares of true attenuation: classes are separated half way between the true anchors."""
    values = {value.key: value.value for value in measured.measurements}
    sides = {Laterality.RIGHT: "right_lung", Laterality.LEFT: "left_lung"}
    both = phantom.masks["right_lung"] | phantom.masks["left_lung"]
    heart, spine = phantom.masks["heart"], phantom.masks["spine"]
    attenuation = phantom.attenuation
    lung, soft = float(np.quantile(attenuation[both], 0.25)), float(np.median(attenuation[heart & ~spine]))
    bone = float(np.median(attenuation[heart & spine])) if (heart & spine).any() else 1.2 * soft
    true = np.digitize(attenuation, [lung / 2, (lung + soft) / 2, (soft + bone) / 2]).astype(np.uint8)
    for lesion in phantom.truth.lesions:
        if lesion.pathology.kind is Kind.PACEMAKER:
            true[phantom.masks[lesion.mask]] = densities.ORDER.index(Density.METAL)
    for side, name in sides.items():
        if not phantom.masks[name].any():
            continue
        for zone, mask in densities.zones(phantom.masks[name]).items():
            shares = densities.shares(true, mask)
            for density in Density:
                key = f"share_{density}/{side}_{zone}"
                if key in values:
                    result.errors[f"share {density}, points"].append(values[key] - shares[density])
                    result.errors["all shares, points"].append(values[key] - shares[density])


def _borders(
    phantom: PhantomFilm, measured: FilmMeasurements, result: Film, pathologies: tuple[Pathology, ...]
) -> None:
    """Compare with the remaining step in attenuation of each border, relative to the twin without pathology."""
    if any(one.kind is not Kind.CONSOLIDATION for one in pathologies):
        return
    observations = {observation.key: observation for observation in measured.observations}
    values = {value.key: value.value for value in measured.measurements}
    grid = build_grid(reduce_for_measurement(radiograph(phantom)), structures(phantom))
    width = proportions.width(both_lungs(grid))[0]
    twin = film(seed=phantom.truth.seed, view=phantom.truth.view) if pathologies else phantom
    for name, line in find_interfaces(grid.masks, width).items():
        observation = observations.get(f"border/{name}")
        if observation is None:
            continue
        left, whole = (_step(attenuation, line) for attenuation in (phantom.attenuation, twin.attenuation))
        own = values[f"clarity/{name}"] < OWN[phantom.truth.view][name]
        result.borders.append((str(name), 1 - left / max(whole, 1e-3), observation.code == OBSCURED, own))


def _step(attenuation: npt.NDArray[np.float32], line: Interface) -> float:
    dense, lung = borders.sides(attenuation, line)
    return float((dense - lung).sum())


def interval(values: list[list[float]], figure: Callable[[Float64], float]) -> tuple[float, float, float]:
    """Return a figure of the values of all films, and its 95 % interval by resampling films a thousand times."""
    generator = np.random.default_rng(1)
    groups = [np.asarray(of_film) for of_film in values if of_film]
    if not groups:
        return float("nan"), float("nan"), float("nan")
    resampled = [
        figure(np.concatenate([groups[k] for k in generator.integers(len(groups), size=len(groups))]))
        for _ in range(1000)
    ]
    low, high = np.percentile(resampled, (2.5, 97.5))
    return figure(np.concatenate(groups)), float(low), float(high)


def lines(films: list[Film]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| figure | value | 95 % interval | n |"
    yield "|---|---|---|---|"
    names = sorted({name for one_film in films for name in one_film.errors})
    for name in names:
        errors = [one_film.errors.get(name, []) for one_film in films]
        count = sum(map(len, errors))
        for figure, way in (("mean absolute error", _mean_absolute), ("95th percentile of errors", _large)):
            value, low, high = interval(errors, way)
            yield f"| {name}: {figure} | {value:.4g} | {low:.4g} to {high:.4g} | {count} |"
    for name in [*[border for border in Border if border in borders.LOWEST_CLARITY[View.PA]], "every border"]:
        yield from _border_lines(str(name), films)


def _mean_absolute(errors: Float64) -> float:
    return float(np.abs(errors).mean())


def _large(errors: Float64) -> float:
    return float(np.percentile(np.abs(errors), 95))


def _border_lines(name: str, films: list[Film]) -> Iterator[str]:
    counted = frozenset(map(str, Border)) if name == "every border" else {name}
    groups: tuple[tuple[str, Callable[[float], bool]], ...] = (
        ("touched (half of its step or more), called obscured", lambda lost: lost >= TOUCHES),
        ("touched (a third of its step or more), called obscured", lambda lost: lost >= 1 / 3),
        ("partly touched (a tenth to half), called obscured", lambda lost: FREE < lost < TOUCHES),
        ("clear, called obscured", lambda lost: lost <= FREE),
    )
    for group, holds in groups:
        for place, limits in enumerate(("films' limits", "phantoms' own limits")):
            calls = [
                [
                    float(called[place])
                    for border, lost, *called in one_film.borders
                    if border in counted and holds(lost)
                ]
                for one_film in films
            ]
            value, low, high = interval(calls, lambda shares: float(shares.mean()))
            yield f"| {name} {group}, {limits} | {value:.3f} | {low:.3f} to {high:.3f} | {sum(map(len, calls))} |"


def sheet(path: Path) -> None:
    """Write three phantoms with overlays of all measurements: a filled middle lobe, a pacemaker, an effusion."""
    orders = (
        (21, View.PA, Pathology(kind=Kind.CONSOLIDATION, side=Laterality.RIGHT, zone=Place.MIDDLE, severity=0.95)),
        (4_200_018, View.PA, Pathology(kind=Kind.PACEMAKER, side=Laterality.LEFT)),
        (33, View.AP, Pathology(kind=Kind.EFFUSION, severity=0.5)),
    )
    page = Image.new("RGB", (3 * 512, 512))
    for number, (seed, view, pathology) in enumerate(orders):
        phantom = film(seed=seed, view=view, pathology=[pathology])
        outlined, picture = structures(phantom), radiograph(phantom)
        prediction = Prediction(model=MODEL, findings=(), analysed_area=square(0, 0, 512), structures=outlined)
        page.paste(with_overlay(picture, prediction, measure_film(picture, outlined)), (number * 512, 0))
    page.save(path)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--first", type=int, default=FIRST, help="first seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="write a sheet of three phantoms instead")
    parser.add_argument("--bundle", help="measure on its outlines instead of the true ones")
    arguments = parser.parse_args()
    if arguments.sheet is not None:
        sheet(arguments.sheet)
        return
    seeds = range(arguments.first, arguments.first + arguments.films)
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        films = list(pool.map(partial(evaluate, name=arguments.bundle), seeds))
    outlines = "the true ones" if arguments.bundle is None else f"those of {arguments.bundle}"
    print(f"{len(films)} films, seeds from {arguments.first}; outlines: {outlines}")
    for line in lines(films):
        print(line)


if __name__ == "__main__":
    main()
