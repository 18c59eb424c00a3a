"""A batch of films: scenes drawn in numpy, projected in torch, and read back with their masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxr_node.domain.radiograph import WHITE, View
from cxr_node.phantom import deposit, detector
from cxr_node.phantom.airways import airway, vessels
from cxr_node.phantom.beam import Exposure, beam_of, expose
from cxr_node.phantom.film import Line, PhantomFilm, Truth, freeze
from cxr_node.phantom.pathology import Kind, Pathology
from cxr_node.phantom.paths import HEART, Paths, paths
from cxr_node.phantom.projection import Beam, rays_of
from cxr_node.phantom.skeleton import skeleton
from cxr_node.phantom.solids import Branches, Cloud, Part, Tube
from cxr_node.phantom.thorax import Anatomy, sample
from cxr_node.phantom.torso import SIDES, Torso, torso

LUNG_DENSITY = 0.26
"""Of soft tissue, at full inspiration (ICRU-44 inflated lung, 0.26 g/cm3)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One patient before one tube: everything a film is made from."""

    seed: int
    anatomy: Anatomy
    torso: Torso
    exposure: Exposure
    processing: detector.Processing
    tubes: list[Tube]
    clouds: list[Cloud]
    branches: list[Branches]
    pathology: tuple[Pathology, ...]


def scene(
    seed: int, view: View, pathology: Sequence[Pathology], *, rows: int, columns: int, erect: bool | None
) -> Scene:
    """Return what the film of `seed` shows."""
    generator = np.random.default_rng([seed, 2])
    portable = view is View.AP and generator.random() < 0.8
    standing = (not portable) if erect is None else erect
    kinds = {one.kind for one in pathology}
    anatomy = sample(seed, erect=standing, enlarged_heart=Kind.CARDIOMEGALY in kinds)
    organs = torso(anatomy)
    arms = {name: _hang(organs, name) for name in SIDES}
    tubes, clouds = skeleton(anatomy, organs.cage, arms)
    return Scene(
        seed=seed,
        anatomy=anatomy,
        torso=organs,
        exposure=expose(anatomy, organs, view, rows, columns, generator),
        processing=detector.develop(generator, portable=portable),
        tubes=tubes + airway(anatomy),
        clouds=clouds,
        branches=vessels(anatomy, organs, generator),
        pathology=tuple(pathology),
    )


def _hang(organs: Torso, name: str) -> np.ndarray:
    axis = np.linalg.inv(organs.organs[f"{name}_arm"].matrix)[:, 2]
    return -axis / np.linalg.norm(axis)


def render(
    seeds: Sequence[int],
    views: Sequence[View],
    pathologies: Sequence[Sequence[Pathology]],
    *,
    rows: int,
    columns: int,
    erect: bool | None,
    device: str,
) -> list[PhantomFilm]:
    """Return the films of `seeds`, made together on `device`."""
    scenes = [
        scene(seed, view, wrong, rows=rows, columns=columns, erect=erect)
        for seed, view, wrong in zip(seeds, views, pathologies, strict=True)
    ]
    with torch.no_grad():
        beam = beam_of([one.exposure for one in scenes], device)
        solids = _solids(scenes, beam, device)
        organs = paths(rays_of(beam), [one.torso for one in scenes])
        signals = detector.signal(_tissues(organs, solids), [one.processing for one in scenes])
        frontal = torch.tensor([view.is_frontal for view in views], device=device)[:, None, None]
        masks = _masks(organs, solids, frontal)
        lungs = masks["right_lung"] | masks["left_lung"]
        values = detector.present(signals, lungs, [one.processing for one in scenes])
    return [
        _film(one, values[k], {name: mask[k] for name, mask in masks.items()}, organs.silhouettes["cage"][k])
        for k, one in enumerate(scenes)
    ]


def _solids(scenes: Sequence[Scene], beam: Beam, device: str) -> Tensor:
    slots = int(Part.FINDINGS)
    step = scenes[0].exposure.pitch_mm
    clouds = [(k, cloud) for k, one in enumerate(scenes) for cloud in one.clouds]
    tubes = [(k, tube) for k, one in enumerate(scenes) for tube in one.tubes]
    branches = [(k, branch) for k, one in enumerate(scenes) for branch in one.branches]
    groups = [
        deposit.cloud_points(clouds, slots, device),
        *deposit.tube_points(tubes, slots, step, device),
        *deposit.branch_points(branches, slots, step, device),
    ]
    points, volume, slot, film = (torch.cat(parts) for parts in zip(*groups, strict=True))
    planes = deposit.place(points, volume, slot, film, beam, slots * len(scenes))
    return planes.reshape(len(scenes), slots, beam.rows, beam.columns)


def _tissues(organs: Paths, solids: Tensor) -> dict[str, Tensor]:
    air = 1.0 - LUNG_DENSITY
    aerated = (organs.lungs - solids[:, Part.LUNG_VESSELS]).clamp(min=0.0)
    windpipe = solids[:, Part.TRACHEA] + solids[:, Part.BRONCHI]
    bone = solids[:, : Part.OTHER_BONE + 1].sum(1)
    soft = organs.lean - air * aerated - windpipe - organs.gas - bone + 0.5 * organs.breast
    fat = (organs.body - organs.lean).clamp(min=0.0) + 0.5 * organs.breast
    return {"soft": soft.clamp(min=0.0), "fat": fat, "bone": bone, "metal": solids[:, Part.METAL]}


def _masks(organs: Paths, solids: Tensor, frontal: Tensor) -> dict[str, Tensor]:
    """Return a bool mask (films, rows, columns) for each structure.

    A lung is the visible field outside heart, mediastinum and great vessels and above the diaphragm;
    on a lateral film, where these lie one behind the other, all of it above its diaphragm.
    """
    seen = organs.silhouettes
    heart = torch.stack([seen[name] for name in HEART]).amax(0) > 0
    masks = {"heart": heart}
    center = (
        heart | (seen["mediastinum"] > 0) | (seen["knob"] > 0) | (seen["vena_cava"] > 0) | (seen["ascending_aorta"] > 0)
    )
    for name in SIDES:
        masks[f"{name}_lung"] = (seen[f"{name}_lung"] > 0) & ~(center & frontal) & ~(seen[f"{name}_dome"] > 0)
        masks[f"{name}_clavicle"] = solids[:, Part.RIGHT_CLAVICLE if name == "right" else Part.LEFT_CLAVICLE] > 0.1
        masks[f"{name}_scapula"] = solids[:, Part.RIGHT_SCAPULA if name == "right" else Part.LEFT_SCAPULA] > 0.1
        masks[f"{name}_hemidiaphragm"] = seen[f"{name}_dome"] > 0
    for name in ("right_atrium", "left_atrium", "right_ventricle", "left_ventricle"):
        masks[name] = seen[name] > 0
    masks["aorta"] = (seen["knob"] > 0) | (seen["descending_aorta"] > 0) | (seen["ascending_aorta"] > 0)
    masks["trachea"] = solids[:, Part.TRACHEA] > 1.0
    masks["bronchi"] = solids[:, Part.BRONCHI] > 1.0
    masks["spine"] = solids[:, Part.SPINE] > 0.5
    masks["posterior_ribs"] = solids[:, Part.POSTERIOR_RIBS] > 0.1
    masks["anterior_ribs"] = solids[:, Part.ANTERIOR_RIBS] > 0.1
    return masks


def _film(one: Scene, values: Tensor, masks: dict[str, Tensor], cage: Tensor) -> PhantomFilm:
    found = {name: mask.cpu().numpy() for name, mask in masks.items()}
    exposure = one.exposure
    heart_line, thorax_line, ratio = None, None, None
    if exposure.view.is_frontal:
        domes = found["right_hemidiaphragm"] | found["left_hemidiaphragm"]
        top = int(np.flatnonzero(domes.any(1))[0]) if domes.any() else exposure.rows - 1
        heart_line = _widest(found["heart"])
        lungs = (cage > 0).cpu().numpy()
        lungs[min(exposure.rows, top + exposure.rows // 16) :] = False
        thorax_line = _widest(lungs)
        ratio = (heart_line[1][0] - heart_line[0][0]) / (thorax_line[1][0] - thorax_line[0][0])
    middle = float(np.linalg.norm(exposure.source)) / exposure.distance_mm
    truth = Truth(
        seed=one.seed,
        view=exposure.view,
        anatomy=one.anatomy,
        imager_pixel_spacing_mm=exposure.pitch_mm,
        distance_source_to_detector_mm=exposure.distance_mm,
        magnification=1.0 / middle,
        cardiothoracic_ratio=ratio,
        heart_line=heart_line,
        thorax_line=thorax_line,
    )
    p_values = (values * WHITE).round().to(torch.int32).cpu().numpy().astype(np.uint16)
    return PhantomFilm(p_values=p_values, masks=freeze(found), truth=truth)


def _widest(mask: np.ndarray) -> Line:
    """Return the horizontal line over the full width of `mask`, in the row of its leftmost extent's widest chord."""
    columns = np.flatnonzero(mask.any(0))
    if len(columns) == 0:
        return (0.0, 0.0), (1.0, 0.0)
    row = float(np.flatnonzero(mask[:, columns[0]]).mean())
    return (float(columns[0]), row), (float(columns[-1] + 1), row)
