"""Renders a batch of films: scenes sampled in numpy, projected in torch, returned with their masks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from cxr_node.domain.film_geometry import View
from cxr_node.domain.radiograph import WHITE
from cxr_node.phantom import deposit, detector
from cxr_node.phantom.beam import beam_of
from cxr_node.phantom.layers import Effect
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.paths import Paths, paths
from cxr_node.phantom.projection import Beam
from cxr_node.phantom.scene import Scene, scene
from cxr_node.phantom.solids import Part
from cxr_node.phantom.texture import field
from cxr_node.phantom.thorax import Pose
from cxr_node.phantom.truth import lesions_of, outline, structures, truth
from cxr_node.phantom.truth_types import PhantomFilm, freeze

LUNG_DENSITY = 0.20
"""Of soft tissue, at full inspiration, between the modelled vessels (CT about -850 HU with the small ones)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solids:
    """Path lengths in mm, (films, rows, columns) unless stated otherwise."""

    planes: Tensor
    """(films, parts, rows, columns)."""
    filled: Tensor
    emptied: Tensor
    metal: Tensor
    fluid: Tensor
    """The part of `filled` that is pleural effusion."""
    masks: list[dict[int, Tensor]]
    """For each film, the mask of each masked layer."""


def render(
    seeds: Sequence[int],
    views: Sequence[View],
    pathologies: Sequence[Sequence[Pathology]],
    *,
    rows: int,
    columns: int,
    erect: bool | None,
    pose: Pose | None,
    device: str,
) -> list[PhantomFilm]:
    """Return the films of `seeds`, rendered together on `device`."""
    scenes = [
        scene(seed, view, wrong, rows=rows, columns=columns, erect=erect, pose=pose or Pose())
        for seed, view, wrong in zip(seeds, views, pathologies, strict=True)
    ]
    with torch.no_grad(), _one_thread():
        return _render(scenes, device)


def _render(scenes: Sequence[Scene], device: str) -> list[PhantomFilm]:
    processing = [one.processing for one in scenes]
    beam = beam_of([one.exposure for one in scenes], device)
    organs = paths(beam, [one.torso for one in scenes])
    solids = _solids(scenes, beam, organs)
    frontal = torch.tensor([one.exposure.view.is_frontal for one in scenes], device=device)[:, None, None]
    masks = structures(organs, solids.planes, solids.fluid, frontal)
    aperture = _aperture(scenes, beam, device)
    tissues = _tissues(scenes, beam, organs, solids)
    signals = detector.signal(tissues, aperture, processing)
    attenuation = detector.attenuation(tissues)
    lungs = masks["right_lung"] | masks["left_lung"]
    belly = masks["right_hemidiaphragm"] | masks["left_hemidiaphragm"] | masks["heart"]
    values = _add_marks(detector.to_p_values(signals, lungs, belly, processing), aperture, scenes)
    cage = organs.structures["cage"] > 0
    return [
        _film(
            one, (values[k], attenuation[k]), {name: mask[k] for name, mask in masks.items()}, solids.masks[k], cage[k]
        )
        for k, one in enumerate(scenes)
    ]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one CPU thread: a film's tensors are too small to share, and idle threads would take CPU time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _solids(scenes: Sequence[Scene], beam: Beam, organs: Paths) -> _Solids:
    planes, masks = [], []
    totals = {effect: torch.zeros_like(organs.lungs) for effect in Effect}
    fluid = torch.zeros_like(organs.lungs)
    for film, one in enumerate(scenes):
        deposited = _deposit(one, beam, film)
        planes.append(deposited[: Part.FINDINGS])
        visible = {}
        kinds = [finding.pathology.kind for finding in one.findings for _ in finding.layers] + [None] * len(one.scenery)
        for k, (layer, kind) in enumerate(zip(one.layers, kinds, strict=True)):
            path = deposited[Part.FINDINGS + k].clamp(min=0.0)
            if layer.blur_mm:
                path = detector.blur(path[None], layer.blur_mm / one.exposure.pitch_mm)[0]
            if layer.effect is not Effect.METAL:
                path = torch.minimum(path, organs.lungs[film])
            totals[layer.effect][film] += path
            if kind is Kind.EFFUSION:
                fluid[film] += path
            if layer.masked and kind is not None:
                whole = 0.7 * organs.lungs[film] if layer.effect is Effect.EMPTIES_LUNG else 0.0
                visible[k] = (path > layer.visible_mm) & (path > whole)
        masks.append(visible)
    return _Solids(
        planes=torch.stack(planes),
        filled=torch.minimum(totals[Effect.FILLS_LUNG], organs.lungs),
        emptied=torch.minimum(totals[Effect.EMPTIES_LUNG], organs.lungs),
        metal=totals[Effect.METAL],
        fluid=fluid,
        masks=masks,
    )


