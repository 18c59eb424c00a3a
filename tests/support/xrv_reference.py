"""TorchXRayVision as the reference of our import: run in a process of its own, on files in one folder.

`python -m tests.support.xrv_reference PACKAGES FOLDER MODEL` reads films.npz (P-values, or 8 bits) and writes the file
of MODEL as it is published, with random weights. It writes what TorchXRayVision computes with that file: inputs.npy
(the prepared films), scores.npy (in float32) and exact_scores.npy (in float64, of the same inputs).
torchvision has parts for a GPU that are absent; pandas and requests serve data sets. Stand-ins replace them, so that
the models can be imported.
"""

import contextlib
import importlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def imported(packages: Path) -> Any:
    """Return the module torchxrayvision out of the folder `packages`."""
    sys.path.insert(0, str(packages))
    for name in ("pandas", "requests"):
        stand_in = ModuleType(name)
        stand_in.__spec__ = ModuleSpec(name, None)
        vars(stand_in).update(DataFrame=object, Series=object)
        sys.modules[name] = stand_in
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # its compiled part does not load beside a PyTorch without CUDA
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declare_operators()
    return importlib.import_module("torchxrayvision")


def _declare_operators() -> None:
    """Declare what torchvision's compiled part would have; the models use none of it."""
    parts = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # torch has no types for it
    for name in ("nms", "qnms"):
        parts.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]  # the same
    sys.modules["torchvision parts"] = parts  # type: ignore[assignment]  # must live as long as the process


def randomised(network: nn.Module, films: Tensor, thresholds: Tensor) -> nn.Module:
    """Give `network` random weights and statistics under which its scores lie about the operating points."""
    random = torch.Generator().manual_seed(4)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=random)
        nn.init.normal_(norm.bias, 0, 0.2, generator=random)
    with torch.no_grad():
        network.train()(films[:4])
        for norm in norms:
            norm.momentum = 0.1
            mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
            mean.add_(torch.randn(mean.shape, generator=random) * variance.sqrt() * 0.2)
            variance.mul_(torch.rand(variance.shape, generator=random) + 0.5)
        (head,) = (module for module in network.modules() if isinstance(module, nn.Linear))
        nn.init.normal_(head.weight, generator=random)
        nn.init.zeros_(head.bias)
        logits = network.eval()(films)
        head.weight.mul_((1.5 / logits.std(0))[:, None])
        filled = torch.nan_to_num(thresholds, 0.5)
        head.bias.copy_(torch.logit(filled) - 1.5 * logits.mean(0) / logits.std(0))
    return network


def main(packages: Path, folder: Path, name: str) -> None:
    """Write the weight file and the scores."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    xrv = imported(packages)
    stated = xrv.models.model_urls[name]
    size = stated["input_resolution"]
    films = [prepared(xrv, film, size) for film in np.load(folder / "films.npz").values()]
    thresholds = torch.tensor(stated["op_threshs"])
    file = folder / Path(stated["weights_url"]).name
    batch = torch.cat(films)
    if name.startswith("densenet"):
        # Published in 2020: the whole model, in the format of that time.
        torch.save(randomised(xrv.models.DenseNet(), batch, thresholds), file, _use_new_zipfile_serialization=False)
    else:
        plain = importlib.import_module("torchvision").models.resnet50(num_classes=18, weights=None)
        plain.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        torch.save(randomised(plain, batch, thresholds).state_dict(), file)
    kind = xrv.models.DenseNet if name.startswith("densenet") else xrv.models.ResNet
    model = kind(weights=name, cache_dir=str(folder))
    np.save(folder / "inputs.npy", batch.numpy())
    with torch.inference_mode():
        np.save(folder / "scores.npy", torch.cat([model(film) for film in films]).numpy())
        torch.set_default_dtype(torch.float64)  # the operating points and what is made of the scores too
        exact = kind(weights=name, cache_dir=str(folder)).double()
        np.save(folder / "exact_scores.npy", torch.cat([exact(film.double()) for film in films]).numpy())


def prepared(xrv: Any, film: Any, size: int) -> Tensor:
    """Return a film as TorchXRayVision's own page says to prepare it, shape (1, 1, size, size)."""
    values = xrv.utils.normalize(film, 255 if film.dtype == np.uint8 else 65535, reshape=True)
    values = xrv.datasets.XRayResizer(size)(xrv.datasets.XRayCenterCrop()(values))
    return torch.from_numpy(values)[None]


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
