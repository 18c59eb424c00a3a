"""Detector: from path lengths to P-values by spectrum, scatter, noise, blur and gray scale. All in torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional
from torch import Tensor

SPECTRUM = ((40.0, 0.24), (60.0, 0.46), (80.0, 0.30))
"""keV and share of the detected signal: about 110 kVp behind 3 mm of aluminium and a grid."""
ATTENUATION_PER_MM = {
    "soft": (0.02849, 0.02171, 0.01932),
    "fat": (0.02276, 0.01875, 0.01710),
    "bone": (0.12778, 0.06044, 0.04280),
    "metal": (0.9, 0.34, 0.18),
}
"""Linear attenuation at those energies: ICRU-44 soft tissue (1.06 g/cm3), adipose tissue (0.95) and cortical bone
(1.92), NIST XCOM mass coefficients; metal is titanium. Air does not attenuate."""


_KNEE, _FADE = 0.22, 0.16
"""Widths of the curve's bend above and below dark lung, as shares of the step from lung to heart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """Exposure and processing of one film."""

    scatter: float
    """Scattered over unscattered signal behind the middle of the patient, after the grid."""
    noise: float
    """Relative deviation of the signal in the open field."""
    blur_px: float
    latitude: float
    """Share of the coarse contrast that remains."""
    detail: float
    """Factor of the fine contrast."""
    dark: float
    bright: float
    """P-values, 0 to 1, of the dark parts of the lungs, and of the heart and what lies below the diaphragm."""
    gamma: float
    headroom: float
    """Share of the range above `bright` that the densest parts use."""
    toe: float
    """Initial steepness below lung: 0 flat, 1 linear down to the open field."""
    seed: int