def _deposit(scene: Scene, beam: Beam, film: int) -> Tensor:
    """Return path lengths (parts and layers, rows, columns) for everything except ellipsoids and barrels."""
    camera, pitch = beam.camera(film), scene.exposure.pitch_mm
    step = 1.7 * max(pitch, 0.4)
    tubes, clouds = scene.layered_solids()
    canvas = deposit.PathAccumulator(
        pixel_mm2=pitch**2,
        slots=int(Part.FINDINGS) + len(scene.layers),
        rows=beam.rows,
        columns=beam.columns,
        device=camera.device,
    )
    canvas.add(deposit.cloud_points(scene.clouds + clouds, camera))
    for points in deposit.tube_points(scene.tubes + tubes, camera, step):
        canvas.add(points)
    for points in deposit.branch_points(scene.branches, camera, step):
        canvas.add(points)
    return canvas.lengths_mm()


def _tissues(scenes: Sequence[Scene], beam: Beam, organs: Paths, solids: _Solids) -> dict[str, Tensor]:
    """Return path lengths in four densities; air does not count."""
    planes = solids.planes
    lung = torch.stack([_density(one, beam, film) for film, one in enumerate(scenes)])
    aerated = (organs.lungs - planes[:, Part.LUNG_VESSELS] - solids.filled).clamp(min=0.0)
    grain = torch.stack([_grain(one, planes.device, 5, 0.014, (0.3, 0.35, 0.4, 0.5, 0.65, 0.8, 0.8)) for one in scenes])
    missing = (1.0 - lung) * aerated * (1.0 + grain) + lung * torch.minimum(solids.emptied, aerated)
    hollow = outline(planes[:, Part.TRACHEA : Part.GAS + 1]).sum(1)
    bone = outline(planes[:, : Part.OTHER_BONE + 1].sum(1, keepdim=True))[:, 0] + organs.spine
    flesh = torch.stack([_grain(one, planes.device, 6, 0.010, (0.8, 0.7, 0.6, 0.55, 0.5, 0.4)) for one in scenes])
    fat = (organs.body - organs.lean).clamp(min=0.0) + 0.65 * organs.breasts
    soft = (organs.lean - missing - hollow - bone).clamp(min=0.0) + 0.35 * organs.breasts
    return {"soft": soft * (1.0 + flesh), "fat": fat, "bone": bone, "metal": solids.metal}


def _density(scene: Scene, beam: Beam, film: int) -> Tensor:
    """Return the density of the lung between its vessels (rows, columns), 1 for soft tissue.

    Blood makes lungs denser towards the bases, more so when erect, and around the hila; breath thins them.
    """
    anatomy, grid = scene.anatomy, beam.grid()
    x, y, z = (grid.linear(beam.origin[film : film + 1, :, axis].float())[0] for axis in range(3))
    low = ((anatomy.apex_mm - z) / anatomy.lung_height_mm).clamp(0, 1.3)
    across = x.abs() - 36.0 if scene.exposure.view.is_frontal else y - 15.0
    near = torch.exp(-((across / 34.0) ** 2) - ((z + 34.0) / 52.0) ** 2)
    slope = (0.13 if anatomy.erect else 0.07) * (1 + 0.3 * anatomy.shape.lung_density_slope)
    return LUNG_DENSITY + 0.11 * (1 - anatomy.inspiration) + slope * (low - 0.35) + 0.07 * near


def _grain(scene: Scene, device: torch.device, seed: int, size: float, weights: Sequence[float]) -> Tensor:
    return size * field(scene.processing.seed + seed, scene.exposure.rows, scene.exposure.columns, weights, device)


def _aperture(scenes: Sequence[Scene], beam: Beam, device: str) -> Tensor:
    """Return 1 inside each collimated field and 0 outside."""
    whole = torch.ones(beam.rows, beam.columns)
    fields = [whole if one.marks.field is None else torch.from_numpy(one.marks.field) for one in scenes]
    return torch.stack(fields).to(device)


def _add_marks(values: Tensor, aperture: Tensor, scenes: Sequence[Scene]) -> Tensor:
    """Return `values` with lead letters, and black outside a shutter."""
    films = []
    for film, one in enumerate(scenes):
        image = values[film] * aperture[film] if one.marks.shutter else values[film]
        lead = torch.from_numpy(one.marks.lead).to(values.device)
        films.append(torch.maximum(image, lead * one.marks.white))
    return torch.stack(films)


def _film(
    scene: Scene, image: tuple[Tensor, Tensor], masks: dict[str, Tensor], layers: dict[int, Tensor], cage: Tensor
) -> PhantomFilm:
    values, met = image
    arrays = {name: mask.cpu().numpy() for name, mask in masks.items()}
    lesions = lesions_of(scene, {k: mask.cpu().numpy() for k, mask in layers.items()}, arrays)
    film_truth = truth(scene, arrays, cage.cpu().numpy(), lesions)
    p_values = (values * WHITE).round().to(torch.int32).cpu().numpy().astype("uint16")
    p_values.flags.writeable = False
    attenuation = met.cpu().numpy()
    attenuation.flags.writeable = False
    return PhantomFilm(p_values=p_values, attenuation=attenuation, masks=freeze(arrays), truth=film_truth)
