"""Public architectures with random weights: ONNX files, and the scores of their own run time.

`python -m tests.support.onnx_reference PACKAGES FOLDER NAME...` writes NAME.onnx, as torch exports it, and NAME.npz
with random films and the network's own outputs for them. It runs in a process of its own, with stand-ins for the parts
of torchvision that need a GPU.
"""

import contextlib
import importlib
import sys
import warnings
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.support.architectures import PUBLIC, SHORT, Architecture
from tests.support.xrv_reference import _declare_operators

CLASSES = 5
_NEXT_TO_NOTHING = 1e-2
_STATISTICS = 12
"""Films for the statistics of norms: with few, a network's own scores in 32 bits differ from those in 64 by 1e-4."""


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
    """Give norms random weights and the statistics of random films, so that the outputs do not vanish.

    Parameters that begin as zeros or nearly so (scales of layers, tables of positions) are random as well, or what they
    multiply would not be compared.
    """
    random = torch.Generator().manual_seed(4)
    for parameter in network.parameters():
        if parameter.ndim and float(parameter.detach().abs().max()) < _NEXT_TO_NOTHING:
            nn.init.normal_(parameter, 0, 0.3, generator=random)
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    for norm in [module for module in network.modules() if isinstance(module, _BatchNorm | nn.LayerNorm)]:
        for name, parameter in norm.named_parameters(recurse=False):
            if name == "weight":
                nn.init.uniform_(parameter, 0.5, 1.5, generator=random)
            else:
                nn.init.normal_(parameter, 0, 0.2, generator=random)
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        if norms:
            network.train()(torch.randn(_STATISTICS, *films.shape[1:], generator=random))
        outputs = network.eval()(films)
        head = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
        head.weight.mul_(2 / outputs.std().clamp(min=1e-12))
    return network


def built(name: str, architecture: Architecture, torchvision: Any) -> nn.Module:
    """Return a network with random weights."""
    builder = architecture.builder or name
    options = {"num_classes": CLASSES, **architecture.options}
    network: nn.Module = (
        importlib.import_module("timm").create_model(builder, pretrained=False, **options)
        if architecture.package == "timm"
        else attrgetter(builder)(torchvision)(**options)
    )
    return network


def write(torchvision: Any, name: str, folder: Path) -> None:
    """Write one architecture's file, films and scores."""
    architecture = {**SHORT, **PUBLIC}[name]
    torch.manual_seed(3)
    films = torch.randn(3, 3, architecture.side, architecture.side)
    network = randomised(built(name, architecture, torchvision), films)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        export(network, films, folder / f"{name}.onnx", is_newer_exporter=architecture.is_newer_exporter)
    with torch.inference_mode():
        np.savez(folder / f"{name}.npz", films=films.numpy(), outputs=network(films).numpy())


def export(network: nn.Module, films: Tensor, file: Path, *, is_newer_exporter: bool) -> None:
    """Write an ONNX file for any number of films."""
    names: dict[str, Any] = {"input_names": ["input"], "output_names": ["output"]}
    if is_newer_exporter:
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(
            network, (films,), str(file), dynamo=True, external_data=False, dynamic_shapes=shapes, **names
        )
    else:
        axes = {"input": {0: "batch"}, "output": {0: "batch"}}
        torch.onnx.export(network, (films,), str(file), dynamo=False, opset_version=17, dynamic_axes=axes, **names)


if __name__ == "__main__":
    torch.set_num_threads(1)
    architectures = models(Path(sys.argv[1]))
    for name_given in sys.argv[3:]:
        write(architectures, name_given, Path(sys.argv[2]))