def sample_processing(generator: np.random.Generator, *, portable: bool) -> Processing:
    """Return the exposure and processing of one film; portable AP films scatter more and are noisier."""
    return Processing(
        scatter=float(generator.uniform(1.2, 2.6) if portable else generator.uniform(0.6, 1.6)),
        noise=float(10 ** generator.uniform(-2.6, -2.1) * (1.5 if portable else 1.0)),
        blur_px=float(generator.uniform(0.6, 1.05)),
        latitude=float(generator.uniform(0.50, 0.85)),
        detail=float(generator.uniform(0.65, 1.35) * (0.75 if portable else 1.0)),
        dark=float(np.clip(generator.normal(0.365, 0.085), 0.10, 0.56)),
        bright=float(np.clip(generator.normal(0.71 if portable else 0.80, 0.06), 0.58, 0.94)),
        gamma=float(generator.uniform(0.55, 0.85)),
        headroom=float(generator.uniform(0.15, 0.5)),
        toe=float(generator.uniform(0.15, 0.6)),
        seed=int(generator.integers(2**31)),
    )


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """Return `image` (films, rows, columns) blurred by a Gaussian; wide ones on a coarser grid."""
    if sigma_px > 4.0:
        factor = int(2 ** np.floor(np.log2(sigma_px / 2.0)))
        rows, columns = image.shape[-2:]
        coarse = torch.nn.functional.avg_pool2d(image[:, None], factor, ceil_mode=True, count_include_pad=False)
        coarse = blur(coarse[:, 0], sigma_px / factor)
        size = (coarse.shape[-2] * factor, coarse.shape[-1] * factor)
        fine = torch.nn.functional.interpolate(coarse[:, None], size=size, mode="bilinear", align_corners=False)
        return fine[:, 0, :rows, :columns]
    reach = max(1, int(np.ceil(2.6 * sigma_px)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel /= kernel.sum()
    for axis in (-1, -2):
        pixels = image.shape[axis]
        index = torch.arange(-reach, pixels + reach, device=image.device).clamp(0, pixels - 1)
        padded = image.index_select(axis, index)
        total = padded.narrow(axis, reach, pixels) * float(kernel[reach])
        for k in range(1, reach + 1):
            pair = padded.narrow(axis, reach - k, pixels) + padded.narrow(axis, reach + k, pixels)
            total = total + pair * float(kernel[reach + k])
        image = total
    return image


def signal(tissues: dict[str, Tensor], aperture: Tensor, processing: Sequence[Processing]) -> Tensor:
    """Return the logarithm of the detected signal, negated: 0 in the open field, higher behind more tissue.

    Beer-Lambert over the spectrum, plus scatter proportional to the transmission of the surroundings, plus
    quantum noise.
    """
    first = next(iter(tissues.values()))
    primary = torch.zeros_like(first)
    for k, (_, share) in enumerate(SPECTRUM):
        thickness = torch.zeros_like(first)
        for tissue, length_mm in tissues.items():
            thickness = thickness + length_mm * ATTENUATION_PER_MM[tissue][k]
        primary = primary + share * torch.exp(-thickness)
    primary = primary * aperture
    wide = max(first.shape[-1] / 14.0, 4.1)
    behind = blur(primary.clamp(max=0.25), wide)
    signals = []
    for film, setting in enumerate(processing):
        veil = 0.55 * behind[film] + 0.45 * behind[film].mean()
        total = primary[film] + setting.scatter * 0.5 * veil
        source = torch.Generator(device=first.device).manual_seed(setting.seed)
        grain = torch.randn(total.shape, generator=source, device=first.device)
        total = total + grain * setting.noise * 0.18 * (total + 0.002).sqrt()
        signals.append(-torch.log(total.clamp(min=1e-4)))
    return torch.stack(signals)


def attenuation(tissues: dict[str, Tensor]) -> Tensor:
    """Return the line integrals of the attenuation at the middle energy (60 keV) of path lengths in mm."""
    parts = [length_mm * ATTENUATION_PER_MM[tissue][1] for tissue, length_mm in tissues.items()]
    total: Tensor = torch.stack(parts).sum(0)
    return total


def to_p_values(signals: Tensor, lungs: Tensor, belly: Tensor, processing: Sequence[Processing]) -> Tensor:
    """Return P-values, float 0 (black) to 1 (white), of `signals`.

    `lungs` and `belly` (what lies below the diaphragm, and the heart), bool, set the window, as a
    modality's segmentation does.
    """
    columns = signals.shape[-1]
    films = []
    for film, setting in enumerate(processing):
        image = blur(signals[film : film + 1], setting.blur_px)
        coarse = blur(image, columns / 30.0)
        image = (coarse * setting.latitude + (image - coarse) * setting.detail)[0]
        low = _quantile(image, lungs[film], 0.05)
        high = _quantile(image, belly[film], 0.50)
        films.append(_tone((image - low) / max(high - low, 0.05), -low / max(high - low, 0.05), setting))
    return torch.stack(films)


def _quantile(image: Tensor, mask: Tensor, share: float) -> float:
    values = image[::3, ::3][mask[::3, ::3]]
    return float(torch.quantile(values, share)) if len(values) else float(image.mean())


def _tone(scaled: Tensor, air: float, setting: Processing) -> Tensor:
    """Return `scaled` under a curve with toe and shoulder: 0 dark lung, 1 heart and abdomen, `air` the open field."""
    slope, power = setting.bright - setting.dark, setting.gamma
    start = _KNEE**power
    span = (1 + _KNEE) ** power - start
    steep = slope * power * start / (_KNEE * span)  # at 0, from either side
    straight = slope / span * ((scaled.clamp(0.0, 1.0) + _KNEE) ** power - start)
    thin = scaled.clamp(max=0.0)
    part = (thin / min(air, -0.2)).clamp_(max=1.0)
    toe = setting.dark - steep * _FADE * (1 - torch.exp(thin / _FADE))
    toe = toe.clamp_(min=0.0) * (1.0 - setting.toe * part - (1.0 - setting.toe) * part**4)
    room = setting.headroom * (1.0 - setting.bright)
    shoulder = room * (1 - torch.exp(-(scaled - 1.0).clamp(min=0.0) * (slope * power / room)))
    values: Tensor = (toe + straight + shoulder).clamp_(0, 1)
    return values
