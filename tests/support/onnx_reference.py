"""Public architectures of torchvision with random weights: ONNX files, and the scores of their own run time.

`python -m tests.support.onnx_reference PACKAGES FOLDER NAME...` writes NAME.onnx, as torch exports it, and NAME.npz
with random films and the network's own outputs for them. It runs in a process of its own, with stand-ins for the parts
of torchvision that need a GPU.
"""

import contextlib
import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.support.xrv_reference import _declare_operators

SIDES = {"inception_v3": 192}
"""Size of the input where it is not 64."""
SIDE = 64
CLASSES = 5
_OPTIONS: dict[str, dict[str, Any]] = {
    "inception_v3": {"aux_logits": False, "init_weights": False},
    "googlenet": {"aux_logits": False, "init_weights": False},
}
DYNAMO = frozenset({"regnet_y_400mf"})
"""Written by torch's newer exporter, the others by the older one."""


def models(packages: Path) -> Any:
    """Return the module torchvision.models out of the folder `packages`."""
    sys.path.insert(0, str(packages))
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # its compiled part does not load beside a PyTorch without CUDA
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declare_operators()
    return importlib.import_module("torchvision").models


def randomised(network: nn.Module, films: Tensor) -> nn.Module:
    """Give norms random weights and the statistics of the films, so that the outputs do not vanish."""
    random = torch.Generator().manual_seed(4)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=random)
        nn.init.normal_(norm.bias, 0, 0.2, generator=random)
    with torch.no_grad():
        if norms:
            network.train()(films)
        outputs = network.eval()(films)
        head = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
        head.weight.mul_(2 / outputs.std().clamp(min=1e-12))
    return network


def write(kinds: Any, name: str, folder: Path) -> None:
    """Write one architecture's file, films and scores."""
    torch.manual_seed(3)
    side = SIDES.get(name, SIDE)
    films = torch.randn(3, 3, side, side)
    options = {"weights": None, "num_classes": CLASSES, **_OPTIONS.get(name, {})}
    network = randomised(getattr(kinds, name)(**options), films)
    file = folder / f"{name}.onnx"
    names: dict[str, Any] = {"input_names": ["input"], "output_names": ["output"]}
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        if name in DYNAMO:
            shapes = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(
                network, (films,), str(file), dynamo=True, external_data=False, dynamic_shapes=shapes, **names
            )
        else:
            axes = {"input": {0: "batch"}, "output": {0: "batch"}}
            torch.onnx.export(network, (films,), str(file), dynamo=False, opset_version=17, dynamic_axes=axes, **names)
    with torch.inference_mode():
        np.savez(folder / f"{name}.npz", films=films.numpy(), outputs=network(films).numpy())


if __name__ == "__main__":
    torch.set_num_threads(1)
    architectures = models(Path(sys.argv[1]))
    for architecture in sys.argv[3:]:
        write(architectures, architecture, Path(sys.argv[2]))
